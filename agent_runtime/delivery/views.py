"""Reads what a notice shows, in its newest state."""

from __future__ import annotations

import json
from typing import Any

from agent_runtime.core.approval import Kind
from agent_runtime.core.execution import ExecutionStatus
from agent_runtime.delivery.notifier import ApprovalView, ExecutionView, Notice, Receipt
from agent_runtime.store.approvals import GET_APPROVAL, OF_EXECUTION, VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION
from agent_runtime.store.held import held_for
from agent_runtime.store.outbox import APPROVAL_CARD, APPROVAL_NOTE, APPROVAL_WARNING, RECEIPTS
from agent_runtime.store.permits import GET_PERMIT
from agent_runtime.store.serving import no_worker
from agent_runtime.store.steps import GET_STEP, JOURNAL


async def approval_view(database: Database, approval_request_id: str) -> ApprovalView | None:
    """The approval with all that its card shows; None where nothing has that id."""
    approval = await database.one(GET_APPROVAL, b_id=approval_request_id)
    if approval is None:
        return None
    votes = await database.all(VOTES, b_id=approval_request_id)
    step = execution = None
    if approval.execution_id is not None:
        execution = await database.one(GET_EXECUTION, b_id=approval.execution_id)
        if approval.position is not None:
            step = await database.one(GET_STEP, b_id=approval.execution_id, b_position=approval.position)
    permit = None
    if approval.kind == Kind.external:
        permit = await database.one(GET_PERMIT, b_id=approval_request_id)
    held = None if execution is None else await held_for(database, execution)
    return ApprovalView(approval, votes, step, execution, permit, held_for=held)


async def execution_view(database: Database, execution_id: str) -> ExecutionView | None:
    """The execution with its journal and approvals; None where nothing has that id."""
    execution = await database.one(GET_EXECUTION, b_id=execution_id)
    if execution is None:
        return None
    journal = await database.all(JOURNAL, b_id=execution_id)
    approvals = await database.all(OF_EXECUTION, b_execution=execution_id)
    unserved = execution.status == ExecutionStatus.queued and await no_worker(database, execution.agent)
    return ExecutionView(execution, journal, approvals, unserved, await held_for(database, execution))


async def notice(database: Database, notifier: str, topic: str, subject: str, payload: str) -> Notice | None:
    """The notice as `notifier` is to show it now; None where its subject is gone."""
    given: dict[str, Any] = json.loads(payload)
    if topic in {APPROVAL_CARD, APPROVAL_NOTE, APPROVAL_WARNING}:
        approval = await approval_view(database, subject)
        if approval is None:
            return None
        card = await receipts(database, notifier, APPROVAL_CARD, subject)
        return Notice(
            topic,
            subject,
            approval.approval.version,
            event=str(given.get("event", "")),
            payload=given,
            approval=approval,
            card=card,
        )
    execution = await execution_view(database, subject)
    return (
        None
        if execution is None
        else Notice(topic, subject, execution.execution.version, payload=given, execution=execution)
    )


async def receipts(database: Database, notifier: str, topic: str, subject: str) -> list[Receipt]:
    """Where `notifier` shows it, oldest first."""
    rows = await database.all(RECEIPTS, b_notifier=notifier, b_topic=topic, b_subject=subject)
    return [Receipt(row.place, json.loads(row.receipt), row.shown_version) for row in rows]
