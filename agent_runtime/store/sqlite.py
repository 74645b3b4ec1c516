"""SQLite: one writer with one connection and group commit; reads beside it.

Statements run on the event loop itself: they take microseconds, and a thread that runs them passes the interpreter's
lock to and fro at each, which doubles their cost. What waits for the disk or for another process runs in a thread.

Settings and their reasons: WAL and `synchronous=FULL` (durable at COMMIT), `BEGIN IMMEDIATE` (a plain BEGIN with a read
before a write loses updates under concurrency), `isolation_level=None` (no BEGIN of the driver's own).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy.util import await_only, greenlet_spawn

from agent_runtime.errors import CountersignError, InvalidRequest, StoreUnavailable
from agent_runtime.store import forks
from agent_runtime.store.batch import Joining, commit
from agent_runtime.store.faults import Collision
from agent_runtime.store.intake import Intake, Request
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Write
from agent_runtime.store.unsaved import in_order

PATIENCE = 5000
"""Milliseconds that a transaction waits for another process's."""

_PRAGMAS = (f"busy_timeout={PATIENCE}", "journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY")

_AGAIN = 0.01
"""Seconds until WAL is asked for again."""

_UNIQUE = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"})

LOOK = 0.2
"""Seconds between looks at what other processes have committed."""


_creating = threading.Lock()


