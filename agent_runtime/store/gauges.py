"""What there is just now, in numbers that cost little at any size of the database: a part of an index each."""

from __future__ import annotations

from sqlalchemy import bindparam, func, literal, select

from agent_runtime.store.schema import approvals, executions, workers
from agent_runtime.store.statement import Q

COUNTED_AT_MOST = 100_000
"""Rows that one number looks at; where there are more it stays at this."""

_a = approvals.c
_pending = select(_a.kind).where(_a.status == "pending").limit(COUNTED_AT_MOST).subquery("some")
PENDING_BY_KIND = Q(select(_pending.c.kind, func.count().label("n")).group_by(_pending.c.kind))
OLDEST_PENDING = Q(
    select(_a.created_at).where(_a.status == "pending").order_by(_a.created_at, _a.approval_request_id).limit(1)
)
MOST_OVERDUE = Q(
    select(_a.next_due_at).where(_a.status == "pending", _a.next_due_at.is_not(None)).order_by(_a.next_due_at).limit(1)
)
"""What the next sweep begins with."""

ALIVE = Q(select(func.count().label("n")).select_from(workers).where(workers.c.heartbeat_at > bindparam("b_since")))


def in_status(status: str) -> Q:
    """How many executions are `status`: one of those that end, as ended ones are never deleted."""
    some = select(literal(1)).where(executions.c.status == status).limit(COUNTED_AT_MOST).subquery("some")
    return Q(select(func.count().label("n")).select_from(some))


OPEN = {status: in_status(status) for status in ("queued", "running", "waiting")}
