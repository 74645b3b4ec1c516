"""How a reasoner's execution moves: a durable record, a pause that people end, a child that it waits for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind
from agent_runtime.core.canonical import canonical
from agent_runtime.core.execution import LEASE, Execution, ExecutionStatus, Step, StepKind, StepStatus
from agent_runtime.core.ids import APPROVAL_REQUEST_ID, APPROVAL_REQUEST_ID_RULE
from agent_runtime.core.notes import Note
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import Conflict, InvalidRequest
from agent_runtime.operations.advance import complete
from agent_runtime.operations.claim import hold_claim, progress
from agent_runtime.operations.request import Question, request
from agent_runtime.operations.start import Start, start
from agent_runtime.store.approvals import (
    ADOPT_APPROVAL,
    GET_APPROVAL,
    GET_APPROVAL_FOR_UPDATE,
    UNUSED_ANSWERS,
    USE_ANSWER,
)
from agent_runtime.store.events import NOTED, record
from agent_runtime.store.executions import GET_EXECUTION, RECLAIM
from agent_runtime.store.outbox import EXECUTION_PROGRESS, enqueue
from agent_runtime.store.rows import binds_of
from agent_runtime.store.steps import INSERT_STEP, STEPS_AT, STEPS_AT_ONCE
from agent_runtime.store.tx import Tx, own_rows


@dataclass(frozen=True, slots=True)
class Record:
    """One durable thing under its `key` in the journal; see core.replay. `arguments` is canonical JSON text."""

    key: str
    position: int
    kind: StepKind
    name: str
    digest: str
    arguments: str = "{}"


# --- what a copy of the code takes up ---


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a replay needs beside the journal: the notes that are written, and the approvals that have ended and whose
    answer no code has got yet.
    """

    notes: Sequence[Note]
    unused: frozenset[str]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was answered, out of that which is waited for; `signals` counts what was decided up to now."""

    signals: int
    steps: Sequence[Step]
    approvals: Sequence[ApprovalRequest]


@own_rows
def recall(tx: Tx, execution: Execution) -> Recalled:
    """For a new copy of the code, which has read the journal. Raises LostClaim."""
    hold_claim(tx, execution)
    said = [json.loads(row.data) for row in tx.all(NOTED, b_stream=execution.execution_id)]
    notes = [Note(data["message"], tuple(data["tags"])) for data in said]
    unused = tx.all(UNUSED_ANSWERS, b_execution=execution.execution_id)
    return Recalled(notes, frozenset(row.approval_request_id for row in unused))


@own_rows
def hear(tx: Tx, execution: Execution, positions: Sequence[int], approval_request_ids: Sequence[str]) -> Heard:
    """What has been answered of the steps and approvals that the code waits for. Raises LostClaim.

    The answers of pauses are used up with this: they go to this execution's code and to nobody else's.
    """
    signals = hold_claim(tx, execution).signals
    steps: list[Step] = []
    for first in range(0, len(positions), STEPS_AT_ONCE):
        some = positions[first : first + STEPS_AT_ONCE]
        binds = {f"b_{n}": some[n] if n < len(some) else -1 for n in range(STEPS_AT_ONCE)}
        steps += [step for step in tx.all(STEPS_AT, b_id=execution.execution_id, **binds) if not step.open]
    for step in steps:
        if step.approval_request_id is not None:
            tx.run(USE_ANSWER, b_id=step.approval_request_id, b_now=tx.now)
    resumed = [tx.one(GET_APPROVAL, b_id=approval_request_id) for approval_request_id in approval_request_ids]
    return Heard(signals, steps, [approval for approval in resumed if approval is not None and not approval.pending])


@own_rows
def use_answer(tx: Tx, execution: Execution, approval_request_id: str) -> None:
    """The code goes on with an answer that it finds in the journal. Raises LostClaim."""
    hold_claim(tx, execution)
    tx.run(USE_ANSWER, b_id=approval_request_id, b_now=tx.now)


# --- what it writes ---


@own_rows
def record_done(
    tx: Tx, execution: Execution, wanted: Record, notes: Sequence[Note], status: StepStatus, result: Mapping[str, Any]
) -> Step:
    """Writes a durable thing that is done, with the notes said before it. Raises LostClaim."""
    progress(tx, execution)
    return _insert(tx, execution, wanted, status, notes, result=canonical(dict(result)))


@own_rows
def finish(
    tx: Tx,
    execution: Execution,
    notes: Sequence[Note],
    status: ExecutionStatus,
    *,
    output: Mapping[str, Any],
    error: Mapping[str, str] | None,
    finish_reason: str,
) -> None:
    """The code has come to its end, with its last notes. Raises LostClaim."""
    _record_notes(tx, execution, notes)
    complete(tx, execution, status, output=output, error=error, finish_reason=finish_reason)


@own_rows
def pause(
    tx: Tx,
    execution: Execution,
    wanted: Record,
    notes: Sequence[Note],
    policy: Policy,
    *,
    approval_request_id: str | None,
    title: str,
    url: str,
) -> Step:
    """Asks people on behalf of a reasoner. The id is the caller's, or minted.

    Raises InvalidRequest for an id that cannot be one, Conflict naming the execution that has it already, LostClaim.
    """
    if approval_request_id is not None:
        _check_new_id(tx, approval_request_id)
    progress(tx, execution, opened=1)
    arguments = json.loads(execution.input).get("input", {})
    question = Question(
        kind=Kind.pause,
        policy=policy,
        tool_name=f"{execution.agent}.{execution.reasoner}",
        arguments=canonical(arguments),
        position=wanted.position,
        title=title or f"{execution.agent} waits for a decision",
        context={"notes": [note.message for note in notes]} if notes else None,
        url=url,
        approval_request_id=approval_request_id,
    )
    approval = request(tx, execution, question, arguments=arguments)
    return _insert(tx, execution, wanted, StepStatus.gated, notes, approval_request_id=approval.approval_request_id)


def adopt(tx: Tx, execution: Execution, approval_request_id: str) -> ApprovalRequest | None:
    """The approval that a reasoner resumes after a crash, or None where nothing has that id.

    Its own is returned as it is. One of an execution that ended without using it, with the same agent, reasoner and
    input, becomes this execution's. Raises Conflict naming the execution that has it otherwise, LostClaim.
    """
    approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=approval_request_id)
    if approval is None or approval.execution_id == execution.execution_id:
        return approval
    owner = tx.one(GET_EXECUTION, b_id=approval.execution_id or "")
    _check_adoptable(approval, owner, execution)
    progress(tx, execution, opened=1 if approval.pending else 0)
    adopted = tx.run(ADOPT_APPROVAL, b_id=approval_request_id, b_execution=execution.execution_id)
    record(
        tx,
        "approval.taken_over",
        execution_id=execution.execution_id,
        approval_request_id=approval_request_id,
        data={"from": approval.execution_id or ""},
    )
    return adopted


def _check_adoptable(approval: ApprovalRequest, owner: Execution | None, execution: Execution) -> None:
    said = f"approval_request_id: {approval.approval_request_id!r} belongs to {approval.execution_id or 'an outsider'}"
    if owner is not None and not owner.terminal:
        raise Conflict(f"{said}, which resumes by itself")
    same = owner is not None and (owner.agent, owner.reasoner, owner.input_digest) == (
        execution.agent,
        execution.reasoner,
        execution.input_digest,
    )
    if not same or approval.kind != Kind.pause:
        raise Conflict(f"{said}; only an execution with the same agent, reasoner and input can take it over")
    if approval.consumed_at is not None:
        raise Conflict(f"{said}, which has used it")


@own_rows
def resume(tx: Tx, execution: Execution, wanted: Record, notes: Sequence[Note], result: Mapping[str, Any]) -> Step:
    """Writes that the code goes on with an approval that it resumed, and how that ended. Raises LostClaim.

    From here on a replay goes the same way. An answer is used up with this; a wait that timed out has none.
    """
    progress(tx, execution)
    if result["decision"] in _ANSWERS:
        tx.run(USE_ANSWER, b_id=wanted.name, b_now=tx.now)
    return _insert(
        tx,
        execution,
        wanted,
        StepStatus.succeeded,
        notes,
        result=canonical(dict(result)),
        approval_request_id=wanted.name,
    )


_ANSWERS = frozenset(ApprovalStatus) - {ApprovalStatus.pending, ApprovalStatus.cancelled}


@own_rows
def call_child(tx: Tx, execution: Execution, wanted: Record, notes: Sequence[Note], child: Start) -> Step:
    """Starts a child execution and waits for it as for people: one more thing is open.

    Raises NotFound for an agent or reasoner that is not there, InvalidRequest for input that it cannot take, LostClaim.
    """
    progress(tx, execution, opened=1)
    by = Actor(execution.requested_by)
    started = start(tx, child, by=by, via=Via.system, parent=execution, parent_position=wanted.position)
    return _insert(
        tx, execution, wanted, StepStatus.gated, notes, result=canonical({"child": started.execution.execution_id})
    )


@own_rows
def reclaim(tx: Tx, execution: Execution, worker_id: str) -> Execution | None:
    """Takes a waiting execution back for the coroutine that its own worker still holds, which has more to do."""
    claimed = tx.run(
        RECLAIM, b_id=execution.execution_id, b_fence=execution.fence, b_worker=worker_id, b_lease=tx.now + LEASE
    )
    if claimed is not None:
        record(tx, "execution.claimed", execution_id=execution.execution_id, data={"fence": claimed.fence})
    return claimed


def _record_notes(tx: Tx, execution: Execution, notes: Sequence[Note]) -> None:
    """Into the audit trail; what they are written with guards the claim."""
    for note in notes:
        data = {"message": note.message, "tags": list(note.tags)}
        record(tx, "execution.noted", execution_id=execution.execution_id, data=data)


def _check_new_id(tx: Tx, approval_request_id: str) -> None:
    if not APPROVAL_REQUEST_ID.fullmatch(approval_request_id):
        raise InvalidRequest(f"approval_request_id: {approval_request_id!r} {APPROVAL_REQUEST_ID_RULE}")
    taken = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=approval_request_id)
    if taken is not None:
        raise Conflict(
            f"approval_request_id: {approval_request_id!r} belongs to {taken.execution_id or 'an outsider'}; an id is "
            "used once, for ever: give each question its own, such as one with the round in it"
        )


def _insert(
    tx: Tx,
    execution: Execution,
    wanted: Record,
    status: StepStatus,
    notes: Sequence[Note],
    *,
    result: str | None = None,
    approval_request_id: str | None = None,
) -> Step:
    _record_notes(tx, execution, notes)
    step = Step(
        execution_id=execution.execution_id,
        position=wanted.position,
        turn=0,
        kind=wanted.kind.value,
        name=wanted.name,
        call_id=wanted.key,
        status=status.value,
        effect="",
        arguments=wanted.arguments,
        digest=wanted.digest,
        tool_version="",
        idempotency_key="",
        approval_request_id=approval_request_id,
        result=result,
        attempt=1,
        fence=execution.fence,
        created_at=tx.now,
        started_at=None,
        ended_at=tx.now if status is not StepStatus.gated else None,
    )
    tx.run(INSERT_STEP, **binds_of(step))
    if execution.origin:
        enqueue(tx, EXECUTION_PROGRESS, execution.execution_id)
    tx.wake(f"execution:{execution.execution_id}")
    return step
