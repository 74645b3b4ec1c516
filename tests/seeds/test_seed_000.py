"""A change that is rolled out after a review, in one script: deploy, start by name, look, approve."""

from __future__ import annotations

from agent_runtime import AgentHandle, AgentRuntime
from tests.seeds.conftest import ServeModel, run_program


def test_the_execution_goes_on_after_the_approval_and_completes(serve_model: ServeModel, environment: str) -> None:
    serve_model()
    ran = run_program("rollout")
    with AgentRuntime() as runtime:
        handle = AgentHandle(ran["handle"].execution_id, runtime)
        status = handle.get_status()
        result = handle.get_result()
    assert (status.status, status.is_complete, status.pending_approvals) == ("succeeded", True, [])
    assert [(call["name"], call["status"]) for call in result.tool_calls] == [
        ("get_rollout_context", "succeeded"),
        ("execute_rollout", "succeeded"),
    ]
    assert result.tool_calls[1]["result"] == {"status": "rolled_out", "change_id": "CHG-901"}
    [approval] = result.approvals
    assert (approval["status"], approval["decided_by"]) == ("approved", "local:operator")
    assert result.tool_calls[1]["approval_request_id"] == approval["approval_request_id"]


def test_a_change_that_does_not_look_safe_asks_nobody(serve_model: ServeModel, environment: str) -> None:
    serve_model(lambda messages: "This change does not look safe.")
    ran = run_program("rollout")
    assert ran["handle"].execution_id
    with AgentRuntime() as runtime:
        result = AgentHandle(ran["handle"].execution_id, runtime).get_result()
    assert (result.output["result"], result.approvals) == ("This change does not look safe.", [])
