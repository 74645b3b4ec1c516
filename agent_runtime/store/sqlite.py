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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from agent_runtime.errors import Conflict, StoreUnavailable
from agent_runtime.store.statement import Q

R = TypeVar("R")

BATCH = 64
"""Requests that share one COMMIT at most."""

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "temp_store=MEMORY")


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the product's settings; usable from any thread, one at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


@dataclass(slots=True)
class Request:
    """One call of an operation, and where its answer goes."""

    operation: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None
    topics: set[str] = field(default_factory=set)


class SqliteTx:
    """A request's view of the writer's transaction; see `Tx`."""

    __slots__ = ("_connection", "_deferred", "_topics", "now")

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._connection = connection
        self._deferred: list[tuple[Q[Any], dict[str, Any]]] = []
        self._topics: set[str] = set()
        self.now = now

    def one(self, q: Q[R], /, **binds: Any) -> R | None:
        compiled = q.compiled("sqlite")
        row = self._connection.execute(compiled.sql, compiled.named(binds)).fetchone()
        return None if row is None else q.row(*row)

    def all(self, q: Q[R], /, **binds: Any) -> Sequence[R]:
        compiled = q.compiled("sqlite")
        make = q.row
        return [make(*row) for row in self._connection.execute(compiled.sql, compiled.named(binds))]

    def run(self, q: Q[R], /, **binds: Any) -> R | None:
        compiled = q.compiled("sqlite")
        rows = self._connection.execute(compiled.sql, compiled.named(binds)).fetchall()
        return q.row(*rows[0]) if rows else None

    def run_all(self, q: Q[R], /, **binds: Any) -> Sequence[R]:
        compiled = q.compiled("sqlite")
        return [q.row(*row) for row in self._connection.execute(compiled.sql, compiled.named(binds)).fetchall()]

    def later(self, q: Q[Any], /, **binds: Any) -> None:
        self._deferred.append((q, binds))

    def wake(self, topic: str) -> None:
        self._topics.add(topic)


class SqliteWriter:
    """The one writer of this process. `submit` from the event loop; answers come back on it after COMMIT."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], int],
        loop: asyncio.AbstractEventLoop,
        answered: Callable[[list[Request]], None],
    ) -> None:
        self._connection = connect(path)
        self._clock = clock
        self._loop = loop
        self._answered = answered
        self._queue: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.commits = 0
        self._thread = threading.Thread(target=self._work, name="countersign-writer", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        self._queue.put(request)

    async def close(self) -> None:
        """Finishes what was submitted, then closes the connection."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        closing = False
        while not closing:
            batch: list[Request] = []
            request = self._queue.get()
            while request is not None:
                batch.append(request)
                if len(batch) == BATCH:
                    break
                try:
                    request = self._queue.get_nowait()
                except queue.Empty:
                    break
            closing = request is None
            if batch:
                self._commit(batch)
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for the answers any more
                    self._loop.call_soon_threadsafe(self._answered, batch)
        self._connection.close()

    def _commit(self, batch: list[Request]) -> None:
        """One transaction for the batch; where flush or COMMIT fails, each request in one of its own."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            for request in batch:
                request.error = store_error(error)
            return
        try:
            self._transact(batch)
        except sqlite3.Error as error:
            self._roll_back()
            if len(batch) == 1:
                batch[0].error = store_error(error)
                return
            for request in batch:
                self._commit([request])

    def _transact(self, batch: list[Request]) -> None:
        connection = self._connection
        now = self._clock()
        deferred: dict[Q[Any], list[dict[str, Any]]] = {}
        for request in batch:
            tx = SqliteTx(connection, now)
            connection.execute("SAVEPOINT request")
            try:
                request.result = request.operation(tx, *request.args, **request.kwargs)
                request.error = None
            except sqlite3.OperationalError:
                raise
            except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the request
                connection.execute("ROLLBACK TO request")
                connection.execute("RELEASE request")
                request.error = store_error(error) if isinstance(error, sqlite3.Error) else error
                continue
            connection.execute("RELEASE request")
            request.topics = tx._topics
            for q, binds in tx._deferred:
                deferred.setdefault(q, []).append(binds)
        for q, rows in deferred.items():
            compiled = q.compiled("sqlite")
            connection.executemany(compiled.sql, [compiled.named(row) for row in rows])
        connection.execute("COMMIT")
        self.commits += 1

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def store_error(error: sqlite3.Error) -> Exception:
    """A driver's error in our words."""
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict(f"another write was first: {error}")
    return StoreUnavailable(f"the database refused the work: {error}")


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
        except sqlite3.Error as error:
            raise store_error(error) from error
        return [q.row(*row) for row in rows]

    async def close(self) -> None:
        await self._connection.close()


class DataVersion:
    """Notices commits of other processes, cheaply: `PRAGMA data_version` reads shared memory."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._seen = self._read()

    def changed(self) -> bool:
        """Whether any connection has committed since the last call."""
        version = self._read()
        changed, self._seen = version != self._seen, version
        return changed

    def _read(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        self._connection.close()
