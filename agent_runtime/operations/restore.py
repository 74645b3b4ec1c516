"""After a restore: a new epoch. What had not ended is held, and people are asked wherever a call may have run since.

The database knows nothing of what happened after the backup: an approval that is pending in it may have been given,
and the call may have run. So nothing goes on by itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind
from agent_runtime.core.deciding import Ended
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.epochs import Epoch
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.policy import Defaults, merge, never_ending
from agent_runtime.core.principal import SYSTEM, Actor, Via
from agent_runtime.operations.request import Question, hold, request
from agent_runtime.operations.resolve import end, replaced
from agent_runtime.store.approvals import GET_APPROVAL_FOR_UPDATE, PENDING_OF_EXECUTION
from agent_runtime.store.audit import LAST_EVENT
from agent_runtime.store.epochs import (
    ASKED,
    EPOCHS,
    HELD_AFTER_RESTORE,
    HOLD_ALL,
    INSERT_EPOCH,
    OUTSIDERS_APPROVED,
    OUTSIDERS_PENDING,
    SETTLE_HELD,
    SHOWN_BEFORE,
)
from agent_runtime.store.events import record
from agent_runtime.store.steps import JOURNAL
from agent_runtime.store.tx import Tx

STREAM = "epochs"
"""The audit stream of restores."""

AT_ONCE = 20
"""Executions that people are asked about in one transaction."""

LOST = "lost in a restore of the database; ask again"

_MAY_HAVE_RUN = frozenset({StepStatus.gated, StepStatus.approved, StepStatus.started})


@dataclass(frozen=True, slots=True)
class Opened:
    """A new epoch, and how many executions are held."""

    epoch: Epoch
    held: int


def open_epoch(tx: Tx, *, by: Actor, via: Via, reason: str = "") -> Opened:
    """Begins a new epoch on a database that was restored; no server may be running on it.

    Every execution that has not ended is held until people said how it goes on; what outsiders had asked is withdrawn.
    """
    epochs = tx.all(EPOCHS)
    last = tx.one(LAST_EVENT)
    epoch = Epoch(
        epoch=epochs[-1].epoch + 1 if epochs else 2,
        principal=by.principal,
        reason=reason,
        restored_to=last.at if last is not None else tx.now,
        opened_at=tx.now,
    )
    tx.run(
        INSERT_EPOCH,
        epoch=epoch.epoch,
        principal=epoch.principal,
        reason=reason,
        restored_to=epoch.restored_to,
        opened_at=epoch.opened_at,
    )
    held = len(tx.run_all(HOLD_ALL))
    tx.run_all(SHOWN_BEFORE)
    for approval in tx.all(OUTSIDERS_PENDING):
        resolution = {"by": by.principal, "via": via.value, "feedback": LOST}
        end(tx, approval, Ended(ApprovalStatus.cancelled, resolution), by=by, via=via)
    withdrawn = len(tx.run_all(OUTSIDERS_APPROVED, b_now=tx.now))
    record(
        tx,
        "epoch.opened",
        stream=STREAM,
        by=by,
        via=via,
        data={
            "epoch": epoch.epoch,
            "reason": reason,
            "restored_to": rfc3339(epoch.restored_to),
            "last_event_id": last.event_id if last is not None else 0,
            "held": held,
            "withdrawn": withdrawn,
        },
    )
    return Opened(epoch, held)


def ask_after_restore(tx: Tx, defaults: Defaults) -> bool:
    """Asks people about some of the executions that a restore holds; whether there may be more."""
    held = tx.all(HELD_AFTER_RESTORE, b_limit=AT_ONCE)
    if not held:
        return False
    epochs = tx.all(EPOCHS)
    since = rfc3339(epochs[-1].restored_to) if epochs else "its backup"
    for execution in held:
        _ask(tx, execution, defaults, str(since))
    return len(held) == AT_ONCE


def _ask(tx: Tx, execution: Execution, defaults: Defaults, since: str) -> None:
    journal = tx.all(JOURNAL, b_id=execution.execution_id)
    before = tx.all(PENDING_OF_EXECUTION, b_execution=execution.execution_id)
    asked_as_a_whole = any(one.kind == Kind.in_doubt and one.position is None for one in before)
    doubtful = [step for step in journal if _may_have_run(step)]
    for step in doubtful:
        _ask_about(tx, execution, step, defaults, since)
    children = [step for step in journal if step.kind == StepKind.call and step.status == StepStatus.gated]
    asked = bool(doubtful or children) or any(step.status == StepStatus.in_doubt for step in journal)
    if not asked and not asked_as_a_whole:
        question = Question(
            kind=Kind.in_doubt,
            policy=never_ending(merge([], defaults, rules=("restore",))),
            tool_name=execution.agent,
            arguments="{}",
            title=f"Restored: may {execution.agent} go on from where the backup had it?",
            context={
                "why": f"the database was restored to its state of {since}; what this execution did after that is not "
                "known here, and it would do it again"
            },
        )
        request(tx, execution, question, arguments={})
    pending = tx.all(PENDING_OF_EXECUTION, b_execution=execution.execution_id)
    tx.run(
        SETTLE_HELD,
        b_id=execution.execution_id,
        b_held=None if asked and not asked_as_a_whole else ASKED,
        b_status=ExecutionStatus.waiting.value,
        b_open=len(pending) + len(children),
    )


def _may_have_run(step: Step) -> bool:
    """A call with an effect that the backup does not know to have ended."""
    if step.kind != StepKind.tool:
        return False
    if step.status in _MAY_HAVE_RUN:
        return step.approval_request_id is not None or step.effect != "idempotent"
    return step.status == StepStatus.proposed and step.effect != "idempotent"


def _ask_about(tx: Tx, execution: Execution, step: Step, defaults: Defaults, since: str) -> None:
    """The call is in doubt; the approval that it waited for, or had, is not asked or used any more."""
    before: ApprovalRequest | None = None
    if step.approval_request_id is not None:
        before = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=step.approval_request_id)
    question = Question(
        kind=Kind.in_doubt,
        policy=never_ending(merge([], defaults, rules=("restore",)) if before is None else before.policy),
        tool_name=step.name,
        tool_version=step.tool_version,
        arguments=step.arguments if before is None else before.run_arguments,
        position=step.position,
        title=f"In doubt after a restore: did {step.name} happen?",
        context={
            "why": f"the database was restored to its state of {since}; after that the call may have been approved and "
            "have run",
            "idempotency_key": step.idempotency_key,
        },
        supersedes=step.approval_request_id,
    )
    doubt = request(tx, execution, question, arguments=json.loads(question.arguments))
    record(
        tx,
        "call.in_doubt",
        execution_id=execution.execution_id,
        approval_request_id=doubt.approval_request_id,
        data={"tool_name": step.name, "position": step.position, "why": "restored from a backup"},
    )
    hold(tx, execution, step.position, StepStatus.in_doubt, doubt)
    if before is not None and before.pending:
        replaced(tx, before, by=SYSTEM, via=Via.system, why=LOST)
