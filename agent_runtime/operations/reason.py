"""How a reasoner's execution moves: a durable record, a pause that people end, a child that it waits for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Kind
from agent_runtime.core.canonical import canonical
from agent_runtime.core.execution import LEASE, Execution, Step, StepKind, StepStatus
from agent_runtime.core.ids import APPROVAL_REQUEST_ID
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import Conflict, InvalidRequest
from agent_runtime.operations.claim import progress
from agent_runtime.operations.request import Question, request
from agent_runtime.operations.start import Start, start
from agent_runtime.store.approvals import ADOPT_APPROVAL, GET_APPROVAL_FOR_UPDATE
from agent_runtime.store.events import record
from agent_runtime.store.executions import GET_EXECUTION, RECLAIM
from agent_runtime.store.outbox import EXECUTION_PROGRESS, enqueue
from agent_runtime.store.rows import binds_of
from agent_runtime.store.steps import INSERT_STEP
from agent_runtime.store.tx import Tx


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the reasoner said for the record."""

    message: str
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One durable thing under its `key` in the journal; see core.replay."""

    key: str
    position: int
    kind: StepKind
    name: str
    digest: str


def record_done(
    tx: Tx, execution: Execution, wanted: Record, status: StepStatus, result: Mapping[str, Any], notes: Sequence[Note]
) -> Step:
    """Writes a durable thing that is done, with the notes said before it. Raises LostClaim."""
    progress(tx, execution)
    return _insert(tx, execution, wanted, status, notes, result=canonical(dict(result)))


def record_notes(tx: Tx, execution: Execution, notes: Sequence[Note]) -> None:
    """Writes notes into the audit trail; the caller's transaction guards the claim."""
    for note in notes:
        data = {"message": note.message, "tags": list(note.tags)}
        record(tx, "execution.noted", execution_id=execution.execution_id, data=data)


def pause(
    tx: Tx,
    execution: Execution,
    wanted: Record,
    policy: Policy,
    notes: Sequence[Note],
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
    given = json.loads(execution.input)
    arguments = given.get("input") or {"prompt": given.get("prompt", "")}
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
    input, becomes this execution's. Raises Conflict naming the execution that is alive and has it, LostClaim.
    """
    approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=approval_request_id)
    if approval is None:
        return None
    if approval.execution_id == execution.execution_id:
        return approval
    owner = tx.one(GET_EXECUTION, b_id=approval.execution_id or "")
    same = owner is not None and (owner.agent, owner.reasoner, owner.input_digest) == (
        execution.agent,
        execution.reasoner,
        execution.input_digest,
    )
    if owner is None or not same or approval.consumed_at is not None:
        raise Conflict(
            f"approval_request_id: {approval_request_id!r} belongs to {approval.execution_id or 'an outsider'}"
        )
    if not owner.terminal:
        raise Conflict(
            f"approval_request_id: {approval_request_id!r} belongs to {owner.execution_id}, which resumes by itself"
        )
    progress(tx, execution, opened=1 if approval.pending else 0)
    adopted = tx.run(ADOPT_APPROVAL, b_id=approval_request_id, b_execution=execution.execution_id)
    record(
        tx,
        "approval.taken_over",
        execution_id=execution.execution_id,
        approval_request_id=approval_request_id,
        data={"from": owner.execution_id},
    )
    return adopted


def call_child(tx: Tx, execution: Execution, wanted: Record, child: Start, notes: Sequence[Note]) -> Step:
    """Starts a child execution and waits for it as for people: one more thing is open. Raises NotFound, LostClaim."""
    progress(tx, execution, opened=1)
    by = Actor(execution.requested_by)
    started = start(tx, child, by=by, via=Via.system, parent=execution, parent_position=wanted.position)
    return _insert(
        tx, execution, wanted, StepStatus.gated, notes, result=canonical({"child": started.execution.execution_id})
    )


def reclaim(tx: Tx, execution: Execution, worker_id: str) -> Execution | None:
    """Takes a waiting execution back for the coroutine that its own worker still holds, which has more to do."""
    claimed = tx.run(
        RECLAIM, b_id=execution.execution_id, b_fence=execution.fence, b_worker=worker_id, b_lease=tx.now + LEASE
    )
    if claimed is not None:
        record(tx, "execution.claimed", execution_id=execution.execution_id, data={"fence": claimed.fence})
    return claimed


def _check_new_id(tx: Tx, approval_request_id: str) -> None:
    if not APPROVAL_REQUEST_ID.fullmatch(approval_request_id):
        raise InvalidRequest(
            f"approval_request_id: {approval_request_id!r} must be 1 to 200 of letters, digits and _.:~-"
        )
    taken = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=approval_request_id)
    if taken is not None:
        raise Conflict(
            f"approval_request_id: {approval_request_id!r} belongs to {taken.execution_id or 'an outsider'}; "
            "an id is used once, for ever"
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
    record_notes(tx, execution, notes)
    step = Step(
        execution_id=execution.execution_id,
        position=wanted.position,
        turn=0,
        kind=wanted.kind.value,
        name=wanted.name,
        call_id=wanted.key,
        status=status.value,
        effect="",
        arguments="{}",
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
