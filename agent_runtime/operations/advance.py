"""How a claimed execution moves: a reply of the model with the calls that it proposes, a note, its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.core.approval import Kind
from agent_runtime.core.canonical import canonical, text_digest
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.journal import Finish
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import SYSTEM, Via
from agent_runtime.operations.cancel import announce_end, withdraw
from agent_runtime.operations.claim import held, progress, rest, tell_rest
from agent_runtime.operations.request import Question, request
from agent_runtime.store.events import record
from agent_runtime.store.executions import COMPLETE
from agent_runtime.store.outbox import EXECUTION_PROGRESS, enqueue
from agent_runtime.store.rows import binds_of
from agent_runtime.store.steps import INSERT_STEP
from agent_runtime.store.tx import Tx, own_rows


@dataclass(frozen=True, slots=True)
class ProposedCall:
    """One call that the model wants. `arguments` are validated, with defaults filled in; `policy` None: nothing gates
    it; `problem` is why it cannot run.
    """

    call_id: str
    tool_name: str
    arguments: Mapping[str, Any]
    tool_version: str = "1"
    effect: str = "idempotent"
    policy: Policy | None = None
    problem: str = ""
    title: str = ""
    shadowed: Mapping[str, Any] = field(default_factory=dict)
    """What gates in shadow mode would have asked (`core.checkpoints.shadowed`): recorded, nothing more."""

    @property
    def gated(self) -> bool:
        """Whether people are asked."""
        return self.policy is not None and not self.problem


@own_rows
def record_reply(
    tx: Tx,
    execution: Execution,
    position: int,
    turn: int,
    reply: Mapping[str, Any],
    calls: Sequence[ProposedCall],
    *,
    seen: int | None = None,
    answer: Finish | None = None,
) -> list[Step]:
    """Writes the model's reply at `position` and its calls behind it; asks for every decision they need, at once.

    Where nothing is left to run until people have decided, `seen` has the signals that the worker has seen, and the
    execution parks in the same transaction; with `answer`, the model's last word, it ends in it. Returns the new
    steps. Raises LostClaim.
    """
    opened = sum(call.gated for call in calls)
    status = None
    if seen is not None:
        status = rest(tx, execution, seen, opened=opened)
    elif answer is None:
        progress(tx, execution, opened=opened)
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
    if status is not None:
        tell_rest(tx, execution, status)
    elif answer is not None:
        output = {"result": answer.text, "finishReason": answer.finish_reason}
        complete(tx, execution, ExecutionStatus.succeeded, output=output, finish_reason=answer.finish_reason)
    return steps


@own_rows
def record_note(tx: Tx, execution: Execution, position: int, turn: int, content: str) -> Step:
    """Writes something that the model is told at `position`, such as why its answer does not fit. Raises LostClaim."""
    progress(tx, execution)
    step = _step(tx, execution, position, turn, StepKind.note, "note", result=canonical({"content": content}))
    tx.later(INSERT_STEP, **binds_of(step))
    return step


def _propose(tx: Tx, execution: Execution, position: int, turn: int, call: ProposedCall, words: str) -> Step:
    arguments = canonical(dict(call.arguments))
    if call.shadowed:
        record(
            tx,
            "policy.shadowed",
            execution_id=execution.execution_id,
            data={"tool_name": call.tool_name, "position": position, **call.shadowed},
        )
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
            title=call.title,
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
        digest=text_digest(call.tool_name, call.tool_version, arguments, None),
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


@own_rows
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
    still_open = held(execution, done).open_approvals
    record(
        tx,
        f"execution.{status.value}",
        execution_id=execution.execution_id,
        data={"finish_reason": finish_reason, **({"error": dict(error)} if error else {})},
    )
    if still_open:
        withdraw(tx, execution, by=SYSTEM, via=Via.system)
    announce_end(tx, execution, status)
