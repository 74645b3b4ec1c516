"""How one proposed call moves: started before its effect, finished after it, in doubt, or asked about afresh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind
from agent_runtime.core.canonical import canonical, digest_of, parsed, text_digest
from agent_runtime.core.execution import Execution, Step, StepStatus
from agent_runtime.core.policy import Defaults, merge, never_ending
from agent_runtime.core.switches import scope_of
from agent_runtime.errors import InvalidRequest, LostClaim
from agent_runtime.operations.claim import guard, guard_leased, held, hold_leased, progress
from agent_runtime.operations.edits import were_edited
from agent_runtime.operations.request import Question, hold, request
from agent_runtime.operations.stop import require_running
from agent_runtime.store.approvals import CONSUME_APPROVAL, GET_APPROVAL_FOR_UPDATE, TOUCH_APPROVAL
from agent_runtime.store.events import code_version, record
from agent_runtime.store.outbox import APPROVAL_CARD, EXECUTION_PROGRESS, enqueue
from agent_runtime.store.steps import CALL, FINISH_FREE, FINISH_STARTED, RECORD_RESULT, START_STEP
from agent_runtime.store.tx import Tx, Write, own_rows

_MAY_START = frozenset({StepStatus.proposed, StepStatus.approved, StepStatus.started})


@own_rows
def start_call(
    tx: Tx,
    execution: Execution,
    position: int,
    tool_version: str,
    fits: Callable[[Mapping[str, Any]], object] = dict,
    *,
    again: bool = False,
) -> Step:
    """Commits a call as started before its effect. For a gated one this is the only way to run.

    Returns the step: started, and its `arguments` are what may run now; or gated again, and nothing may run, as its
    approval has lapsed, the tool has changed, the record is not what was approved, or people edited the arguments to
    some that the tool cannot take (`fits` raises InvalidRequest for them). One that was started before starts only with
    `again`, where whoever calls knows that another run does no harm. Raises LostClaim where the claim is gone, or the
    step cannot start, Stopped where the stop switch covers it.
    """
    call = tx.one(CALL, b_id=execution.execution_id, b_position=position, b_agent=scope_of("agent", execution.agent))
    if call is None or call.step.status not in _MAY_START or (call.step.status == StepStatus.started and not again):
        raise LostClaim(f"{execution.execution_id}: step {position} cannot start")
    step, approval, stopped = call
    if stopped:
        require_running(tx, agent=execution.agent, tool=step.name)
    if step.status == StepStatus.started:
        hold_leased(tx, execution)
        return _start_again(tx, execution, step, approval, tool_version)
    leased = guard_leased(tx, execution)
    if approval is None:
        return _start(tx, execution, step, step.arguments, leased)
    why = _lapsed(approval, step, tool_version, tx.now)
    if why:
        return _ask_again(tx, execution, step, approval, tool_version, why, approval.run_arguments)
    misfit = _misfit(approval, fits)
    if misfit:
        return _ask_again(tx, execution, step, approval, tool_version, misfit, approval.arguments)
    consume = (CONSUME_APPROVAL, {"b_id": approval.approval_request_id, "b_now": tx.now})
    return _start(tx, execution, step, approval.run_arguments, leased, consume)


def _start_again(tx: Tx, execution: Execution, step: Step, approval: ApprovalRequest | None, tool_version: str) -> Step:
    """Another attempt, under the approval that the first one used up: with the bytes that people saw, or not at all."""
    if approval is None:
        return _start(tx, execution, step, step.arguments)
    if not _intact(approval, step):
        why = "the record is not what was approved"
        return _ask_again(tx, execution, step, approval, tool_version, why, approval.run_arguments)
    return _start(tx, execution, step, approval.run_arguments)


def _start(tx: Tx, execution: Execution, step: Step, arguments: str, *before: Write) -> Step:
    """Writes the start, with what has to land `before`: the guard of the claim, and the approval that it uses up."""
    binds = {
        "b_id": execution.execution_id,
        "b_position": step.position,
        "b_fence": execution.fence,
        "b_now": tx.now,
        "b_arguments": arguments,
    }
    *landed, row = tx.together(*before, (START_STEP, binds))
    if landed and held(execution, landed[0]) and None in landed:
        raise LostClaim(f"{execution.execution_id}: the approval of step {step.position} is used up")
    assert row is not None
    started = step._replace(
        status=StepStatus.started.value,
        attempt=row.attempt,
        fence=execution.fence,
        started_at=tx.now,
        arguments=arguments,
    )
    record(
        tx,
        "call.started",
        execution_id=execution.execution_id,
        approval_request_id=step.approval_request_id,
        data={
            "tool_name": step.name,
            "position": step.position,
            "attempt": started.attempt,
            "fence": execution.fence,
            "idempotency_key": step.idempotency_key,
            "digest": text_digest(step.name, step.tool_version, arguments, None),
            "tool_version": step.tool_version,
            "agent_version": execution.agent_version,
            "code_version": code_version(),
        },
    )
    return started


def _lapsed(approval: ApprovalRequest, step: Step, tool_version: str, now: int) -> str:
    """Why this approval does not cover the call any more; "" where it does."""
    if approval.status != ApprovalStatus.approved:
        return f"its approval is {approval.status}"
    if approval.valid_until is not None and now >= approval.valid_until:
        return "the approval was not used in time"
    if tool_version != step.tool_version:
        return "the tool has changed since it was approved"
    if not _intact(approval, step):
        return "the record is not what was approved"
    return ""


def _misfit(approval: ApprovalRequest, fits: Callable[[Mapping[str, Any]], object]) -> str:
    """Why the edited arguments cannot run, whichever door let them in; "" where they can, or nobody edited any."""
    if approval.run_arguments == approval.arguments:
        return ""
    try:
        fits(parsed(approval.run_arguments))
    except InvalidRequest as error:
        return f"the edited arguments do not fit: {error.message}"
    return ""


def _intact(approval: ApprovalRequest, step: Step) -> bool:
    """Whether the stored tool, version and arguments still are those whose digest people saw."""

    def digest(arguments: str) -> str:
        return text_digest(step.name, step.tool_version, arguments, approval.preview)

    shown = digest(approval.arguments)
    runs = shown if approval.run_arguments == approval.arguments else digest(approval.run_arguments)
    edited_digest = (approval.resolution or {}).get("edited_digest", approval.digest)
    return step.digest == approval.digest == shown and runs == edited_digest


def _ask_again(
    tx: Tx, execution: Execution, step: Step, approval: ApprovalRequest, tool_version: str, why: str, arguments: str
) -> Step:
    question = Question(
        kind=Kind.tool,
        policy=approval.policy,
        tool_name=step.name,
        tool_version=tool_version,
        arguments=arguments,
        position=step.position,
        context={"why": f"asked again: {why}"},
        supersedes=approval.approval_request_id,
    )
    progress(tx, execution, opened=1)
    fresh = request(tx, execution, question, arguments=parsed(arguments))
    return hold(tx, execution, step.position, StepStatus.gated, fresh)


@own_rows
def ask_in_doubt(tx: Tx, execution: Execution, step: Step, why: str, defaults: Defaults) -> Step:
    """Nobody knows whether the call took effect: people settle it, and it waits for them for ever. Raises LostClaim."""
    progress(tx, execution, opened=1)
    return doubt(tx, execution, step, why, defaults)


def doubt(tx: Tx, execution: Execution, step: Step, why: str, defaults: Defaults) -> Step:
    """Asks what became of a call; the caller has counted the question among those that the execution has open."""
    policy = merge([], defaults, rules=("in_doubt",))
    if step.approval_request_id is not None:
        approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=step.approval_request_id)
        assert approval is not None
        policy = approval.policy
    question = Question(
        kind=Kind.in_doubt,
        policy=never_ending(policy),
        tool_name=step.name,
        tool_version=step.tool_version,
        arguments=step.arguments,
        position=step.position,
        title=f"In doubt: did {step.name} happen?",
        context={"why": why, "attempt": step.attempt, "idempotency_key": step.idempotency_key},
        supersedes=step.approval_request_id,
    )
    asked = request(tx, execution, question, arguments=parsed(step.arguments))
    record(
        tx,
        "call.in_doubt",
        execution_id=execution.execution_id,
        approval_request_id=asked.approval_request_id,
        data={"tool_name": step.name, "position": step.position, "why": why},
    )
    return hold(tx, execution, step.position, StepStatus.in_doubt, asked)


@own_rows
def finish_call(tx: Tx, execution: Execution, step: Step, status: StepStatus, result: Mapping[str, Any]) -> Step:
    """Records how a call ended: {"value": …} or {"error": …}, and what ran where people had edited it.

    The result of a started call lands also where the execution was cancelled meanwhile, so that what happened is
    known. Raises LostClaim where another worker has taken the step.
    """
    recorded, result_digest = _recorded(result)
    at = {"b_id": execution.execution_id, "b_position": step.position}
    binds = {**at, "b_status": status.value, "b_result": recorded, "b_now": tx.now}
    touch = () if step.approval_request_id is None else ((TOUCH_APPROVAL, {"b_id": step.approval_request_id}),)
    if step.status == StepStatus.started:
        row, *touched = tx.together((FINISH_STARTED, {**binds, "b_fence": step.fence}), *touch)
    else:
        landed, row, *touched = tx.together(guard(execution), (FINISH_FREE, binds), *touch)
        held(execution, landed)
    if row is None:
        raise LostClaim(f"{execution.execution_id}: another worker has taken step {step.position}")
    approval = touched[0] if touched else None
    if approval is not None and "value" in result and were_edited(tx, approval):
        recorded, _ = _recorded({**result, "ran_with": parsed(step.arguments)})
        tx.run(RECORD_RESULT, **at, b_result=recorded)
    finished = step._replace(status=status.value, result=recorded, ended_at=tx.now, attempt=row.attempt)
    record(
        tx,
        f"call.{status.value}",
        execution_id=execution.execution_id,
        approval_request_id=step.approval_request_id,
        data={
            "tool_name": step.name,
            "position": step.position,
            "attempt": finished.attempt,
            "result_digest": result_digest,
        },
    )
    if approval is not None and step.approval_request_id is not None and approval.policy.notified:
        enqueue(tx, APPROVAL_CARD, step.approval_request_id)
    if execution.origin:
        enqueue(tx, EXECUTION_PROGRESS, execution.execution_id)
    tx.wake(f"execution:{execution.execution_id}")
    return finished


def _recorded(result: Mapping[str, Any]) -> tuple[str, str]:
    """The text of what is recorded, and the digest of what the call returned, also where only its beginning is
    recorded; of what was recorded, where it returned nothing.
    """
    if "value" not in result:
        text = canonical(dict(result))
        return text, digest_of(text)
    if "truncated" in result:
        return canonical(dict(result)), str(result["truncated"]["digest"])
    value = canonical(result["value"])
    text = f'{{"value":{value}}}' if len(result) == 1 else canonical(dict(result))
    return text, digest_of(value)
