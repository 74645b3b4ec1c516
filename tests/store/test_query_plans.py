"""With thousands of rows parked, what is asked all the time is answered by an index."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Any

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from agent_runtime.core.canonical import canonical
from agent_runtime.core.permit import Permit
from agent_runtime.store.agents import FORGET_WORKER, GONE_WORKERS
from agent_runtime.store.approvals import (
    DECIDED,
    DECIDED_VERSIONS,
    DUE,
    GET_APPROVAL,
    INSERT_APPROVAL,
    PENDING_OF_EXECUTION,
    PENDING_VERSIONS,
    list_approvals,
)
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM, record
from agent_runtime.store.executions import (
    BY_IDEMPOTENCY_KEY,
    CALLING_OF_WORKER,
    CALLING_STILL,
    EXTEND_LEASES,
    GET_EXECUTION,
    HELD,
    INSERT_EXECUTION,
    LAPSED,
    OF_CONVERSATION,
    RELEASE_PARKED,
    RELEASE_UNLOCKED,
    REQUESTED_BY,
    claim_queued,
    list_executions,
)
from agent_runtime.store.gauges import ALIVE, MOST_OVERDUE, OLDEST_PENDING, OPEN, PENDING_BY_KIND
from agent_runtime.store.outbox import DEAD_DELIVERIES, DUE_DELIVERIES, UNDELIVERED, enqueue
from agent_runtime.store.permits import INSERT_PERMIT, LAPSED_PERMITS
from agent_runtime.store.rows import binds_of
from agent_runtime.store.statement import Q
from agent_runtime.store.steps import CALL, INSERT_STEP, JOURNAL
from agent_runtime.store.tx import Tx
from agent_runtime.store.webhooks import DEAD_WEBHOOKS, DUE_WEBHOOKS, WAITING_WEBHOOKS
from tests.samples import NOW, a_step, an_approval, an_execution

ROWS = 4000

SERVED_BY: dict[str, tuple[Q[Any], str]] = {
    "the next due approvals": (DUE, "ix_approvals_due"),
    "a page of pending approvals": (
        list_approvals(pending=True, status=False, kind=False, after=True),
        "ix_approvals_pending",
    ),
    "a page of approvals that ended in one way": (
        list_approvals(pending=False, status=True, kind=False, after=True),
        "ix_approvals_ended",
    ),
    "what open pages look at for what waits": (PENDING_VERSIONS, "ix_approvals_pending"),
    "what open pages look at for what was decided": (DECIDED_VERSIONS, "ix_approvals_decided"),
    "what was decided last": (DECIDED, "ix_approvals_decided"),
    "the approvals an execution waits for": (PENDING_OF_EXECUTION, "ix_approvals_execution"),
    "an approval": (GET_APPROVAL, "approvals_pkey"),
    "the next queued executions": (claim_queued(["refund_agent"]), "ix_executions_queued|ix_executions_by_status"),
    "what a worker keeps parked": (RELEASE_PARKED, "ix_executions_kept"),
    "the same of one that is gone": (RELEASE_UNLOCKED, "ix_executions_kept"),
    "what one person asked for": (REQUESTED_BY, "ix_executions_requested_by"),
    "executions of one agent": (list_executions(status=False, agent=True, after=True), "ix_executions_by_agent"),
    "lapsed leases": (LAPSED, "ix_executions_leased"),
    "ended ones whose calls were running": (CALLING_STILL, "ix_executions_calling"),
    "ended ones of a worker whose calls were running": (CALLING_OF_WORKER, "ix_executions_calling"),
    "what a worker holds": (HELD, "ix_executions_leased|ix_executions_by_status"),
    "extending leases": (EXTEND_LEASES, "ix_executions_leased|ix_executions_by_status"),
    "an execution": (GET_EXECUTION, "executions_pkey"),
    "a page of executions": (list_executions(status=False, agent=False, after=True), "ix_executions_listed"),
    "executions of one status": (list_executions(status=True, agent=False, after=True), "ix_executions_by_status"),
    "a conversation": (OF_CONVERSATION, "ix_executions_conversation"),
    "an idempotency key": (BY_IDEMPOTENCY_KEY, "uq_executions_requested_by_agent_idempotency_key"),
    "a journal": (JOURNAL, "steps_pkey"),
    "a call that is to start": (CALL, "approvals_pkey"),
    "the events of a stream": (EVENTS_OF_STREAM, "uq_events_stream_seq"),
    "what is to be delivered": (DUE_DELIVERIES, "ix_outbox_due"),
    "webhooks that are to be sent": (DUE_WEBHOOKS, "ix_outbox_due"),
    "permits that have lapsed": (LAPSED_PERMITS, "ix_permits_lapsing"),
}
COUNTED: dict[str, tuple[Q[Any], str]] = {
    "queued executions": (OPEN["queued"], "ix_executions_queued|ix_executions_by_status"),
    "running executions": (OPEN["running"], "ix_executions_leased|ix_executions_by_status"),
    "waiting executions": (OPEN["waiting"], "ix_executions_by_status"),
    "pending approvals by kind": (PENDING_BY_KIND, "ix_approvals_pending|ix_approvals_due"),
    "the oldest pending approval": (OLDEST_PENDING, "ix_approvals_pending"),
    "the approval that is overdue most": (MOST_OVERDUE, "ix_approvals_due"),
    "what waits to be shown": (UNDELIVERED, "ix_outbox_due"),
    "what was given up": (DEAD_DELIVERIES, "ix_outbox_dead"),
    "webhooks that wait": (WAITING_WEBHOOKS, "ix_outbox_due|ix_outbox_subject"),
    "webhooks that were given up": (DEAD_WEBHOOKS, "ix_outbox_dead"),
    "workers that are alive": (ALIVE, "ix_workers_heartbeat"),
    "workers that are gone": (GONE_WORKERS, "ix_workers_heartbeat"),
    "a worker that keeps nothing": (FORGET_WORKER, "ix_executions_kept"),
}
"""What a scrape of /metrics counts, and the few workers. Here most rows are among those that are counted, so that
reading the whole table may well be quicker; what matters is that an index can answer where most rows have ended.
"""


def park(tx: Tx, first: int, last: int) -> None:
    """Executions that wait for an approval each, and a few that run, are queued, or are done."""
    for number in range(first, last):
        status = {0: "queued", 1: "running", 2: "succeeded"}.get(number % 100, "waiting")
        execution = an_execution(status=status)._replace(
            execution_id=f"exe_{number:06}",
            requested_by=f"slack:T1:U{number % 50}",
            agent="refund_agent" if status != "waiting" else f"agent_{number % 50}",
            idempotency_key=f"key {number}",
            conversation_id=f"conversation {number % 500}",
            created_at=NOW + number,
            run_after=NOW + number,
            worker_id=f"worker-{number % 7}" if status == "running" else None,
            lease_until=NOW + number if status == "running" else None,
        )
        tx.later(INSERT_EXECUTION, **binds_of(execution))
        approval = an_approval(
            approval_request_id=f"apr_{number:06}",
            execution_id=execution.execution_id,
            status="pending" if number % 10 else "approved",
            resolved_at=None if number % 10 else NOW + number,
            created_at=NOW + number,
            next_due_at=NOW + number,
        )
        columns = {**binds_of(approval), "policy": canonical(approval.policy.as_json()), "resolution": None}
        tx.later(INSERT_APPROVAL, **columns)
        tx.later(INSERT_STEP, **binds_of(a_step(0, "model")._replace(execution_id=execution.execution_id)))
        record(tx, "execution.queued", execution_id=execution.execution_id)
        enqueue(tx, "approval.card", approval.approval_request_id)
        if not number % 10:
            status = "succeeded" if number % 100 else "claimed"
            permit = Permit(approval.approval_request_id, "", "", "api:crew", "", status, NOW, NOW + number)
            tx.later(INSERT_PERMIT, **binds_of(permit))


@pytest.fixture
async def parked(database: Database) -> None:
    for first in range(0, ROWS, 1000):
        await database.write(park, first, first + 1000)


@pytest.mark.databases("postgresql")
async def test_postgresql(parked: None, database_url: str) -> None:
    """The plan for parameters that are not known yet, which the server settles on after some runs."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        await connection.execute("ANALYZE; SET plan_cache_mode = force_generic_plan")
        for what, (q, index) in (SERVED_BY | COUNTED).items():
            compiled = q.compiled("postgresql")
            await connection.execute(f"SET enable_seqscan = {'off' if what in COUNTED else 'on'}")
            await connection.execute(f"PREPARE asked AS {compiled.sql}")
            nothing = f"({', '.join(['NULL'] * len(compiled.order))})" if compiled.order else ""
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE asked{nothing}"))
            await connection.execute("DEALLOCATE asked")
            assert re.search(index, plan), f"{what}: {plan}"
            scans = set(re.findall(r"Seq Scan on (\w+)", plan))
            assert scans <= {"switches"}, f"{what}: {plan}"  # it has a row for what is stopped, mostly none
    finally:
        await connection.close()


@pytest.mark.databases("sqlite")
async def test_sqlite(parked: None, database_url: str) -> None:
    with closing(sqlite3.connect(make_url(database_url).database or "")) as connection:
        for what, (q, index) in (SERVED_BY | COUNTED).items():
            compiled = q.compiled("sqlite")
            binds = dict.fromkeys(q.compiled("postgresql").order, 1)
            plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + compiled.sql, compiled.named(binds))]
            if not index.endswith("_pkey") and not index.startswith("uq_"):
                assert re.search(index, " ".join(plan)), f"{what}: {plan}"
            sorted_whole = "USE TEMP B-TREE FOR ORDER BY" in plan
            assert not sorted_whole or q is PENDING_OF_EXECUTION, f"{what}: {plan}"  # that sorts one execution's own
            scans = [step for step in plan if step.startswith("SCAN") and "INDEX" not in step]
            materialised = ("oldest", "unlocked", "some")
            assert [step for step in scans if not step.endswith(materialised)] == [], f"{what}: {plan}"
