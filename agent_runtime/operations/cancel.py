"""Ends an execution from outside, and everything that it was waiting for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent_runtime.core.approval import ApprovalStatus, Kind
from agent_runtime.core.canonical import canonical
from agent_runtime.core.deciding import Ended
from agent_runtime.core.execution import LEASE, Execution, ExecutionStatus, Step, StepStatus
from agent_runtime.core.principal import Actor, Via
from agent_runtime.core.text import check_words
from agent_runtime.errors import Conflict, NotFound
from agent_runtime.operations.resolve import end, let_go_on
from agent_runtime.store.approvals import PENDING_OF_EXECUTION
from agent_runtime.store.events import record
from agent_runtime.store.executions import END_CALLING, END_UNCLAIMED, GET_EXECUTION, LOCK_EXECUTION, OPEN_CHILDREN
from agent_runtime.store.outbox import EXECUTION_PROGRESS, EXECUTION_RESULT, enqueue
from agent_runtime.store.steps import ANSWER_STEP, JOURNAL
from agent_runtime.store.tx import Tx, own_rows


@own_rows
def cancel(tx: Tx, execution_id: str, *, by: Actor, via: Via, reason: str = "") -> Execution:
    """Cancels an execution that has not ended; a call that is running now is let finish and its result recorded.

    Cancelling a cancelled one again changes nothing. Raises NotFound, Conflict where it has ended otherwise,
    or InvalidRequest for a reason that is too long.
    """
    check_words(reason, "reason")
    execution = tx.one(LOCK_EXECUTION, b_id=execution_id)
    if execution is None:
        raise NotFound(f"no execution has the id {execution_id!r}")
    if execution.status == ExecutionStatus.cancelled:
        return execution
    if execution.terminal:
        raise Conflict(f"the execution has {execution.status} already")
    error = {"type": "Cancelled", "message": reason or f"cancelled by {by.principal}"}
    return end_execution(
        tx, execution, ExecutionStatus.cancelled, error=error, finish_reason="CANCELLED", by=by, via=via
    )


def end_execution(
    tx: Tx,
    execution: Execution,
    status: ExecutionStatus,
    *,
    error: Mapping[str, str],
    finish_reason: str,
    by: Actor,
    via: Via,
) -> Execution:
    """Ends `execution` (its row held by the caller) whoever runs it, and withdraws what it asked.

    Calls whose outcome is open keep their questions. One that runs now is let finish; `operations.orphans` asks about
    it where its worker dies over it.
    """
    open_outcomes = _open_outcomes(tx, execution)
    ending = {
        "b_id": execution.execution_id,
        "b_status": status.value,
        "b_error": canonical(dict(error)),
        "b_finish_reason": finish_reason,
        "b_now": tx.now,
    }
    if any(step.status == StepStatus.started for step in open_outcomes):
        # Taken from a dead worker, it is nobody's: whether its call happened is asked at once.
        tx.run(END_CALLING, b_lease=tx.now if execution.worker_id is None else tx.now + LEASE, **ending)
    else:
        tx.run(END_UNCLAIMED, **ending)
    positions = [step.position for step in open_outcomes]
    record(
        tx,
        f"execution.{status.value}",
        execution_id=execution.execution_id,
        by=by,
        via=via,
        data={"reason": error["message"], **({"open_outcomes": positions} if positions else {})},
    )
    withdraw(tx, execution, by=by, via=via)
    announce_end(tx, execution, status)
    ended = tx.one(GET_EXECUTION, b_id=execution.execution_id)
    assert ended is not None
    return ended


def _open_outcomes(tx: Tx, execution: Execution) -> list[Step]:
    """Calls that may have taken effect and have not said so."""
    journal = tx.all(JOURNAL, b_id=execution.execution_id)
    return [step for step in journal if step.status in {StepStatus.started, StepStatus.in_doubt}]


def withdraw(tx: Tx, execution: Execution, *, by: Actor, via: Via) -> None:
    """Ends what an ended execution no longer needs: its approvals, and the executions that it called.

    What became of a call in doubt is still asked: its effect does not end with the execution.
    """
    for approval in tx.all(PENDING_OF_EXECUTION, b_execution=execution.execution_id):
        if approval.kind == Kind.in_doubt and approval.position is not None:
            continue
        resolution = {"by": by.principal, "via": via.value, "feedback": "the execution has ended"}
        end(tx, approval, Ended(ApprovalStatus.cancelled, resolution), by=by, via=via)
    if execution.reasoner is None:
        return
    error = {"type": "Cancelled", "message": "the execution that called it has ended"}
    for child in tx.all(OPEN_CHILDREN, b_parent=execution.execution_id):
        end_execution(tx, child, ExecutionStatus.cancelled, error=error, finish_reason="CANCELLED", by=by, via=via)


def answer_parent(tx: Tx, child: Execution) -> None:
    """The step of the parent that waits for `child` holds how that ended, and the parent goes on."""
    ended = tx.one(GET_EXECUTION, b_id=child.execution_id)
    assert ended is not None
    assert ended.parent_execution_id is not None
    result = json.loads(ended.result) if ended.result else {}
    recorded: dict[str, Any] = {"child": ended.execution_id, "status": ended.status, "value": result.get("result")}
    if ended.error:
        recorded["error"] = json.loads(ended.error)
    landed = tx.run(
        ANSWER_STEP,
        b_id=ended.parent_execution_id,
        b_position=ended.parent_position,
        b_status=StepStatus.succeeded.value,
        b_result=canonical(recorded),
        b_ended=tx.now,
    )
    if landed is not None:
        let_go_on(tx, ended.parent_execution_id)


ENDED = "ended"
"""What the end of an execution is counted as, with its status; see `Tx.count`."""


def announce_end(tx: Tx, execution: Execution, status: ExecutionStatus) -> None:
    """Whoever asked is told, and whoever waits is woken; a parent gets its child's result."""
    if execution.parent_execution_id is not None:
        answer_parent(tx, execution)
    if execution.origin:
        enqueue(tx, EXECUTION_PROGRESS, execution.execution_id)
        enqueue(tx, EXECUTION_RESULT, execution.execution_id)
    tx.wake(f"answers:{execution.execution_id}")
    tx.wake(f"execution:{execution.execution_id}")
    tx.wake(f"rest:{execution.execution_id}")
    tx.count(ENDED, status.value)
