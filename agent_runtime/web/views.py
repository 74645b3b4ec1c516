"""Rows as answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, ApprovalStatus, Kind, Vote
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind
from agent_runtime.core.permit import Permit
from agent_runtime.core.shown import approval_shown
from agent_runtime.store.approvals import GET_APPROVAL, OF_EXECUTION, PENDING_OF_EXECUTION, VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.executions import CHILDREN
from agent_runtime.store.held import held_for
from agent_runtime.store.permits import GET_PERMIT
from agent_runtime.store.statement import Q
from agent_runtime.store.steps import JOURNAL
from agent_runtime.web.answers import (
    ApprovalAnswer,
    EventAnswer,
    ExecutionAnswer,
    ExecutionWithSteps,
    PermitAnswer,
    StepAnswer,
)
from agent_runtime.web.masking import Paths, masked, shown_arguments, shown_result, without_secret_edits

FAMILY = 1_000
"""Executions whose approvals are looked for, from one execution down its calls."""


async def approval_answer(database: Database, approval: ApprovalRequest) -> ApprovalAnswer:
    """The approval with the decisions on it."""
    votes: Sequence[Vote] = ()
    if approval.version > 1:  # else nothing has happened to it yet
        votes = await database.all(VOTES, b_id=approval.approval_request_id)
    shown = of_approval(approval, votes)
    if approval.kind == Kind.external and approval.consumed_at is not None:
        permit = await database.one(GET_PERMIT, b_id=approval.approval_request_id)
        shown.permit = None if permit is None else of_permit(permit, approval.policy.redact)
    return shown


async def execution_answer(database: Database, execution: Execution) -> ExecutionAnswer:
    """The execution with the approvals that it waits for."""
    pending: list[ApprovalRequest] = []
    if execution.open_approvals:
        pending = await _approvals(database, execution.execution_id, PENDING_OF_EXECUTION, called=True)
    shown = [await approval_answer(database, approval) for approval in pending]
    held = await held_for(database, execution)
    return ExecutionAnswer(**_execution(execution, asks=bool(shown)), held_for=held, pending_approvals=shown)


async def execution_with_steps(database: Database, execution: Execution) -> ExecutionWithSteps:
    """The execution with what it waits for and what it has done."""
    steps = await database.all(JOURNAL, b_id=execution.execution_id)
    called = any(step.kind == StepKind.call for step in steps)
    approvals = await _approvals(database, execution.execution_id, OF_EXECUTION, called=called)
    redacted: dict[str | None, Paths] = {approval.approval_request_id: approval.policy.redact for approval in approvals}
    paths: dict[str, Paths] = {}
    for step in steps:
        # A model may use an id twice; then both calls are masked by the paths of both.
        paths[step.call_id] = (*paths.get(step.call_id, ()), *redacted.get(step.approval_request_id, ()))
    shown = [await approval_answer(database, approval) for approval in approvals]
    pending = [approval for approval in shown if approval.status == ApprovalStatus.pending]
    return ExecutionWithSteps(
        **_execution(execution, asks=bool(pending)),
        held_for=await held_for(database, execution),
        input=masked(json.loads(execution.input)),
        pending_approvals=pending,
        approvals=shown,
        steps=[_step(step, paths) for step in steps],
    )


async def _approvals(
    database: Database, execution_id: str, query: Q[ApprovalRequest], *, called: bool
) -> list[ApprovalRequest]:
    """The approvals of an execution, then those of the executions that it `called`, if any, and so on down."""
    found: list[ApprovalRequest] = []
    family = [execution_id]
    for member in family:
        found += await database.all(query, b_execution=member)
        if not called:
            break
        children = await database.all(CHILDREN, b_parent=member)
        family += [child.execution_id for child in children[: FAMILY - len(family)]]
    return found


def of_approval(approval: ApprovalRequest, votes: Sequence[Vote]) -> ApprovalAnswer:
    """The public shape of an approval; its arguments, edits and context masked."""
    return ApprovalAnswer(**approval_shown(approval, votes))


def of_permit(permit: Permit, paths: Paths = ()) -> PermitAnswer:
    """The public shape of a permit."""
    return PermitAnswer(
        status=permit.status,
        claimed_at=rfc3339(permit.claimed_at) or "",
        expires_at=rfc3339(permit.expires_at) or "",
        ended_at=rfc3339(permit.ended_at),
        result=None if permit.result is None else masked(json.loads(permit.result), paths),
        in_doubt=permit.in_doubt_id,
        fresh=permit.fresh_id,
    )


async def event_answers(database: Database, rows: Sequence[Any]) -> list[EventAnswer]:
    """Audit events as they may be shown."""
    paths: dict[str, Paths] = {}
    shown = []
    for row in rows:
        data = json.loads(row.data)
        about = row.approval_request_id
        if "edited_arguments" in data and about is not None:
            if about not in paths:
                approval = await database.one(GET_APPROVAL, b_id=about)
                paths[about] = approval.policy.redact if approval is not None else ("**",)
            data = without_secret_edits(data, paths[about])
        if row.type == "execution.noted":
            data = masked(data)  # a reasoner's own words
        shown.append(
            EventAnswer(
                event_id=row.event_id,
                seq=row.seq,
                type=row.type,
                at=rfc3339(row.at) or "",
                by=row.principal,
                via=row.via,
                why=str(data.get("feedback") or data.get("reason") or data.get("why") or ""),
                execution_id=row.execution_id,
                approval_request_id=about,
                data=data,
            )
        )
    return shown


def _execution(execution: Execution, *, asks: bool) -> dict[str, Any]:
    """`asks`: it, or one that it called, waits for people. One that waits for its own call to end is running."""
    waiting = execution.status == ExecutionStatus.waiting
    return {
        "execution_id": execution.execution_id,
        "agent": execution.agent,
        "agent_version": execution.agent_version,
        "reasoner": execution.reasoner,
        "status": execution.status,
        "is_running": execution.status in {ExecutionStatus.queued, ExecutionStatus.running} or (waiting and not asks),
        "is_waiting": waiting and asks,
        "is_complete": execution.terminal,
        "result": None if execution.result is None else json.loads(execution.result).get("result"),
        "error": None if execution.error is None else json.loads(execution.error),
        "finish_reason": execution.finish_reason,
        "requested_by": execution.requested_by,
        "via": execution.via,
        "conversation_id": execution.conversation_id,
        "parent_execution_id": execution.parent_execution_id,
        "created_at": rfc3339(execution.created_at),
        "started_at": rfc3339(execution.started_at),
        "ended_at": rfc3339(execution.ended_at),
    }


def _step(step: Step, paths: dict[str, Paths]) -> StepAnswer:
    return StepAnswer(
        position=step.position,
        turn=step.turn,
        kind=step.kind,
        name=step.name,
        call_id=step.call_id,
        status=step.status,
        arguments=shown_arguments(step, paths.get(step.call_id, ())),
        result=shown_result(step, paths),
        approval_request_id=step.approval_request_id,
        attempt=step.attempt,
        created_at=rfc3339(step.created_at) or "",
        started_at=rfc3339(step.started_at),
        ended_at=rfc3339(step.ended_at),
    )
