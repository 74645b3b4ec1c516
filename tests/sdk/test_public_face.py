"""The names, arguments and fields that programs rely on: nothing may go missing, additions are welcome."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

import agent_runtime
from agent_runtime import (
    Agent,
    AgentEvent,
    AgentHandle,
    AgentResult,
    AgentRuntime,
    AgentStatus,
    AgentStream,
    Approval,
    ApprovalResult,
    EventType,
    client,
    errors,
    testing,
    tool,
)
from agent_runtime.tools import Tool

NAMES = (
    "Agent AgentRuntime AgentHandle AgentStream AgentStatus AgentResult AgentEvent EventType ApprovalResult Approval "
    "tool start stream run deploy serve configure start_async stream_async run_async deploy_async serve_async"
)
ERRORS = "CountersignError CollaborationError AlreadyResolved NotAuthorized Conflict NonDeterminism TimeoutError"

ARGUMENTS: dict[str, tuple[Any, str]] = {
    "tool": (
        Tool.__init__,
        "name approval_required approval effect lookup version timeout_seconds max_calls",
    ),
    "Approval": (
        Approval,
        "reviewers quorum expires_in_hours valid_for remind_after escalate_after escalate_to risk on_reject on_expiry "
        "allow_self_approval allow_edits redact allowed_via channel",
    ),
    "Agent": (Agent, "name node_id model instructions tools output_type max_turns"),
    "Agent.reasoner": (Agent.reasoner, "name tags"),
    "Agent.ai": (Agent.ai, "system user schema model"),
    "Agent.pause": (Agent.pause, "approval_request_id approval_request_url expires_in_hours"),
    "Agent.wait_for_resume": (Agent.wait_for_resume, "approval_request_id timeout"),
    "Agent.note": (Agent.note, "message tags"),
    "Agent.run": (Agent.run, "host port auto_port"),
    "AgentRuntime": (AgentRuntime, "database_url server_url"),
    "AgentRuntime.serve": (AgentRuntime.serve, "blocking"),
    "AgentHandle": (AgentHandle, "execution_id runtime"),
    "AgentHandle.get_status": (AgentHandle.get_status, "settle_seconds"),
    "AgentHandle.approve": (AgentHandle.approve, "approval_request_id"),
    "AgentHandle.reject": (AgentHandle.reject, "reason approval_request_id"),
    "AgentHandle.request_changes": (AgentHandle.request_changes, "feedback approval_request_id"),
    "AgentHandle.respond": (AgentHandle.respond, "approval_request_id"),
    "AgentHandle.cancel": (AgentHandle.cancel, "reason"),
    "mock_run": (testing.mock_run, "agent prompt events"),
}

MEMBERS: dict[Any, str] = {
    Agent: "reasoner step ai pause wait_for_resume note call run",
    AgentRuntime: "deploy serve start run stream deploy_async serve_async start_async run_async stream_async "
    "__enter__ __exit__ __aenter__ __aexit__",
    AgentHandle: "get_status approve reject request_changes respond cancel stream get_status_async approve_async "
    "reject_async request_changes_async respond_async cancel_async stream_async",
    AgentStream: "__iter__ __aiter__ approve reject get_result approve_async reject_async get_result_async",
    AgentStatus: "execution_id status is_running is_waiting is_complete output reason pending_approvals messages",
    AgentResult: "execution_id status output reason error events tool_calls messages finish_reason is_success "
    "is_failed is_rejected print_result",
    AgentEvent: "type content tool_name args result output execution_id",
    ApprovalResult: "decision feedback approval_request_id execution_id decided_by approved changes_requested",
    testing.MockEvent: "thinking tool_call tool_result waiting message error done",
    testing.Expectation: "completed failed status no_errors used_tool did_not_use_tool tool_call_order "
    "tools_used_exactly output_contains output_matches output_type events_contain event_sequence max_turns "
    "waited_for_approval approved_by rejected",
    testing.Kit: "approve_next reject_next expire_next approve_next_async reject_next_async expire_next_async",
    client: "Client AsyncClient",
    errors: ERRORS,
}


@pytest.mark.parametrize("name", NAMES.split())
def test_it_is_exported(name: str) -> None:
    assert getattr(agent_runtime, name) is not None
    assert name in agent_runtime.__all__
    assert name in dir(agent_runtime)


@pytest.mark.parametrize(("name", "wanted"), ARGUMENTS.items())
def test_it_takes(name: str, wanted: tuple[Any, str]) -> None:
    function, arguments = wanted
    assert set(arguments.split()) - set(inspect.signature(function).parameters) == set()


@pytest.mark.parametrize(("owner", "wanted"), MEMBERS.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_it_has(owner: Any, wanted: str) -> None:
    fields = {field.name for field in dataclasses.fields(owner)} if dataclasses.is_dataclass(owner) else set()
    assert set(wanted.split()) - {*dir(owner), *fields} == set()


PENDING = (
    "approval_request_id execution_id kind tool_name arguments title status expires_at requested_by reviewers quorum "
    "decisions url digest"
)


def test_a_pending_approval_has(countersign: testing.Kit) -> None:
    gated = tool(name="act", approval_required=True)(lambda: None)
    countersign.model.says(testing.call("act"))
    handle = countersign.start(Agent("actor", tools=[gated]), "Act")
    [pending] = handle.get_status().pending_approvals
    assert set(PENDING.split()) - set(pending) == set()


def test_event_types_are_their_strings() -> None:
    types = ["thinking", "tool_call", "tool_result", "waiting", "message", "error", "done"]
    assert [str(EventType(name)) for name in types] == types
    assert EventType.DONE == "done"


def test_defaults_that_programs_rely_on() -> None:
    pause = inspect.signature(Agent.pause).parameters
    assert pause["expires_in_hours"].default == 72
    assert inspect.signature(AgentHandle.get_status).parameters["settle_seconds"].default == 30
    assert inspect.signature(Agent).parameters["max_turns"].default == 25
    assert inspect.signature(AgentRuntime.serve).parameters["blocking"].default is True

    @tool
    def look(order_id: str) -> str:
        return order_id

    assert (look("ORD-1"), look.gated, look.effect) == ("ORD-1", False, "idempotent")
    assert tool(approval_required=True)(look.function).effect == "unsafe"
    assert Approval(expires_in_hours=None).expires_in_hours is None
