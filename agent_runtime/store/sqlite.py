"""SQLite: one writer thread with one connection and group commit; reads through aiosqlite.

Settings and their reasons: WAL and `synchronous=FULL` (durable at COMMIT), `BEGIN IMMEDIATE` (a plain BEGIN with a read
before a write loses updates under concurrency), `isolation_level=None` (no BEGIN of the driver's own).
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from agent_runtime.errors import CountersignError, InvalidRequest, StoreUnavailable
from agent_runtime.store.batch import BATCH, Request, commit
from agent_runtime.store.faults import Collision
from agent_runtime.store.statement import Compiled, Q

R = TypeVar("R")

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "temp_store=MEMORY")

_UNIQUE = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"})

LOOK = 0.2
"""Seconds between looks at what other processes have committed."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the product's settings; usable from any thread, one at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


class SqliteConnection:
    """The writer's connection, as a batch uses it (`batch.Connection`)."""

    dialect = "sqlite"

    def __init__(self, raw: sqlite3.Connection, clock: Callable[[], int]) -> None:
        self._raw = raw
        self._clock = clock

    def begin(self, *, patient: bool) -> int:
        self.roll_back()
        self._execute("BEGIN IMMEDIATE")
        return self._clock()

    def commit(self) -> None:
        self._execute("COMMIT")

    def roll_back(self) -> None:
        if self._raw.in_transaction:
            self._execute("ROLLBACK")

    def savepoint(self) -> None:
        self._execute("SAVEPOINT request")

    def release(self) -> None:
        self._execute("RELEASE request")

    def undo(self) -> None:
        self._execute("ROLLBACK TO request")
        self._execute("RELEASE request")

    def rows(self, compiled: Compiled, binds: dict[str, Any]) -> Sequence[Sequence[Any]]:
        try:
            return self._raw.execute(compiled.sql, compiled.named(binds)).fetchall()
        except (sqlite3.Error, UnicodeEncodeError) as error:
            raise in_our_words(error) from error

    def insert(self, compiled: Compiled, rows: Sequence[dict[str, Any]]) -> None:
        try:
            self._raw.executemany(compiled.sql, [compiled.named(row) for row in rows])
        except (sqlite3.Error, UnicodeEncodeError) as error:
            raise in_our_words(error) from error

    def serialise(self, names: Iterable[str]) -> None:
        """BEGIN IMMEDIATE has done so already."""

    def lock(self, ids: Iterable[str]) -> Mapping[str, str]:
        return {}

    def _execute(self, sql: str) -> None:
        try:
            self._raw.execute(sql)
        except sqlite3.Error as error:
            raise in_our_words(error) from error


class SqliteWriter:
    """The one writer of this process. `submit` from the event loop; `answered` is called on it after COMMIT.

    `changed_elsewhere` is called on it too, where another process has committed to the file: `PRAGMA data_version`
    (which reads shared memory) tells a connection about all commits but its own.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], int],
        answered: Callable[[list[Request]], None],
        changed_elsewhere: Callable[[], None],
    ) -> None:
        self._raw = connect(path)
        self._connection = SqliteConnection(self._raw, clock)
        self._loop = asyncio.get_running_loop()
        self._answered = answered
        self._changed_elsewhere = changed_elsewhere
        self._queue: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._seen = self._version()
        self._thread = threading.Thread(target=self._work, name="countersign-writer", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        self._queue.put(request)

    async def close(self) -> None:
        """Finishes what was submitted, then closes the connection."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # the last answers are handed out by callbacks on this loop

    def _work(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._next_batch()
            if batch:
                self._commit(batch)
                self._on_the_loop(self._answered, batch)
            before, self._seen = self._seen, self._version()
            if before != self._seen:
                self._on_the_loop(self._changed_elsewhere)
        self._raw.close()

    def _commit(self, batch: list[Request]) -> None:
        try:
            commit(self._connection, batch)
        except Exception as error:  # noqa: BLE001 - such as a ROLLBACK that fails; the next BEGIN tries it again
            unavailable = error if isinstance(error, StoreUnavailable) else StoreUnavailable(repr(error))
            for request in batch:
                if not request.answered:
                    request.fail(unavailable)

    def _next_batch(self) -> tuple[list[Request], bool]:
        """What waits, at most BATCH of it, or nothing after a while; and whether it is the last."""
        batch: list[Request] = []
        try:
            request = self._queue.get(timeout=LOOK)
            while request is not None:
                batch.append(request)
                if len(batch) == BATCH:
                    break
                request = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, request is None

    def _version(self) -> int | None:
        """None where it cannot be read; the next request will say why."""
        with contextlib.suppress(sqlite3.Error):
            return int(self._raw.execute("PRAGMA data_version").fetchone()[0])
        return None

    def _on_the_loop(self, call: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call, *args)


class SqliteReader:
    """Reads that need no transaction."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, path: Path) -> SqliteReader:
        connection = await aiosqlite.connect(path, isolation_level=None, cached_statements=256)
        await connection.execute("PRAGMA query_only=ON")
        await connection.execute("PRAGMA busy_timeout=5000")
        return cls(connection)

    async def all(self, q: Q[R], binds: dict[str, Any]) -> list[R]:
        compiled = q.compiled("sqlite")
        try:
            rows = await self._connection.execute_fetchall(compiled.sql, compiled.named(binds))
        except (sqlite3.Error, UnicodeEncodeError) as error:
            raise in_our_words(error) from error
        return [q.row(*row) for row in rows]

    async def close(self) -> None:
        await self._connection.close()


def in_our_words(error: Exception) -> CountersignError:
    """What an error of the driver means."""
    if isinstance(error, UnicodeEncodeError):
        return InvalidRequest("text: it holds half of a surrogate pair, which is no character; send valid Unicode")
    if isinstance(error, sqlite3.IntegrityError) and getattr(error, "sqlite_errorname", "") in _UNIQUE:
        return Collision(f"another write was first: {error}")
    return StoreUnavailable(f"the database refused the work: {error}")
