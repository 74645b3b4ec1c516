"""One asyncpg connection as a batch uses it (`batch.Connection`): synchronous, to be run under greenlet."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from sqlalchemy.util import await_only

from agent_runtime.errors import CountersignError, StoreUnavailable
from agent_runtime.store.clock import since_start
from agent_runtime.store.faults import Collision, OutcomeUnknown
from agent_runtime.store.intake import Request
from agent_runtime.store.postgres.combined import together
from agent_runtime.store.postgres.connecting import disconnect
from agent_runtime.store.postgres.faults import before_commit, in_our_words, is_drivers
from agent_runtime.store.postgres.fetching import fetch_each, insert
from agent_runtime.store.postgres.locking import LOCK, NOW, ROOTS, SERIALISE, lock_and_read
from agent_runtime.store.postgres.spelled import Spelling, array
from agent_runtime.store.statement import Q
from agent_runtime.store.transaction import Rows
from agent_runtime.store.tx import FIRST_READS, Write

T = TypeVar("T")

BRIEF, PATIENT = 1000, 5000
"""Milliseconds that a batch, and a request alone, wait for a lock. Two batches that wait for each other are replayed
one by one after that; so is whoever waits for a process that was paused.
"""

_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = {wait}; SAVEPOINT request"
_COMMIT = f"COMMIT; {_BEGIN.format(wait=BRIEF)}"


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
        self._expected: Write | None = None
        self._read: tuple[Write, Rows] | None = None
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
            text = self._spelling.call(SERIALISE, array(new)) + text
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
        if self._read is not None and self._read[0] == (q, binds):
            (_, found), self._read = self._read, None
            return found
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
            self._await(self._raw.fetch(SERIALISE, list(names)))

    def expect(self, request: Request | None) -> None:
        """Whose transaction is next, where it is one alone: what that reads first comes with its locks."""
        read = None if request is None else FIRST_READS.get(request.operation)
        self._expected = None if read is None or request is None else (read[0], {read[1]: request.works_on})

    def lock(self, ids: Iterable[str]) -> tuple[int, Mapping[str, str]]:
        wanted = list(ids)
        if not wanted:
            now: int = self._await(self._raw.fetchval(NOW))
            families: Mapping[str, str] = {}
            self._serialised = set()
        else:
            now, found, executions, parents, locked = self._locked(wanted)
            families = dict(zip(found or (), executions or (), strict=True))
            self._serialised = set(locked or ())
            if len(wanted) > 1 and any(parents or ()):  # one alone is in nobody's way
                roots = dict(self._await(self._raw.fetch(ROOTS, list(set(families.values())))))
                families = {one: roots.get(execution, execution) for one, execution in families.items()}
        self.ahead = now - since_start()
        return now, families

    def _locked(self, ids: list[str]) -> Sequence[Any]:
        row: list[Any]
        expected, self._expected = self._expected, None
        if expected is None:
            *row, _ = self._await(self._raw.fetchrow(LOCK, ids))
            return row
        q, binds = expected
        positional = q.compiled("postgresql").positional(binds)
        *row, _, first = self._await(self._raw.fetchrow(lock_and_read(q), ids, *positional))
        self._read = expected, first
        return row

    async def close(self) -> None:
        await disconnect(self._raw)

    def terminate(self) -> None:
        """Closes it at once."""
        self._raw.terminate()

    def _await(self, answer: Awaitable[T]) -> T:
        self._read = None  # what is read ahead is for the first statement
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
