"""How a claimed execution moves: a reply of the model with the calls it proposes, a call's start, a call's end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Kind
from agent_runtime.core.canonical import call_digest, canonical
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.policy import Defaults, Policy, merge
from agent_runtime.core.principal import SYSTEM, Via
from agent_runtime.errors import LostClaim
from agent_runtime.operations.cancel import announce_end, withdraw
from agent_runtime.operations.claim import progress
from agent_runtime.operations.request import Question, hold, request
from agent_runtime.store.approvals import CONSUME_APPROVAL, GET_APPROVAL_FOR_UPDATE, TOUCH_APPROVAL
from agent_runtime.store.events import record
from agent_runtime.store.executions import COMPLETE
from agent_runtime.store.outbox import APPROVAL_CARD, EXECUTION_PROGRESS, enqueue
from agent_runtime.store.rows import binds_of
from agent_runtime.store.steps import FINISH_FREE, FINISH_STARTED, GET_STEP, INSERT_STEP, START_STEP
from agent_runtime.store.tx import Tx


@dataclass(frozen=True, slots=True)
class ProposedCall:
    """One call that the model wants. `arguments` are validated, with defaults filled in; `problem` is why it cannot
    run.

    `policy` None: nothing gates it.
    """

    call_id: str
    tool_name: str
    arguments: Mapping[str, Any]
    tool_version: str = "1"
    effect: str = "idempotent"
    policy: Policy | None = None
    problem: str = ""


def record_reply(
    tx: Tx, execution: Execution, position: int, turn: int, reply: Mapping[str, Any], calls: Sequence[ProposedCall]
) -> list[Step]:
    """Writes the model's reply at `position` and its calls behind it; asks for every decision they need, at once.

    Returns the new steps. Raises LostClaim.
    """
    progress(tx, execution, opened=sum(call.policy is not None and not call.problem for call in calls))
    steps = [_step(tx, execution, position, turn, StepKind.model, "model", result=canonical(dict(reply)))]
    tx.later(INSERT_STEP, **binds_of(steps[0]))
    words = str(reply["message"].get("content") or "")
    for offset, call in enumerate(calls, start=1):
        step = _propose(tx, execution, position + offset, turn, call, words)
        (tx.run if step.status == StepStatus.gated else tx.later)(INSERT_STEP, **binds_of(step))
        steps.append(step)
    if execution.origin:
        enqueue(tx, EXECUTION_PROGRESS, execution.execution_id)
    tx.wake(f"execution:{execution.execution_id}")
    return steps


def record_note(tx: Tx, execution: Execution, position: int, turn: int, content: str) -> Step:
    """Writes something that the model is told at `position`, such as why its answer does not fit. Raises LostClaim."""
    progress(tx, execution)
    step = _step(tx, execution, position, turn, StepKind.note, "note", result=canonical({"content": content}))
    tx.later(INSERT_STEP, **binds_of(step))
    return step


def _propose(tx: Tx, execution: Execution, position: int, turn: int, call: ProposedCall, words: str) -> Step:
    arguments = canonical(dict(call.arguments))
    status, approval_id, result = StepStatus.proposed, None, None
    if call.problem:
        status, result = StepStatus.failed, canonical({"error": call.problem})
    elif call.policy is not None:
        question = Question(
            kind=Kind.tool,
            policy=call.policy,
            tool_name=call.tool_name,
            tool_version=call.tool_version,
            arguments=arguments,
            position=position,
            context={"words": words} if words else None,
        )
        approval_id = request(tx, execution, question, arguments=call.arguments).approval_request_id
        status = StepStatus.gated
    return _step(
        tx,
        execution,
        position,
        turn,
        StepKind.tool,
        call.tool_name,
        call_id=call.call_id,
        status=status,
        effect=call.effect,
        arguments=arguments,
        digest=call_digest(call.tool_name, call.tool_version, call.arguments, None),
        tool_version=call.tool_version,
        approval_request_id=approval_id,
        result=result,
    )


def _step(
    tx: Tx,
    execution: Execution,
    position: int,
    turn: int,
    kind: StepKind,
    name: str,
    *,
    call_id: str = "",
    status: StepStatus = StepStatus.succeeded,
    effect: str = "",
    arguments: str = "{}",
    digest: str = "",
    tool_version: str = "",
    approval_request_id: str | None = None,
    result: str | None = None,
) -> Step:
    return Step(
        execution_id=execution.execution_id,
        position=position,
        turn=turn,
        kind=kind.value,
        name=name,
        call_id=call_id,
        status=status.value,
        effect=effect,
        arguments=arguments,
        digest=digest,
        tool_version=tool_version,
        idempotency_key=f"{execution.execution_id}:{position}" if kind is StepKind.tool else "",
        approval_request_id=approval_request_id,
        result=result,
        attempt=0,
        fence=execution.fence,
        created_at=tx.now,
        started_at=None,
        ended_at=None if result is None else tx.now,
    )


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The call is committed as started: it may run now, with exactly `arguments`."""

    step: Step
    arguments: Mapping[str, Any]
    edited: bool = False


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """The approval no longer covers the call; people are asked afresh, and nothing ran."""

    step: Step


