"""What happens in an execution, as a program sees it: derived from its journal and approvals, so that who comes late
gets the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent_runtime.core.approval import ApprovalStatus
from agent_runtime.core.canonical import parsed
from agent_runtime.core.execution import ExecutionStatus, Step, StepKind
from agent_runtime.core.journal import cut_value, tool_content
from agent_runtime.sdk.snapshot import Snapshot, microseconds_of


class EventType(StrEnum):
    """The types of events; each equals its string, `EventType.DONE == "done"`."""

    THINKING = "thinking"
    """The model's words beside the calls that it proposes."""
    TOOL_CALL = "tool_call"
    """A call was proposed; one for each call."""
    WAITING = "waiting"
    """People are asked; one for each approval."""
    RESOLVED = "resolved"
    """An approval has ended; `content` is how: approved, rejected, request_changes, expired or cancelled."""
    TOOL_RESULT = "tool_result"
    """A call has ended."""
    MESSAGE = "message"
    """The model's answer."""
    ERROR = "error"
    """The execution failed or was cancelled; the last event."""
    DONE = "done"
    """The execution succeeded; the last event."""


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """One event. Fields that its type has no use for keep their defaults.

    `result` of a refused or failed call is what the model was told. `output` is {"result": …, "finishReason": …}.
    `approval` is the approval as it is now, in the public shape. `event_id` is the same whenever the event is told.
    """

    type: EventType
    content: str = ""
    tool_name: str | None = None
    args: Mapping[str, Any] | None = None
    result: Any = None
    output: Mapping[str, Any] | None = None
    execution_id: str = ""
    approval_request_id: str | None = None
    approval: Mapping[str, Any] | None = None
    call_id: str | None = None
    event_id: str = ""


def events_of(snapshot: Snapshot) -> list[AgentEvent]:
    """Everything that has happened so far, in order."""
    told = sorted(_told(snapshot), key=lambda moment: moment[0])
    return [event for _, event in told] + _ending(snapshot)


Moment = tuple[tuple[int, int, int, int], AgentEvent]
"""An event with its place: turn, time, rank among what happened at once, position."""

_RANK = {
    EventType.THINKING: 0,
    EventType.TOOL_CALL: 1,
    EventType.WAITING: 2,
    EventType.RESOLVED: 3,
    EventType.TOOL_RESULT: 4,
    EventType.MESSAGE: 5,
}


def _told(snapshot: Snapshot) -> Iterator[Moment]:
    for step in snapshot.journal:
        if step.kind == StepKind.model:
            yield from _reply(snapshot, step)
        elif step.kind in {StepKind.tool, StepKind.call}:
            yield from _call(snapshot, step)
    for position, approval in enumerate(snapshot.approvals):
        yield from _approval(snapshot, approval, position)


def _reply(snapshot: Snapshot, step: Step) -> Iterator[Moment]:
    recorded = parsed(step.result or "{}")
    message = recorded.get("message")
    if message is None:  # a reasoner's `ai()`
        words, proposes = recorded.get("value"), True
    else:
        words, proposes = message.get("content") or message.get("refusal"), bool(message.get("tool_calls"))
    if words:
        kind = EventType.THINKING if proposes else EventType.MESSAGE
        text = words if isinstance(words, str) else json.dumps(words)
        yield _at(step.turn, step.created_at, step.position, AgentEvent(kind, text, **_from(snapshot, step, kind)))


def _call(snapshot: Snapshot, step: Step) -> Iterator[Moment]:
    call: dict[str, Any] = {"tool_name": step.name, "args": parsed(step.arguments), "call_id": step.call_id}
    proposed = AgentEvent(EventType.TOOL_CALL, **call, **_from(snapshot, step, EventType.TOOL_CALL))
    yield _at(step.turn, step.created_at, step.position, proposed)
    if not step.open:
        ended = AgentEvent(
            EventType.TOOL_RESULT, result=value_of(step), **call, **_from(snapshot, step, EventType.TOOL_RESULT)
        )
        yield _at(step.turn, step.ended_at or step.created_at, step.position, ended)


def value_of(step: Step) -> Any:
    """What a call that ended returned, or what the model was told instead."""
    recorded = parsed(step.result or "{}")
    error = recorded.get("error")
    if isinstance(error, Mapping):  # a reasoner's
        return f"error: {error['type']}: {error['message']}"
    return cut_value(recorded) if "value" in recorded else tool_content(step)


def _approval(snapshot: Snapshot, approval: Mapping[str, Any], position: int) -> Iterator[Moment]:
    created_at = microseconds_of(approval["created_at"])
    turn = _turn(snapshot.journal, approval["approval_request_id"], created_at)
    about: dict[str, Any] = {
        "tool_name": approval["tool_name"],
        "args": approval["arguments"],
        "execution_id": snapshot.execution_id,
        "approval_request_id": approval["approval_request_id"],
        "approval": approval,
    }
    asked = AgentEvent(
        EventType.WAITING, approval["title"], event_id=f"{approval['approval_request_id']}:waiting", **about
    )
    yield _at(turn, created_at, position, asked)
    if approval["status"] != ApprovalStatus.pending:
        ended = AgentEvent(
            EventType.RESOLVED,
            approval["status"],
            result=approval["feedback"],
            event_id=f"{approval['approval_request_id']}:resolved",
            **about,
        )
        yield _at(turn, microseconds_of(approval["resolved_at"]), position, ended)


def _turn(journal: Sequence[Step], approval_request_id: str, created_at: int) -> int:
    """The turn in which people were asked; an approval that another has replaced belongs where its time puts it."""
    asked = [step.turn for step in journal if step.approval_request_id == approval_request_id]
    return asked[0] if asked else max((step.turn for step in journal if step.created_at <= created_at), default=0)


def _from(snapshot: Snapshot, step: Step, kind: EventType) -> dict[str, Any]:
    return {"execution_id": snapshot.execution_id, "event_id": f"{step.position}:{kind}"}


def _at(turn: int, at: int, position: int, event: AgentEvent) -> Moment:
    return (turn, at, _RANK[event.type], position), event


def _ending(snapshot: Snapshot) -> list[AgentEvent]:
    if not snapshot.complete:
        return []
    succeeded = snapshot.status == ExecutionStatus.succeeded
    kind = EventType.DONE if succeeded else EventType.ERROR
    said = "" if succeeded else snapshot.reason
    return [AgentEvent(kind, said, output=snapshot.output, execution_id=snapshot.execution_id, event_id=f"end:{kind}")]
