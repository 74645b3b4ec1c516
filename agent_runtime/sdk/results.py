"""Where an execution stands, and how it ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from agent_runtime.core.approval import ApprovalStatus
from agent_runtime.core.canonical import parsed
from agent_runtime.core.execution import ExecutionStatus, StepKind
from agent_runtime.errors import CollaborationError, TimeoutError
from agent_runtime.sdk.derived import Derived, Parts
from agent_runtime.sdk.events import AgentEvent, EventType, events_of, value_of
from agent_runtime.sdk.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class AgentStatus(Derived):
    """Where an execution stands.

    `status` is one of queued, running, waiting, succeeded, failed, cancelled. `output` is {"result": …,
    "finishReason": …} once it is complete. `reason` says why it failed or was cancelled. `pending_approvals` are in the
    order of the calls; `messages` are those of the chat API, without the instructions.
    """

    execution_id: str
    status: str
    is_running: bool
    is_waiting: bool
    is_complete: bool
    output: Mapping[str, Any] | None
    reason: str
    pending_approvals: Sequence[Mapping[str, Any]]
    messages: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class AgentResult(Derived):
    """How an execution ended.

    `output` is {"result": …, "finishReason": …}, whatever the ending. `error` is "Type: message" of a failure.
    `tool_calls` hold name, args (those that ran), result, status, call_id and approval_request_id. `approvals` are all
    that were asked, in the public shape.
    """

    execution_id: str
    status: str
    output: Mapping[str, Any] | None = None
    reason: str = ""
    error: str | None = None
    events: Sequence[AgentEvent] = ()
    tool_calls: Sequence[Mapping[str, Any]] = ()
    messages: Sequence[Mapping[str, Any]] = ()
    finish_reason: str = ""
    approvals: Sequence[Mapping[str, Any]] = field(default=())

    @property
    def is_success(self) -> bool:
        return self.status == ExecutionStatus.succeeded

    @property
    def is_failed(self) -> bool:
        """It failed or was cancelled."""
        return self.status in {ExecutionStatus.failed, ExecutionStatus.cancelled}

    @property
    def is_rejected(self) -> bool:
        """Somebody rejected one of its calls, whether the model went on after that or the execution ended."""
        return any(approval["status"] == ApprovalStatus.rejected for approval in self.approvals)

    @property
    def turns(self) -> int:
        """Replies of the model."""
        starts = {EventType.THINKING, EventType.TOOL_CALL, EventType.MESSAGE, EventType.DONE}
        replies, replying = 0, False
        for event in self.events:
            replies += event.type in starts and not replying
            replying = event.type in starts
        return replies

    def print_result(self) -> None:
        """Writes the ending, the calls and the decisions on them to standard output."""
        sys.stdout.write("\n".join(_in_words(self)) + "\n")


def status_of(snapshot: Snapshot) -> AgentStatus:
    """The status in a snapshot."""
    return AgentStatus.derived(snapshot, _STATUS)


def result_of(snapshot: Snapshot) -> AgentResult:
    """The result in a snapshot.

    Raises CollaborationError or TimeoutError where a gate with `stop` ended the execution; `details` have its id.
    """
    if (stopped := snapshot.stopped) is not None:
        ending = TimeoutError if stopped["type"] == "TimeoutError" else CollaborationError
        raise ending(stopped["message"], execution_id=snapshot.execution_id)
    return AgentResult.derived(snapshot, _RESULT)


def _tool_calls(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        {
            "name": step.name,
            "args": parsed(step.arguments),
            "result": None if step.open else value_of(step),
            "status": str(step.status),
            "call_id": step.call_id,
            "approval_request_id": step.approval_request_id,
        }
        for step in snapshot.journal
        if step.kind == StepKind.tool
    ]


def _error(snapshot: Snapshot) -> str | None:
    return None if snapshot.error is None else f"{snapshot.error.get('type')}: {snapshot.reason}"


_BOTH: Parts[Snapshot] = {
    "execution_id": attrgetter("execution_id"),
    "status": lambda snapshot: str(snapshot.status),
    "output": attrgetter("output"),
    "reason": attrgetter("reason"),
    "messages": Snapshot.messages,
}
_STATUS: Parts[Snapshot] = {
    **_BOTH,
    "is_running": attrgetter("running"),
    "is_waiting": attrgetter("waiting"),
    "is_complete": attrgetter("complete"),
    "pending_approvals": attrgetter("pending"),
}
_RESULT: Parts[Snapshot] = {
    **_BOTH,
    "error": _error,
    "events": events_of,
    "tool_calls": _tool_calls,
    "finish_reason": attrgetter("finish_reason"),
    "approvals": attrgetter("approvals"),
}


def _in_words(result: AgentResult) -> list[str]:
    said = None if result.output is None else result.output.get("result")
    lines = [f"{result.execution_id}: {result.status}" + (f" ({result.error})" if result.error else "")]
    lines += [f"  called {call['name']}: {call['status']}" for call in result.tool_calls]
    for approval in result.approvals:
        by = f" by {approval['decided_by']}" if approval["decided_by"] else ""
        words = f": {approval['feedback']}" if approval["feedback"] else ""
        lines.append(f"  {approval['title']}: {approval['status']}{by}{words}")
    lines.append(said if isinstance(said, str) else json.dumps(said, indent=2))
    return lines