def start_call(tx: Tx, execution: Execution, position: int, tool_version: str) -> CallStarted | AskedAgain:
    """Commits a call as started before its effect. For a gated one this is the only way to run.

    A gated call needs its approval approved, unconsumed and still valid, for the very digest and tool version; where it
    has lapsed or the tool has changed, people are asked afresh. Raises LostClaim where the claim or the step is gone.
    """
    progress(tx, execution)
    step = tx.one(GET_STEP, b_id=execution.execution_id, b_position=position)
    if step is None or not step.open:
        raise LostClaim(f"{execution.execution_id}: step {position} has ended")
    arguments, edited = step.arguments, False
    if step.approval_request_id is not None and step.status != StepStatus.started:
        approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=step.approval_request_id)
        assert approval is not None
        why = _lapsed(approval, step, tool_version, tx.now)
        if why:
            return AskedAgain(_ask_again(tx, execution, step, approval, tool_version, why))
        if tx.run(CONSUME_APPROVAL, b_id=approval.approval_request_id, b_now=tx.now) is None:
            raise LostClaim(f"{execution.execution_id}: step {position} has no unconsumed approval")
        arguments, edited = approval.run_arguments, approval.run_arguments != approval.arguments
    started = tx.run(
        START_STEP,
        b_id=execution.execution_id,
        b_position=position,
        b_fence=execution.fence,
        b_now=tx.now,
        b_arguments=arguments,
    )
    if started is None:
        raise LostClaim(f"{execution.execution_id}: step {position} cannot start any more")
    parsed = json.loads(arguments)
    record(
        tx,
        "call.started",
        execution_id=execution.execution_id,
        approval_request_id=step.approval_request_id,
        data={
            "tool_name": step.name,
            "position": position,
            "attempt": started.attempt,
            "fence": execution.fence,
            "idempotency_key": step.idempotency_key,
            "digest": call_digest(step.name, step.tool_version, parsed, None),
        },
    )
    return CallStarted(started, parsed, edited)


def _lapsed(approval: ApprovalRequest, step: Step, tool_version: str, now: int) -> str:
    """Why this approval does not cover the call any more; "" where it does."""
    if approval.status != "approved":
        return f"its approval is {approval.status}"
    if approval.valid_until is not None and now >= approval.valid_until:
        return "the approval was not used in time"
    if tool_version != step.tool_version or approval.digest != step.digest:
        return "the tool has changed since it was approved"
    return ""


def _ask_again(
    tx: Tx, execution: Execution, step: Step, approval: ApprovalRequest, tool_version: str, why: str
) -> Step:
    arguments = json.loads(approval.run_arguments)
    question = Question(
        kind=Kind.tool,
        policy=approval.policy,
        tool_name=step.name,
        tool_version=tool_version,
        arguments=approval.run_arguments,
        position=step.position,
        context={"why": f"asked again: {why}"},
        supersedes=approval.approval_request_id,
    )
    progress(tx, execution, opened=1)
    fresh = request(tx, execution, question, arguments=arguments)
    return hold(tx, execution, step.position, StepStatus.gated, fresh)


