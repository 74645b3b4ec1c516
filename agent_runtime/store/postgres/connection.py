"""One asyncpg connection as a batch uses it (`batch.Connection`): synchronous, to be run under greenlet."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from sqlalchemy.util import await_only

from agent_runtime.errors import CountersignError, StoreUnavailable
from agent_runtime.store.clock import since_start
from agent_runtime.store.faults import Collision, OutcomeUnknown
from agent_runtime.store.postgres.combined import together
from agent_runtime.store.postgres.connecting import disconnect
from agent_runtime.store.postgres.faults import before_commit, in_our_words, is_drivers
from agent_runtime.store.postgres.fetching import fetch_each, insert
from agent_runtime.store.postgres.spelled import Spelling, array
from agent_runtime.store.statement import Q
from agent_runtime.store.transaction import Rows
from agent_runtime.store.tx import Write

T = TypeVar("T")

BRIEF, PATIENT = 1000, 5000
"""Milliseconds that a batch, and a request alone, wait for a lock. Two batches that wait for each other are replayed
one by one after that; so is whoever waits for a process that was paused.
"""

NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The database's time in epoch microseconds; `extract` is exact (numeric)."""

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = {wait}; SAVEPOINT request"
_COMMIT = f"COMMIT; {_BEGIN.format(wait=BRIEF)}"

_SERIALISE = """
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
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, rows.*, streams.*
FROM (
    SELECT array_agg(id), array_agg(execution_id), array_agg(parent_execution_id), array_agg(locked) FROM held
) AS rows, (
    SELECT count(pg_advisory_xact_lock(1131377236, key))
    FROM (SELECT DISTINCT hashtext(locked) AS key FROM held ORDER BY key OFFSET 0) AS keys
) AS streams
"""
"""Executions first, all writers in one order: some operations come to the execution by its approval, others the other
way round. With an execution its parent, which its end answers, while a parent's end withdraws its children: ids sort by
the database's time, so a parent is locked before its children by either. The streams of what is locked come with it, in
the order of _SERIALISE. The time is that of the row made of the aggregates, so it is read when all are locked.
"""

