"""Settles a call in doubt: it happened, it did not, or the execution stops. Never by a plain decision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind, Outcome, already_resolved
from agent_runtime.core.canonical import canonical, digest
from agent_runtime.core.deciding import Ended
from agent_runtime.core.execution import Execution, ExecutionStatus, StepStatus
from agent_runtime.core.permit import PermitStatus
from agent_runtime.core.policy import may_decide
from agent_runtime.core.principal import Actor, Via
from agent_runtime.core.shown import given_context
from agent_runtime.core.text import check_words
from agent_runtime.errors import InvalidRequest
from agent_runtime.operations.cancel import end_execution
from agent_runtime.operations.edits import were_edited
from agent_runtime.operations.request import Asker, Question, begin, hold, request
from agent_runtime.operations.resolve import Resolution, end, load, refusals_recorded
from agent_runtime.store.approvals import GET_APPROVAL, TOUCH_APPROVAL
from agent_runtime.store.epochs import LET_GO
from agent_runtime.store.events import record
from agent_runtime.store.executions import LOCK_EXECUTION, REOPEN
from agent_runtime.store.outbox import APPROVAL_CARD, enqueue
from agent_runtime.store.permits import SETTLE_PERMIT
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
    fails the execution. Where that has ended already, what was found is recorded and nothing runs. Settling the same
    way again returns the first settlement. Raises as `resolve` does, and InvalidRequest for one of another kind.
    """
    check_words(evidence, "evidence")
    doubt = load(tx, approval_request_id)
    with refusals_recorded(doubt, by, via):
        may_decide(doubt.policy, requested_by=doubt.requested_by, by=by, via=via, widened=bool(doubt.widened))
    if doubt.kind != Kind.in_doubt:
        raise InvalidRequest(f"outcome: an approval of kind {doubt.kind} is decided, not settled")
    if doubt.execution_id is not None and doubt.position is None and outcome is Outcome.happened:
        raise InvalidRequest("outcome: no single call is in doubt here; settle with not_happened (try again) or stop")
    resolution = _resolution(outcome, result, evidence, by, via)
    if not doubt.pending:
        if _said(doubt.resolution or {}) == _said(resolution):
            return Resolution(doubt, already_processed=True)
        raise already_resolved(doubt)
    ended = end(tx, doubt, Ended(_STATUS[outcome], resolution), by=by, via=via)
    if doubt.execution_id is None:
        _settle_permit(tx, doubt, outcome, result, by=by, via=via)
        return Resolution(ended)
    execution = tx.one(LOCK_EXECUTION, b_id=doubt.execution_id)
    if execution is None:
        return Resolution(ended)
    if doubt.position is None and tx.run(LET_GO, b_id=execution.execution_id):
        tx.wake("queued")
    if execution.terminal and outcome is not Outcome.happened:
        _answer(tx, doubt, StepStatus.failed, {"error": "in doubt; a person settled it after the end: not run again"})
    elif outcome is Outcome.happened:
        ran_with = {"ran_with": json.loads(doubt.arguments)} if were_edited(tx, doubt) else {}
        _answer(tx, doubt, StepStatus.succeeded, {"value": result, "settled_by": by.principal, **ran_with})
    elif outcome is Outcome.stop:
        _answer(tx, doubt, StepStatus.failed, {"error": "in doubt; a person stopped the execution"})
        error = {"type": "InDoubt", "message": f"{doubt.tool_name}: a person stopped the execution"}
        end_execution(tx, execution, ExecutionStatus.failed, error=error, finish_reason="STOPPED", by=by, via=via)
    elif doubt.position is not None:
        _ask_again(tx, execution, doubt, doubt.position)
    return Resolution(ended)


def _resolution(outcome: Outcome, result: Any, evidence: str, by: Actor, via: Via) -> dict[str, Any]:
    resolution: dict[str, Any] = {"by": by.principal, "via": via.value, "feedback": evidence, "outcome": outcome.value}
    if by.asserted_by:
        resolution["asserted_by"] = by.asserted_by
    if outcome is Outcome.happened:
        resolution["result_digest"] = digest(result)
    return resolution


def _said(resolution: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two settlements the same."""
    return tuple(resolution.get(field) for field in ("by", "outcome", "feedback", "result_digest"))


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


def _settle_permit(tx: Tx, doubt: ApprovalRequest, outcome: Outcome, result: Any, *, by: Actor, via: Via) -> None:
    """The call was an outside agent's: its approval tells it what was found, or which fresh one to wait for."""
    approval = load(tx, doubt.supersedes or "")
    fresh = _ask_outsider_again(tx, doubt, approval) if outcome is Outcome.not_happened else None
    tx.run(
        SETTLE_PERMIT,
        b_id=approval.approval_request_id,
        b_status=_PERMIT[outcome].value,
        b_now=tx.now,
        b_result=canonical(result) if outcome is Outcome.happened and result is not None else None,
        b_fresh=None if fresh is None else fresh.approval_request_id,
    )
    data = {"outcome": outcome.value, **({"fresh": fresh.approval_request_id} if fresh else {})}
    record(tx, "approval.settled", approval_request_id=approval.approval_request_id, by=by, via=via, data=data)
    tx.run(TOUCH_APPROVAL, b_id=approval.approval_request_id)
    if approval.policy.notified:
        enqueue(tx, APPROVAL_CARD, approval.approval_request_id)
    tx.wake(f"approval:{approval.approval_request_id}")


_PERMIT = {
    Outcome.happened: PermitStatus.succeeded,
    Outcome.not_happened: PermitStatus.not_happened,
    Outcome.stop: PermitStatus.stopped,
}


def _ask_outsider_again(tx: Tx, doubt: ApprovalRequest, approval: ApprovalRequest) -> ApprovalRequest:
    question = Question(
        kind=Kind.external,
        policy=approval.policy,
        tool_name=approval.tool_name,
        tool_version=approval.tool_version,
        arguments=approval.run_arguments,
        title=approval.title,
        context={"why": "asked again: it did not happen", **given_context(approval)},
        supersedes=doubt.approval_request_id,
        url=approval.url,
        preview=None if approval.preview is None else json.loads(approval.preview),
        callback_url=approval.callback_url,
    )
    return begin(tx, Asker(approval.requested_by), question, arguments=json.loads(approval.run_arguments))


def _ask_again(tx: Tx, execution: Execution, doubt: ApprovalRequest, position: int) -> None:
    """It did not happen: the call runs after a fresh approval, never by the settlement itself."""
    before = tx.one(GET_APPROVAL, b_id=doubt.supersedes) if doubt.supersedes else None
    question = Question(
        kind=Kind.tool,
        policy=doubt.policy if before is None else before.policy,
        tool_name=doubt.tool_name,
        tool_version=doubt.tool_version,
        arguments=doubt.arguments,
        position=position,
        context={"why": "asked again: it did not happen"},
        supersedes=doubt.approval_request_id,
    )
    fresh = request(tx, execution, question, arguments=json.loads(doubt.arguments))
    tx.run(REOPEN, b_id=execution.execution_id)
    hold(tx, execution, position, StepStatus.gated, fresh)
