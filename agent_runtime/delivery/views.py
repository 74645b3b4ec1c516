"""Reads what a notice shows, in its newest state."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from agent_runtime.core.approval import ApprovalRequest, Kind
from agent_runtime.core.execution import Execution, ExecutionStatus
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
    return None if approval is None else await _of_approval(database, approval)


async def _of_approval(database: Database, approval: ApprovalRequest) -> ApprovalView:
    votes = await database.all(VOTES, b_id=approval.approval_request_id)
    step = execution = None
    if approval.execution_id is not None:
        execution = await database.one(GET_EXECUTION, b_id=approval.execution_id)
        if approval.position is not None:
            step = await database.one(GET_STEP, b_id=approval.execution_id, b_position=approval.position)
    permit = None
    if approval.kind == Kind.external:
        permit = await database.one(GET_PERMIT, b_id=approval.approval_request_id)
    held = None if execution is None else await held_for(database, execution)
    return ApprovalView(approval, votes, step, execution, permit, held_for=held)


async def execution_view(database: Database, execution_id: str) -> ExecutionView | None:
    """The execution with its journal and approvals; None where nothing has that id."""
    execution = await database.one(GET_EXECUTION, b_id=execution_id)
    return None if execution is None else await _of_execution(database, execution)


async def _of_execution(database: Database, execution: Execution) -> ExecutionView:
    journal = await database.all(JOURNAL, b_id=execution.execution_id)
    approvals = await database.all(OF_EXECUTION, b_execution=execution.execution_id)
    unserved = execution.status == ExecutionStatus.queued and await no_worker(database, execution.agent)
    return ExecutionView(execution, journal, approvals, unserved, await held_for(database, execution))


async def outlined(database: Database, notifier: str, topic: str, subject: str, payload: str) -> Notice | None:
    """What `notifier` is told to say where a notice belongs now: the approval or execution by itself, and where the
    approval's card is shown. None where its subject is gone.
    """
    given: dict[str, Any] = json.loads(payload)
    if topic in {APPROVAL_CARD, APPROVAL_NOTE, APPROVAL_WARNING}:
        approval = await database.one(GET_APPROVAL, b_id=subject)
        if approval is None:
            return None
        event = str(given.get("event", ""))
        card = await receipts(database, notifier, APPROVAL_CARD, subject)
        view = ApprovalView(approval)
        return Notice(topic, subject, approval.version, event=event, payload=given, approval=view, card=card)
    execution = await database.one(GET_EXECUTION, b_id=subject)
    if execution is None:
        return None
    return Notice(topic, subject, execution.version, payload=given, execution=ExecutionView(execution))


async def filled(database: Database, outline: Notice) -> Notice:
    """The same with all that is shown of it. What is read later may be newer than its version says, never older."""
    if outline.approval is not None:
        return replace(outline, approval=await _of_approval(database, outline.approval.approval))
    if outline.execution is not None:
        return replace(outline, execution=await _of_execution(database, outline.execution.execution))
    return outline


async def receipts(database: Database, notifier: str, topic: str, subject: str) -> list[Receipt]:
    """Where `notifier` shows it, oldest first."""
    rows = await database.all(RECEIPTS, b_notifier=notifier, b_topic=topic, b_subject=subject)
    return [Receipt(row.place, json.loads(row.receipt), row.shown_version) for row in rows]
