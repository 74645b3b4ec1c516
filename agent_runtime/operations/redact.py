"""Takes the payload out of an execution that has ended: what it was given, did and said. That it was done stays."""

from __future__ import annotations

import json
from typing import Any

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.audit import payload_digest, redacted_data
from agent_runtime.core.canonical import canonical
from agent_runtime.core.execution import Execution, Step, StepKind
from agent_runtime.core.principal import Actor, Via
from agent_runtime.core.redaction import REDACTED
from agent_runtime.errors import Conflict, InvalidRequest, NotFound
from agent_runtime.store.approvals import OF_EXECUTION
from agent_runtime.store.audit import REDACT_EVENT
from agent_runtime.store.events import EVENTS_OF_STREAM, record
from agent_runtime.store.executions import LOCK_EXECUTION
from agent_runtime.store.redaction import REDACT_APPROVAL, REDACT_DECISIONS, REDACT_EXECUTION, REDACT_STEP
from agent_runtime.store.steps import JOURNAL
from agent_runtime.store.tx import Tx

_ALL = 1_000_000


def ended(tx: Tx, execution_id: str) -> Execution:
    """The execution, its row locked, where its payloads may be taken out. Raises NotFound, or Conflict for one that has
    not ended.
    """
    execution = tx.one(LOCK_EXECUTION, b_id=execution_id)
    if execution is None:
        raise NotFound(f"no execution has the id {execution_id!r}")
    if not execution.terminal:
        raise Conflict(f"the execution is {execution.status}; cancel it, or wait until it has ended")
    return execution


def redact(tx: Tx, execution_id: str, *, reason: str, by: Actor, via: Via) -> int:
    """Replaces the payloads of an ended execution, of its steps, approvals and events; how many events lost theirs.

    The chain holds: each event keeps its payload's salted digest. What an approval was about keeps its digest too.
    Raises NotFound, Conflict for one that has not ended, InvalidRequest without a reason.
    """
    if not reason.strip():
        raise InvalidRequest("reason: say why; it is recorded")
    execution = ended(tx, execution_id)
    given: dict[str, Any] = json.loads(execution.input)
    error = None if execution.error is None else {**json.loads(execution.error), "message": REDACTED}
    result = None if execution.result is None else {**json.loads(execution.result), "result": REDACTED}
    tx.run(
        REDACT_EXECUTION,
        b_id=execution_id,
        b_input=canonical({"prompt": REDACTED} if given.get("prompt") is not None else {"input": {}}),
        b_result=None if result is None else canonical(result),
        b_error=None if error is None else canonical(error),
    )
    for step in tx.all(JOURNAL, b_id=execution_id):
        tx.run(REDACT_STEP, b_id=execution_id, b_position=step.position, b_result=_result(step))
    for approval in tx.all(OF_EXECUTION, b_execution=execution_id):
        tx.run(REDACT_APPROVAL, b_id=approval.approval_request_id, b_resolution=_resolution(approval))
        tx.run_all(REDACT_DECISIONS, b_id=approval.approval_request_id)
    redacted = 0
    for event in tx.all(EVENTS_OF_STREAM, b_stream=execution_id, b_after=0, b_limit=_ALL):
        data = redacted_data(payload_digest(event.data, event.salt))
        redacted += tx.run(REDACT_EVENT, b_event=event.event_id, b_data=data) is not None
    record(tx, "audit.redacted", execution_id=execution_id, by=by, via=via, data={"reason": reason, "events": redacted})
    return redacted


def _result(step: Step) -> str | None:
    """What a step's row holds afterwards, in the form that readers of a journal expect."""
    if step.result is None:
        return None
    if step.kind == StepKind.model:
        return canonical({"message": {"role": "assistant", "content": REDACTED}})
    if step.kind == StepKind.note:
        return canonical({"content": REDACTED})
    recorded: dict[str, Any] = json.loads(step.result)
    words = {"value", "feedback", "error", "ran_with", "content", "stop"}
    return canonical({name: REDACTED if name in words else value for name, value in recorded.items()})


def _resolution(approval: ApprovalRequest) -> str | None:
    if approval.resolution is None:
        return None
    kept = {name: value for name, value in approval.resolution.items() if name != "edited_arguments"}
    return canonical({**kept, "feedback": REDACTED if kept.get("feedback") else ""})
