"""An execution as it was when somebody looked: the one thing from which status, events and result are derived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Vote
from agent_runtime.core.canonical import canonical, parsed
from agent_runtime.core.execution import TERMINAL, ExecutionStatus, Step, StepKind
from agent_runtime.core.journal import prompt_of, reply_message, tool_content
from agent_runtime.sdk.derived import Derived, Parts


@dataclass(frozen=True, slots=True)
class Snapshot(Derived):
    """`given` is the input, `error` is {type, message} or None. `approvals` have the public shape of CONTRACT's JSON,
    in the order of the calls, those of child executions behind them.
    """

    execution_id: str
    agent: str
    reasoner: str | None
    status: str
    given: Mapping[str, Any]
    result: Any
    error: Mapping[str, str] | None
    finish_reason: str
    journal: Sequence[Step]
    approvals: Sequence[Mapping[str, Any]]

    @property
    def complete(self) -> bool:
        return self.status in TERMINAL

    @property
    def running(self) -> bool:
        return not self.complete and not self.waiting

    @property
    def waiting(self) -> bool:
        """It, or one that it called, waits for people. One that waits for its own call to end is running."""
        return self.status == ExecutionStatus.waiting and bool(self.pending)

    @property
    def pending(self) -> list[Mapping[str, Any]]:
        """The approvals that wait for people."""
        return [approval for approval in self.approvals if approval["status"] == ApprovalStatus.pending]

    @property
    def reason(self) -> str:
        """Why it failed or was cancelled; "" otherwise."""
        return "" if self.error is None else str(self.error.get("message", ""))

    @property
    def output(self) -> dict[str, Any] | None:
        """{"result": …, "finishReason": …} once it is complete."""
        if not self.complete:
            return None
        result = self.reason if self.result is None and self.error is not None else self.result
        return {"result": result, "finishReason": self.finish_reason}

    @property
    def stopped(self) -> Mapping[str, str] | None:
        """The error of a gate with `stop` that ended it; None where it ended otherwise."""
        if self.status != ExecutionStatus.failed:
            return None
        results = [parsed(step.result or "{}") for step in self.journal if step.kind == StepKind.tool]
        return next((result["stop"] for result in results if "stop" in result), None)

    def messages(self) -> list[dict[str, Any]]:
        """What the model was told and said after its instructions; [] for a reasoner, which has no conversation."""
        if self.reasoner is not None:
            return []
        told: list[dict[str, Any]] = [*self.given.get("history", [])]
        told.append({"role": "user", "content": prompt_of(self.given)})
        for step in self.journal:
            if step.kind == StepKind.model:
                told.append(reply_message(step))
            elif step.kind == StepKind.tool and not step.open:
                told.append({"role": "tool", "tool_call_id": step.call_id, "content": tool_content(step)})
            elif step.kind == StepKind.note:
                told.append({"role": "user", "content": parsed(step.result or "{}")["content"]})
        return told


class SnapshotRows(NamedTuple):
    """What the store holds of an execution: the row `SHOWN`, the journal, and each approval with the votes on it."""

    execution: Any
    journal: Sequence[Step]
    approvals: Sequence[tuple[ApprovalRequest, Sequence[Vote]]]


def of_rows(rows: SnapshotRows) -> Snapshot:
    """The snapshot that rows hold; arguments are not masked."""
    return Snapshot.derived(rows, _OF_ROWS)


_OF_ROWS: Parts[SnapshotRows] = {
    "execution_id": attrgetter("execution.execution_id"),
    "agent": attrgetter("execution.agent"),
    "reasoner": attrgetter("execution.reasoner"),
    "status": attrgetter("execution.status"),
    "given": lambda rows: parsed(rows.execution.input),
    "result": lambda rows: parsed(rows.execution.result or "{}").get("result"),
    "error": lambda rows: parsed(rows.execution.error or "null"),
    "finish_reason": lambda rows: rows.execution.finish_reason or "",
    "journal": attrgetter("journal"),
    "approvals": lambda rows: [approval.as_json(votes) for approval, votes in rows.approvals],
}


def of_answer(answer: Mapping[str, Any]) -> Snapshot:
    """The snapshot in the server's answer for one execution; secrets are masked there."""
    return Snapshot(
        execution_id=answer["execution_id"],
        agent=answer["agent"],
        reasoner=answer["reasoner"],
        status=answer["status"],
        given=answer["input"],
        result=answer["result"],
        error=answer["error"],
        finish_reason=answer["finish_reason"] or "",
        journal=[_step(answer["execution_id"], step) for step in answer["steps"]],
        approvals=answer["approvals"],
    )


def _step(execution_id: str, answer: Mapping[str, Any]) -> Step:
    return Step(
        execution_id=execution_id,
        position=answer["position"],
        turn=answer["turn"],
        kind=answer["kind"],
        name=answer["name"],
        call_id=answer["call_id"],
        status=answer["status"],
        effect="",
        arguments=canonical(answer["arguments"] or {}),
        digest="",
        tool_version="",
        idempotency_key="",
        approval_request_id=answer["approval_request_id"],
        result=None if answer["result"] is None else canonical(answer["result"]),
        attempt=answer["attempt"],
        fence=0,
        created_at=microseconds_of(answer["created_at"]),
        started_at=None if answer["started_at"] is None else microseconds_of(answer["started_at"]),
        ended_at=None if answer["ended_at"] is None else microseconds_of(answer["ended_at"]),
    )


def microseconds_of(text: str) -> int:
    """Epoch microseconds of RFC 3339, exactly."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