def create_private(path: Path) -> None:
    """A new, empty file that only its owner may read; one that is there is left as it is, and so is its mode.

    SQLite gives the files beside it the same mode. Where none can be made here, SQLite says so at the first look.
    """
    with forks.transaction(), _creating, contextlib.suppress(OSError):
        # Never a file that is there: closing it would let go of the locks that this process holds on it.
        os.close(os.open(path.resolve(), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the product's settings; usable from any thread, one at a time."""
    create_private(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        for pragma in _PRAGMAS:
            _set(connection, pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def _set(connection: sqlite3.Connection, pragma: str) -> None:
    """Of two that open a new file at the same moment SQLite tells one at once that it is locked, however patient that
    is: both switch it to WAL.
    """
    until = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            connection.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_AGAIN)
        else:
            return


class SqliteConnection:
    """The writer's connection, as a batch uses it (`batch.Connection`): synchronous, to be run under greenlet."""

    dialect = "sqlite"
    alone = True

    def __init__(self, raw: sqlite3.Connection, clock: Callable[[], int]) -> None:
        raw.execute("PRAGMA busy_timeout=0")
        self._raw = raw
        self._clock = clock
        self._changes = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="countersign-commit")

    def begin(self, *, patient: bool) -> None:
        self.roll_back()
        self._changes = self._raw.total_changes
        try:
            self._raw.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise in_our_words(error) from error
            self._apart(self._begin_patiently)

    def commit(self) -> None:
        if self._raw.total_changes == self._changes:
            self._execute("COMMIT")
        else:
            self._apart(self._execute, "COMMIT")

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

    def rows(self, q: Q[Any], binds: dict[str, Any]) -> Sequence[Sequence[Any]]:
        compiled = q.compiled("sqlite")
        try:
            return self._raw.execute(compiled.sql, compiled.named(binds)).fetchall()
        except (sqlite3.Error, UnicodeEncodeError) as error:
            raise in_our_words(error) from error

    def each(self, q: Q[Any], binds: Sequence[dict[str, Any]]) -> Sequence[Sequence[Sequence[Any]]]:
        return [self.rows(q, one) for one in binds]

    def together(self, writes: Sequence[Write]) -> Sequence[Sequence[Sequence[Any]]]:
        return [self.rows(q, binds) for q, binds in writes]

    def insert_all(self, deferred: Mapping[Q[Any], Sequence[dict[str, Any]]]) -> None:
        for q, rows in deferred.items():
            self._insert(q, rows)

    def _insert(self, q: Q[Any], rows: Sequence[dict[str, Any]]) -> None:
        compiled = q.compiled("sqlite")
        try:
            self._raw.executemany(compiled.sql, [compiled.named(row) for row in rows])
        except (sqlite3.Error, UnicodeEncodeError) as error:
            raise in_our_words(error) from error

    def serialise(self, names: Iterable[str]) -> None:
        """BEGIN IMMEDIATE has done so already."""

    def lock(self, ids: Iterable[str]) -> tuple[int, Mapping[str, str]]:
        """BEGIN IMMEDIATE has locked everything."""
        return self._clock(), {}

    def version(self) -> int | None:
        """Changes when another process commits. None where it cannot be read; the next request will say why."""
        with contextlib.suppress(sqlite3.Error):
            return int(self._raw.execute("PRAGMA data_version").fetchone()[0])
        return None

    def close(self) -> None:
        self._thread.shutdown()
        self._raw.close()

    def _begin_patiently(self) -> None:
        """Waits for the process that writes now."""
        self._raw.execute(f"PRAGMA busy_timeout={PATIENCE}")
        try:
            self._execute("BEGIN IMMEDIATE")
        finally:
            self._raw.execute("PRAGMA busy_timeout=0")

    def _apart(self, work: Callable[..., None], *args: Any) -> None:
        """Runs what waits in the thread, while the event loop goes on."""
        await_only(asyncio.get_running_loop().run_in_executor(self._thread, work, *args))

    def _execute(self, sql: str) -> None:
        try:
            self._raw.execute(sql)
        except sqlite3.Error as error:
            raise in_our_words(error) from error


class SqliteWriter:
    """The one writer of this process. `submit` requests; `answered` is called with each batch after COMMIT.

    `changed_elsewhere` is called where another process has committed to the file: `PRAGMA data_version` (which reads
    shared memory) tells a connection about all commits but its own.
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], int],
        answered: Callable[[list[Request]], None],
        changed_elsewhere: Callable[[], None],
        joining: Joining,
    ) -> None:
        self._joining = joining
        self._connection = SqliteConnection(connect(path), clock)
        self._answered = answered
        self._changed_elsewhere = changed_elsewhere
        self._intake = Intake()
        self._seen = self._connection.version()
        self._working = asyncio.create_task(self._work(), name="countersign-writer")

    def submit(self, request: Request) -> None:
        self._intake.put(request)

    async def close(self) -> None:
        """Commits what was submitted, then closes the connection."""
        self._intake.end()
        await self._working

    async def _work(self) -> None:
        try:
            while (batch := await self._next_batch()) != []:
                if batch is not None:
                    await self._commit(batch)
                before, self._seen = self._seen, self._connection.version()
                if before != self._seen:
                    self._changed_elsewhere()
        finally:
            self._connection.close()

    async def _next_batch(self) -> list[Request] | None:
        """What waits; empty at the end; None after a while without any."""
        try:
            async with asyncio.timeout(LOOK):
                return await self._intake.batch()
        except TimeoutError:
            return None

    async def _commit(self, batch: list[Request]) -> None:
        try:
            with forks.transaction():
                await greenlet_spawn(commit, self._connection, batch, in_order, self._joining)
        except Exception as error:  # noqa: BLE001 - such as a ROLLBACK that fails; the next BEGIN tries it again
            unavailable = error if isinstance(error, StoreUnavailable) else StoreUnavailable(repr(error))
            for request in batch:
                if not request.answered:
                    request.fail(unavailable)
        self._answered(batch)


def in_our_words(error: Exception) -> CountersignError:
    """What an error of the driver means."""
    if isinstance(error, UnicodeEncodeError):
        return InvalidRequest("text: it holds half of a surrogate pair, which is no character; send valid Unicode")
    if isinstance(error, sqlite3.IntegrityError) and getattr(error, "sqlite_errorname", "") in _UNIQUE:
        return Collision(f"another write was first: {error}")
    return StoreUnavailable(f"the database refused the work: {error}")
