"""Rows as answers, with secrets masked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Vote
from agent_runtime.core.canonical import JsonValue
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.execution import Execution, ExecutionStatus, Step, StepKind
from agent_runtime.core.redaction import REDACTED, redact
from agent_runtime.errors import InvalidDefinition
from agent_runtime.store.approvals import GET_APPROVAL, OF_EXECUTION, PENDING_OF_EXECUTION, VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.steps import JOURNAL
from agent_runtime.web.answers import (
    ApprovalAnswer,
    EventAnswer,
    ExecutionAnswer,
    ExecutionWithSteps,
    StepAnswer,
)


async def approval_answer(database: Database, approval: ApprovalRequest) -> ApprovalAnswer:
    """The approval with the decisions on it."""
    return of_approval(approval, await database.all(VOTES, b_id=approval.approval_request_id))


async def execution_answer(database: Database, execution: Execution) -> ExecutionAnswer:
    """The execution with the approvals that it waits for."""
    return ExecutionAnswer(**await _execution(database, execution))


async def execution_with_steps(database: Database, execution: Execution) -> ExecutionWithSteps:
    """The execution with what it waits for and what it has done."""
    steps = await database.all(JOURNAL, b_id=execution.execution_id)
    approvals = await database.all(OF_EXECUTION, b_execution=execution.execution_id)
    paths = {approval.approval_request_id: approval.policy.redact for approval in approvals}
    return ExecutionWithSteps(
        **await _execution(database, execution),
        steps=[_step(step, paths.get(step.approval_request_id or "", ())) for step in steps],
    )


def of_approval(approval: ApprovalRequest, votes: Sequence[Vote]) -> ApprovalAnswer:
    """The public shape of an approval; its arguments, edits and context masked by its own policy."""
    paths = approval.policy.redact
    shown = approval.as_json(votes)
    shown["arguments"] = masked(shown["arguments"], paths)
    shown["context"] = None if approval.context is None else masked(json.loads(approval.context), ())
    shown["resolution"] = None if approval.resolution is None else _without_secret_edits(approval.resolution, paths)
    return ApprovalAnswer(**shown)


async def event_answers(database: Database, rows: Sequence[Any]) -> list[EventAnswer]:
    """Audit events as they may be shown."""
    paths: dict[str, Sequence[str]] = {}
    shown = []
    for row in rows:
        data = json.loads(row.data)
        about = row.approval_request_id
        if "edited_arguments" in data and about is not None:
            if about not in paths:
                approval = await database.one(GET_APPROVAL, b_id=about)
                paths[about] = approval.policy.redact if approval is not None else ("**",)
            data = _without_secret_edits(data, paths[about])
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


def masked(value: JsonValue, paths: Sequence[str]) -> JsonValue:
    """`value` fit to be shown; wholly masked where a stored path cannot be read, as that one may matter."""
    try:
        return redact(value, paths)
    except InvalidDefinition:
        return REDACTED


def _without_secret_edits(data: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """Edited arguments are stored as their canonical text; shown, they are JSON with secrets masked."""
    edited = data.get("edited_arguments")
    return dict(data) if edited is None else {**data, "edited_arguments": masked(json.loads(edited), paths)}


async def _execution(database: Database, execution: Execution) -> dict[str, Any]:
    pending: list[ApprovalAnswer] = []
    if execution.open_approvals:
        approvals = await database.all(PENDING_OF_EXECUTION, b_execution=execution.execution_id)
        pending = [await approval_answer(database, approval) for approval in approvals]
    return {
        "execution_id": execution.execution_id,
        "agent": execution.agent,
        "agent_version": execution.agent_version,
        "reasoner": execution.reasoner,
        "status": execution.status,
        "is_running": execution.status in {ExecutionStatus.queued, ExecutionStatus.running},
        "is_waiting": execution.status == ExecutionStatus.waiting,
        "is_complete": execution.terminal,
        "result": None if execution.result is None else json.loads(execution.result).get("result"),
        "error": None if execution.error is None else json.loads(execution.error),
        "finish_reason": execution.finish_reason,
        "pending_approvals": pending,
        "requested_by": execution.requested_by,
        "via": execution.via,
        "conversation_id": execution.conversation_id,
        "parent_execution_id": execution.parent_execution_id,
        "created_at": rfc3339(execution.created_at),
        "started_at": rfc3339(execution.started_at),
        "ended_at": rfc3339(execution.ended_at),
    }


def _step(step: Step, paths: Sequence[str]) -> StepAnswer:
    return StepAnswer(
        position=step.position,
        turn=step.turn,
        kind=step.kind,
        name=step.name,
        status=step.status,
        arguments=masked(json.loads(step.arguments), paths) if step.kind == StepKind.tool else None,
        approval_request_id=step.approval_request_id,
        attempt=step.attempt,
        created_at=rfc3339(step.created_at) or "",
        started_at=rfc3339(step.started_at),
        ended_at=rfc3339(step.ended_at),
    )
