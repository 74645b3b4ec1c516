"""What a transaction locks before it begins, in an order that all writers keep, and the time when it has."""

from __future__ import annotations

import functools
from typing import Any

from agent_runtime.store.postgres.combined import renumbered
from agent_runtime.store.statement import Q

NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The database's time in epoch microseconds; `extract` is exact (numeric)."""

SERIALISE = """
SELECT pg_advisory_xact_lock(1131377236, key)
FROM (SELECT DISTINCT hashtext(name) AS key FROM unnest($1::text[]) AS name ORDER BY key) AS keys
"""
"""Locks names, all writers in one order; the first number keeps them apart from others' advisory locks."""

_LOCK = """
WITH owned AS MATERIALIZED (
    SELECT wanted.id, own.execution_id, own.parent_execution_id, e.execution_id AS locked
    FROM (
        SELECT ids.id, coalesce(
            (SELECT a.execution_id FROM approvals a WHERE a.approval_request_id = ids.id), ids.id
        ) AS execution_id
        FROM unnest($1::text[]) AS ids(id)
        OFFSET 0
    ) AS wanted
    JOIN executions own ON own.execution_id = wanted.execution_id
    JOIN executions e ON e.execution_id = ANY (ARRAY[own.execution_id, own.parent_execution_id])
    ORDER BY e.execution_id
    FOR UPDATE OF e
), outside AS MATERIALIZED (
    SELECT a.approval_request_id
    FROM approvals a
    WHERE a.approval_request_id = ANY ($1::text[]) AND a.execution_id IS NULL
    ORDER BY a.approval_request_id
    FOR UPDATE
), held AS MATERIALIZED (
    SELECT id, execution_id, parent_execution_id, locked FROM owned
    UNION ALL
    SELECT approval_request_id, approval_request_id, NULL, approval_request_id FROM outside
)
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, rows.*, streams.locks{also}
FROM (
    SELECT array_agg(id), array_agg(execution_id), array_agg(parent_execution_id), array_agg(locked) FROM held
) AS rows, (
    SELECT count(pg_advisory_xact_lock(1131377236, key)) AS locks
    FROM (SELECT DISTINCT hashtext(locked) AS key FROM held ORDER BY key OFFSET 0) AS keys
) AS streams
"""
"""Executions first, all writers in one order: some operations come to the execution by its approval, others the other
way round. With an execution its parent, which its end answers, while a parent's end withdraws its children: ids sort by
the database's time, so a parent is locked before its children by either. The streams of what is locked come with it, in
the order of SERIALISE. The time is that of the row made of the aggregates, so it is read when all are locked.
"""

_FIRST = ", ARRAY(SELECT ROW(first.*) FROM ({read}) AS first WHERE streams.locks >= 0)"
"""A read behind the locks, for which it waits as it asks how many there are. It locks its row itself (`FOR UPDATE`), so
it has the row as it is then, whatever the statement saw when it began.
"""

LOCK = _LOCK.format(also="")

ROOTS = """
WITH RECURSIVE lines AS (
    SELECT execution_id AS id, execution_id, parent_execution_id FROM executions WHERE execution_id = ANY ($1::text[])
    UNION
    SELECT lines.id, up.execution_id, up.parent_execution_id
    FROM lines
    JOIN executions up ON up.execution_id = lines.parent_execution_id
)
SELECT id, execution_id FROM lines WHERE parent_execution_id IS NULL
"""
"""The execution at the top of each one's callers. Who called whom never changes."""


@functools.cache
def lock_and_read(q: Q[Any]) -> str:
    """LOCK with one column more: the rows of `q`, whose binds come behind the ids."""
    return _LOCK.format(also=_FIRST.format(read=renumbered(q.compiled("postgresql").sql, 1)))
