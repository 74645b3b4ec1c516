"""Settles a call in doubt: it happened, it did not, or the execution stops. Never by a plain decision."""

from __future__ import annotations

import json
from typing import Any

from agent_runtime.core.approval import (
    ApprovalRequest,
    ApprovalStatus,
    Ended,
    Kind,
    Outcome,
    already_resolved,
)
from agent_runtime.core.canonical import canonical
from agent_runtime.core.execution import Execution, ExecutionStatus, StepStatus
from agent_runtime.core.policy import may_decide
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import InvalidRequest
from agent_runtime.operations.cancel import end_execution
from agent_runtime.operations.request import Question, hold, request
from agent_runtime.operations.resolve import Resolution, end, load
from agent_runtime.store.executions import LOCK_EXECUTION, REOPEN
from agent_runtime.store.steps import ANSWER_STEP
from agent_runtime.store.tx import Tx

_STATUS = {
    Outcome.happened: ApprovalStatus.approved,
    Outcome.not_happened: ApprovalStatus.rejected,
    Outcome.stop: ApprovalStatus.cancelled,
}


def settle(
    tx: Tx,
    approval_request_id: str,
    outcome: Outcome,
    *,
    by: Actor,
    via: Via,
    result: Any = None,
    evidence: str = "",
) -> Resolution:
    """Ends an in-doubt approval and says what becomes of the call.

    `happened` records `result` (any JSON value) as the call's own; `not_happened` asks afresh and then runs it; `stop`
    fails the execution. Settling the same way again returns the first settlement. Raises as `resolve` does, and
    InvalidRequest for an approval of another kind.
    """
    doubt = load(tx, approval_request_id)
    may_decide(doubt.policy, requested_by=doubt.requested_by, by=by, via=via, widened=bool(doubt.widened))
    if doubt.kind != Kind.in_doubt:
        raise InvalidRequest(f"outcome: an approval of kind {doubt.kind} is decided, not settled")
    if doubt.position is None and outcome is Outcome.happened:
        raise InvalidRequest("outcome: no single call is in doubt here; settle with not_happened (try again) or stop")
    if not doubt.pending:
        settled = doubt.resolution or {}
        if settled.get("outcome") == outcome.value and settled.get("by") == by.principal:
            return Resolution(doubt, already_processed=True)
        raise already_resolved(doubt)
    resolution: dict[str, Any] = {"by": by.principal, "via": via.value, "feedback": evidence, "outcome": outcome.value}
    if by.asserted_by:
        resolution["asserted_by"] = by.asserted_by
    ended = end(tx, doubt, Ended(_STATUS[outcome], resolution), by=by, via=via)
    execution = tx.one(LOCK_EXECUTION, b_id=doubt.execution_id)
    if execution is None or execution.terminal:
        return Resolution(ended)
    if outcome is Outcome.happened:
        _answer(tx, doubt, StepStatus.succeeded, {"value": result, "settled_by": by.principal})
    elif outcome is Outcome.stop:
        _answer(tx, doubt, StepStatus.failed, {"error": "in doubt; a person stopped the execution"})
        error = {"type": "InDoubt", "message": f"{doubt.tool_name}: a person stopped the execution"}
        end_execution(tx, execution, ExecutionStatus.failed, error=error, finish_reason="STOPPED", by=by, via=via)
    elif doubt.position is not None:
        _ask_again(tx, execution, doubt, doubt.position)
    return Resolution(ended)


def _answer(tx: Tx, doubt: ApprovalRequest, status: StepStatus, result: dict[str, Any]) -> None:
    if doubt.position is None:
        return
    tx.run(
        ANSWER_STEP,
        b_id=doubt.execution_id,
        b_position=doubt.position,
        b_status=status.value,
        b_result=canonical(result),
        b_ended=tx.now,
    )


def _ask_again(tx: Tx, execution: Execution, doubt: ApprovalRequest, position: int) -> None:
    """It did not happen: the call runs after a fresh approval, never by the settlement itself."""
    question = Question(
        kind=Kind.tool,
        policy=doubt.policy,
        tool_name=doubt.tool_name,
        tool_version=doubt.tool_version,
        arguments=doubt.arguments,
        position=position,
        supersedes=doubt.approval_request_id,
    )
    fresh = request(tx, execution, question, arguments=json.loads(doubt.arguments))
    tx.run(REOPEN, b_id=execution.execution_id)
    hold(tx, execution, position, StepStatus.gated, fresh)