_ROOTS = """
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


class PostgresConnection:
    """Wraps an open asyncpg connection that nobody else uses."""

    dialect = "postgresql"
    alone = False

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._spelling = Spelling(raw, self._await)
        self._savepoint: Literal["kept", "clean"] = "clean"
        self._serialised: set[str] = set()
        self._begun = False
        self._spoilt = False
        self.ahead = 0
        """Microseconds between the database's time and `since_start()`, which no step of this process's clock moves."""

    async def measure(self) -> int:
        """How far `ahead` the database is now."""
        now: int = await translated(self._raw.fetchval(NOW))
        return now - since_start()

    @property
    def usable(self) -> bool:
        """Whether it is open, as far as this side knows."""
        return not self._raw.is_closed()

    async def not_yet(self) -> None:
        """Nobody came for the transaction that was begun with the last COMMIT: ends it."""
        if self._begun:
            self._begun = False
            await translated(self._raw.execute("ROLLBACK"))

    def begin(self, *, patient: bool) -> None:
        """One that was begun with the last COMMIT waits briefly for locks, also where it would be `patient`: where that
        was too short, the next one is.
        """
        if not self._begun:
            self._await(self._raw.execute(_BEGIN.format(wait=PATIENT if patient else BRIEF)))
        self._begun = self._spoilt = False
        self._savepoint = "clean"  # the first request's, in the same round trip

    def commit(self) -> None:
        """Begins the next transaction in the same round trip. It holds no lock and no snapshot."""
        self._end("")

    def insert_and_commit(self, names: Iterable[str], deferred: Mapping[Q[Any], Sequence[dict[str, Any]]]) -> None:
        """What `serialise`, `insert_all` and `commit` do, in one round trip where it is little."""
        text = self._spelling.inserts(deferred)
        new = sorted(set(names) - self._serialised)
        if text is None:
            self.serialise(new)
            self.insert_all(deferred)
            text = ""
        elif new:
            text = self._spelling.call(_SERIALISE, array(new)) + text
        self._end(text)

    def _end(self, first: str) -> None:
        """COMMIT after `first`, in one message: the server stops at what fails."""
        if self._spoilt:  # COMMIT would roll back, and say so where the answer to BEGIN hides it
            raise StoreUnavailable("a statement of the transaction had failed, so it was rolled back")
        try:
            self._await(self._raw.execute(first + _COMMIT))
        except Collision:
            raise
        except CountersignError as error:
            if first and before_commit(error.__cause__):
                raise
            raise OutcomeUnknown() from error
        self._begun = True

    def roll_back(self) -> None:
        self._begun = False
        if self._raw.is_in_transaction():
            self._await(self._raw.execute("ROLLBACK"))

    def savepoint(self) -> None:
        """One round trip at most: the savepoint of the request before is released with it, or used again."""
        if self._savepoint != "clean":
            before = "RELEASE SAVEPOINT request; " if self._savepoint == "kept" else ""
            self._await(self._raw.execute(f"{before}SAVEPOINT request"))
        self._savepoint = "kept"

    def release(self) -> None:
        """With the next savepoint, or the COMMIT."""

    def undo(self) -> None:
        self._await(self._raw.execute("ROLLBACK TO SAVEPOINT request"))
        self._savepoint, self._spoilt = "clean", False

    def rows(self, q: Q[Any], binds: dict[str, Any]) -> Rows:
        compiled = q.compiled("postgresql")
        return self._await(self._raw.fetch(compiled.sql, *compiled.positional(binds)))

    def each(self, q: Q[Any], binds: Sequence[dict[str, Any]]) -> Sequence[Rows]:
        if q.returns or q.columns:
            return self._await(fetch_each(self._raw, q, binds))
        return [self.rows(q, one) for one in binds]

    def together(self, writes: Sequence[Write]) -> Sequence[Rows]:
        return together(self, writes)

    def insert_all(self, deferred: Mapping[Q[Any], Sequence[dict[str, Any]]]) -> None:
        text = self._spelling.inserts(deferred) if len(deferred) > 1 else None
        if text is not None:
            self._await(self._raw.execute(text))
            return
        for q, rows in deferred.items():
            self._await(insert(self._raw, q, rows))

    def serialise(self, names: Iterable[str]) -> None:
        names = set(names) - self._serialised
        if names:
            self._await(self._raw.fetch(_SERIALISE, list(names)))

    def lock(self, ids: Iterable[str]) -> tuple[int, Mapping[str, str]]:
        wanted = list(ids)
        if not wanted:
            now: int = self._await(self._raw.fetchval(NOW))
            families: Mapping[str, str] = {}
            self._serialised = set()
        else:
            now, found, executions, parents, locked, _ = self._await(self._raw.fetchrow(_LOCK, wanted))
            families = dict(zip(found or (), executions or (), strict=True))
            self._serialised = set(locked or ())
            if len(wanted) > 1 and any(parents or ()):  # one alone is in nobody's way
                roots = dict(self._await(self._raw.fetch(_ROOTS, list(set(families.values())))))
                families = {one: roots.get(execution, execution) for one, execution in families.items()}
        self.ahead = now - since_start()
        return now, families

    async def close(self) -> None:
        await disconnect(self._raw)

    def terminate(self) -> None:
        """Closes it at once."""
        self._raw.terminate()

    def _await(self, answer: Awaitable[T]) -> T:
        try:
            return await_only(translated(answer))
        except BaseException:
            self._spoilt = True
            raise


async def translated(answer: Awaitable[T]) -> T:
    """What an open connection answers; its errors in our words."""
    try:
        return await answer
    except Exception as error:
        if not is_drivers(error):
            raise
        raise in_our_words(error) from error
