"""Results: `output` whatever the ending, gates with `stop` as errors, what is printed."""

from __future__ import annotations

import builtins

import pytest
from pydantic import BaseModel

from agent_runtime import Agent, AgentRuntime, Approval
from agent_runtime.errors import CollaborationError, TimeoutError
from agent_runtime.testing import Kit, ScriptedModel, call
from tests.sdk.agents import Ledger, refund_agent

REFUND = call("process_refund", order_id="ORD-1", amount=10)


def test_after_a_rejection_the_model_has_the_last_word(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    model.says(REFUND, "I have told the customer that it was refused.")
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1")
    handle.get_status()
    handle.reject("a duplicate")
    result = handle.get_result()
    assert result.output == {"result": "I have told the customer that it was refused.", "finishReason": "STOP"}
    assert (result.is_success, result.is_failed, result.is_rejected, result.turns) == (True, False, True, 2)
    [made] = result.tool_calls
    assert (made["name"], made["status"]) == ("process_refund", "refused")
    assert made["result"] == 'rejected by the reviewer: "a duplicate". The call did not run.'
    assert [message["role"] for message in result.messages] == ["user", "assistant", "tool", "assistant"]
    assert ledger == []


def test_a_rejection_that_stops_is_a_collaboration_error(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    model.says(REFUND)
    agent = refund_agent(ledger, approval=Approval(on_reject="stop"))
    stream = runtime.stream(agent, "Refund ORD-1")
    for event in stream:
        if event.type == "waiting":
            stream.reject("never")
    assert [event.content for event in stream.events if event.type == "error"] == ["rejected: never"]
    with pytest.raises(CollaborationError, match="rejected: never") as raised:
        stream.get_result()
    assert raised.value.details["execution_id"] == stream.execution_id
    status = stream.handle.get_status()
    assert (status.status, status.reason) == ("failed", "rejected: never")
    assert status.output == {"result": "CollaborationError: rejected: never", "finishReason": "REJECTED"}
    assert ledger == []


def test_an_expiry_that_stops_is_a_timeout_error(ledger: Ledger) -> None:
    with Kit(REFUND) as kit:
        agent = refund_agent(ledger, approval=Approval(expires_in_hours=1, on_expiry="stop"))
        handle = kit.start(agent, "Refund ORD-1")
        kit.expire_next()
        with pytest.raises(TimeoutError, match="nobody decided on process_refund in time") as raised:
            handle.get_result()
        assert isinstance(raised.value, builtins.TimeoutError)
    assert ledger == []


def test_run_waits_for_people_and_raises_as_the_result_does(ledger: Ledger) -> None:
    agent = refund_agent(ledger, approval=Approval(on_reject="stop"))
    with Kit("Nothing to do.", REFUND) as kit:
        assert kit.run(agent, "hello").output == {"result": "Nothing to do.", "finishReason": "STOP"}
        handle = kit.start(agent, "Refund ORD-1", idempotency_key="once")
        kit.reject_next("never")
        with pytest.raises(CollaborationError):
            kit.run(agent, "Refund ORD-1", idempotency_key="once")
        assert handle.get_status().is_complete


def test_structured_output(runtime: AgentRuntime, model: ScriptedModel) -> None:
    class Verdict(BaseModel):
        approved: bool
        words: str

    model.says(Verdict(approved=True, words="fine"))
    result = runtime.run(Agent("judge", output_type=Verdict), "Judge this")
    assert result.output == {"result": {"approved": True, "words": "fine"}, "finishReason": "STOP"}


def test_print_result(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    model.says([call("get_order", order_id="ORD-1"), REFUND], "Paid.")
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1")
    handle.get_status()
    handle.approve("as agreed")
    handle.get_result().print_result()
    assert capsys.readouterr().out.splitlines() == [
        f"{handle.execution_id}: succeeded",
        "  called get_order: succeeded",
        "  called process_refund: succeeded",
        "  Approval needed: process_refund: approved by local:operator: as agreed",
        "Paid.",
    ]