def ask_in_doubt(tx: Tx, execution: Execution, step: Step, why: str, defaults: Defaults) -> Step:
    """Nobody knows whether the call took effect: people settle it. The journal holds it meanwhile."""
    progress(tx, execution, opened=1)
    policy = merge([], defaults, rules=("in_doubt",))
    if step.approval_request_id is not None:
        approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=step.approval_request_id)
        assert approval is not None
        policy = approval.policy
    question = Question(
        kind=Kind.in_doubt,
        policy=policy,
        tool_name=step.name,
        tool_version=step.tool_version,
        arguments=step.arguments,
        position=step.position,
        title=f"In doubt: did {step.name} happen?",
        context={"why": why, "attempt": step.attempt, "idempotency_key": step.idempotency_key},
        supersedes=step.approval_request_id,
    )
    doubt = request(tx, execution, question, arguments=json.loads(step.arguments))
    record(
        tx,
        "call.in_doubt",
        execution_id=execution.execution_id,
        approval_request_id=doubt.approval_request_id,
        data={"tool_name": step.name, "position": step.position, "why": why},
    )
    return hold(tx, execution, step.position, StepStatus.in_doubt, doubt)


def finish_call(tx: Tx, execution: Execution, step: Step, status: StepStatus, result: Mapping[str, Any]) -> Step:
    """Records how a call ended: {"value": …} or {"error": …}.

    The result of a started call lands also where the execution was cancelled meanwhile, so that what happened is
    known. Raises LostClaim where another worker has taken the step.
    """
    binds = {
        "b_id": execution.execution_id,
        "b_position": step.position,
        "b_status": status.value,
        "b_result": canonical(dict(result)),
        "b_now": tx.now,
    }
    if step.status == StepStatus.started:
        finished = tx.run(FINISH_STARTED, b_fence=step.fence, **binds)
    else:
        progress(tx, execution)
        finished = tx.run(FINISH_FREE, **binds)
    if finished is None:
        raise LostClaim(f"{execution.execution_id}: another worker has taken step {step.position}")
    record(
        tx,
        f"call.{status.value}",
        execution_id=execution.execution_id,
        approval_request_id=step.approval_request_id,
        data={"tool_name": step.name, "position": step.position, "attempt": finished.attempt},
    )
    if step.approval_request_id is not None:
        _show_on_card(tx, step.approval_request_id)
    if execution.origin:
        enqueue(tx, EXECUTION_PROGRESS, execution.execution_id)
    tx.wake(f"execution:{execution.execution_id}")
    return finished


def _show_on_card(tx: Tx, approval_request_id: str) -> None:
    """The card tells how the approved call ended."""
    approval = tx.run(TOUCH_APPROVAL, b_id=approval_request_id)
    if approval is not None and approval.policy.notified:
        enqueue(tx, APPROVAL_CARD, approval_request_id)


def complete(
    tx: Tx,
    execution: Execution,
    status: ExecutionStatus,
    *,
    output: Mapping[str, Any] | None,
    error: Mapping[str, str] | None = None,
    finish_reason: str,
) -> None:
    """Ends an execution that this worker holds, and withdraws what it still asks. Raises LostClaim."""
    done = tx.run(
        COMPLETE,
        b_id=execution.execution_id,
        b_fence=execution.fence,
        b_status=status.value,
        b_result=None if output is None else canonical(dict(output)),
        b_error=None if error is None else canonical(dict(error)),
        b_finish_reason=finish_reason,
        b_now=tx.now,
    )
    if done is None:
        raise LostClaim(f"{execution.execution_id}: another worker holds it, or it has ended")
    record(
        tx,
        f"execution.{status.value}",
        execution_id=execution.execution_id,
        data={"finish_reason": finish_reason, **({"error": dict(error)} if error else {})},
    )
    withdraw(tx, execution.execution_id, by=SYSTEM, via=Via.system)
    announce_end(tx, execution)
