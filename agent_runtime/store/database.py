"""The database as the rest of the product sees it: `write` an operation, `read` rows, `wakes`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from agent_runtime.errors import InvalidSetting, Overloaded
from agent_runtime.store.migrate import prepare_sqlite
from agent_runtime.store.sqlite import DataVersion, Request, SqliteReader, SqliteWriter
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx
from agent_runtime.store.wakes import EVERYTHING, Wakes

R = TypeVar("R")
P = ParamSpec("P")

ADMITTED = 10_000
"""Writes that may wait at once; past it `Overloaded` is raised, so that a flood is answered and memory stays
bounded.
"""

OTHER_PROCESSES = 0.2
"""Seconds between looks at what other processes have committed to a SQLite file."""


def system_clock() -> int:
    """Epoch microseconds."""
    return time.time_ns() // 1000


class Database:
    """An open database. Create it with `Database.open`; belongs to the event loop that opened it."""

    def __init__(self, url: URL, writer: SqliteWriter, reader: SqliteReader, clock: Callable[[], int]) -> None:
        self.url = url
        self.clock = clock
        self.wakes = Wakes()
        self._writer = writer
        self._reader = reader
        self._waiting = 0
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, database_url: str, *, clock: Callable[[], int] = system_clock) -> Database:
        """Opens `database_url` (`sqlite+aiosqlite:///FILE`), creating the schema in an empty database.

        Raises InvalidSetting for a URL that cannot be used, SchemaMismatch where `countersign db upgrade` is due,
        StoreUnavailable where the database cannot be opened or is corrupt.
        """
        url = parse_database_url(database_url)
        path = Path(url.database or "")
        await asyncio.to_thread(prepare_sqlite, path)
        database: Database | None = None

        def answered(batch: list[Request]) -> None:
            assert database is not None
            database._answer(batch)

        writer = SqliteWriter(path, clock, asyncio.get_running_loop(), answered)
        reader = await SqliteReader.open(path)
        database = cls(url, writer, reader, clock)
        database._watch = asyncio.create_task(database._watch_other_processes(path), name="countersign-data-version")
        return database

    async def write(self, operation: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs `operation(tx, …)` in a transaction and returns its result once that is committed.

        Being cancelled changes nothing: the operation may well be committed. Raises what the operation raises (rolled
        back), Overloaded, or StoreUnavailable.
        """
        if self._waiting >= ADMITTED:
            raise Overloaded()
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting += 1
        self._writer.submit(Request(operation, args, kwargs, future))
        return await future

    async def all(self, q: Q[R], /, **binds: Any) -> list[R]:
        """Every row of a read outside a transaction."""
        return await self._reader.all(q, binds)

    async def one(self, q: Q[R], /, **binds: Any) -> R | None:
        """The first row of a read outside a transaction, or None."""
        rows = await self._reader.all(q, binds)
        return rows[0] if rows else None

    async def close(self) -> None:
        """Commits what was submitted, then lets go of every connection."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._writer.close()
        await self._reader.close()
        await asyncio.sleep(0)  # the last answers are handed out by callbacks on this loop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _answer(self, batch: list[Request]) -> None:
        topics: set[str] = set()
        for request in batch:
            self._waiting -= 1
            future = request.future
            if request.error is None:
                topics |= request.topics
            if future.done():
                continue
            if request.error is not None:
                future.set_exception(request.error)
            else:
                future.set_result(request.result)
        if topics:
            self.wakes.announce(topics)

    async def _watch_other_processes(self, path: Path) -> None:
        version = DataVersion(path)
        commits = self._writer.commits
        try:
            while True:
                await asyncio.sleep(OTHER_PROCESSES)
                changed = version.changed()
                if changed and commits == self._writer.commits:
                    self.wakes.announce([EVERYTHING])
                commits = self._writer.commits
        finally:
            version.close()


def parse_database_url(database_url: str) -> URL:
    """The URL, checked; raises InvalidSetting naming the setting and the remedy."""
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise InvalidSetting(
            f"COUNTERSIGN_DATABASE_URL: {database_url!r} is no database URL; write sqlite+aiosqlite:///countersign.db"
        ) from error
    if url.get_backend_name() != "sqlite":
        raise InvalidSetting(
            f"COUNTERSIGN_DATABASE_URL: {url.drivername!r} is not supported; write sqlite+aiosqlite:///countersign.db"
        )
    if not url.database or url.database == ":memory:":
        raise InvalidSetting(
            "COUNTERSIGN_DATABASE_URL: a SQLite database needs a file, so that nothing is lost on exit"
        )
    if not Path(url.database).expanduser().parent.is_dir():
        raise InvalidSetting(f"COUNTERSIGN_DATABASE_URL: the folder {Path(url.database).parent} does not exist")
    return url
