"""Indexes of the tables. Imported where a schema is made or compared, not where it is used: a condition names both
databases, and SQLAlchemy then imports the dialects of both, which is slow.
"""

from __future__ import annotations

from sqlalchemy import Index, and_

from agent_runtime.store.schema import approvals, events, executions, metadata, outbox, permits, receipts, workers

__all__ = ["metadata"]

_open = executions.c.status
Index(
    "ix_executions_queued",
    executions.c.status,  # the same in every row, but SQLite prefers an index that begins with what is equal
    executions.c.run_after,
    executions.c.execution_id,
    sqlite_where=_open == "queued",
    postgresql_where=_open == "queued",
)
Index(
    "ix_executions_leased",
    executions.c.status,
    executions.c.lease_until,
    sqlite_where=_open == "running",
    postgresql_where=_open == "running",
)
_calling = executions.c.ended_at.is_not(None) & executions.c.lease_until.is_not(None)
Index("ix_executions_calling", executions.c.lease_until, sqlite_where=_calling, postgresql_where=_calling)
Index("ix_executions_listed", executions.c.created_at, executions.c.execution_id)
Index("ix_executions_by_status", executions.c.status, executions.c.created_at, executions.c.execution_id)
Index("ix_executions_by_agent", executions.c.agent, executions.c.created_at, executions.c.execution_id)
_in_conversation = executions.c.conversation_id.is_not(None)
Index(
    "ix_executions_conversation",
    executions.c.conversation_id,
    executions.c.created_at,
    sqlite_where=_in_conversation,
    postgresql_where=_in_conversation,
)
Index("ix_executions_requested_by", executions.c.requested_by, executions.c.created_at, executions.c.execution_id)
_kept = and_(executions.c.worker_id.is_not(None), executions.c.status.in_(["waiting", "queued"]))
Index("ix_executions_kept", executions.c.worker_id, sqlite_where=_kept, postgresql_where=_kept)
_child = executions.c.parent_execution_id.is_not(None)
Index("ix_executions_parent", executions.c.parent_execution_id, sqlite_where=_child, postgresql_where=_child)
_pending = approvals.c.status == "pending"
Index(
    "ix_approvals_pending",
    approvals.c.created_at,
    approvals.c.approval_request_id,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
Index("ix_approvals_due", approvals.c.next_due_at, sqlite_where=_pending, postgresql_where=_pending)
Index("ix_approvals_listed", approvals.c.created_at, approvals.c.approval_request_id)
_decided = approvals.c.resolved_at.is_not(None)
Index(
    "ix_approvals_ended",
    approvals.c.status,
    approvals.c.created_at,
    approvals.c.approval_request_id,
    sqlite_where=_decided,  # one that held pending ones too would be preferred to that of what is due
    postgresql_where=_decided,
)
Index(
    "ix_approvals_decided",
    approvals.c.resolved_at,
    approvals.c.approval_request_id,
    sqlite_where=_decided,
    postgresql_where=_decided,
)
_of_execution = approvals.c.execution_id.is_not(None)
Index(
    "ix_approvals_execution",
    approvals.c.execution_id,
    approvals.c.position,
    sqlite_where=_of_execution,
    postgresql_where=_of_execution,
)
_claimed = permits.c.status == "claimed"
Index("ix_permits_lapsing", permits.c.expires_at, sqlite_where=_claimed, postgresql_where=_claimed)
_about_approval = events.c.approval_request_id.is_not(None)
Index(
    "ix_events_approval",
    events.c.approval_request_id,
    events.c.event_id,
    sqlite_where=_about_approval,
    postgresql_where=_about_approval,
)
_undelivered = outbox.c.gave_up_at.is_(None)
Index(
    "ix_outbox_due",
    outbox.c.next_attempt_at,
    outbox.c.outbox_id,
    sqlite_where=_undelivered,
    postgresql_where=_undelivered,
)
_dead = outbox.c.gave_up_at.is_not(None)
Index("ix_outbox_dead", outbox.c.topic, sqlite_where=_dead, postgresql_where=_dead)
Index("ix_outbox_subject", outbox.c.subject, outbox.c.topic)
Index("ix_receipts_place", receipts.c.notifier, receipts.c.place)
_held = executions.c.held_for.is_not(None)
Index(
    "ix_executions_held", executions.c.held_for, executions.c.execution_id, sqlite_where=_held, postgresql_where=_held
)
Index("ix_workers_heartbeat", workers.c.heartbeat_at)
