"""The database as the rest of the product sees it: `write` an operation, `read` rows, `wakes`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

from sqlalchemy.engine import URL

from agent_runtime import failpoints
from agent_runtime.errors import Overloaded, StoreUnavailable
from agent_runtime.store.batch import Joining
from agent_runtime.store.clock import since_start, system_clock
from agent_runtime.store.figures import Figures
from agent_runtime.store.intake import Request
from agent_runtime.store.migrate import prepare_postgres, prepare_sqlite
from agent_runtime.store.sqlite import SqliteWriter
from agent_runtime.store.sqlite_reader import SqliteReader
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx
from agent_runtime.store.url import parse_database_url
from agent_runtime.store.wakes import EVERYTHING, Wakes

R = TypeVar("R")
P = ParamSpec("P")

ADMITTED = 10_000
"""Writes that may wait at once; past it `Overloaded` is raised, so that a flood is answered and memory stays
bounded.
"""


class Writer(Protocol):
    """Runs requests in batches and hands each batch back when all of it is answered, on the loop that opened it."""

    def submit(self, request: Request) -> None: ...

    async def close(self) -> None:
        """Finishes what was submitted, then lets go of its connections."""
        ...


class Reader(Protocol):
    """Reads outside a transaction."""

    async def all(self, q: Q[R], binds: dict[str, Any]) -> list[R]: ...

    async def at_one_moment(
        self, look: Callable[[], Coroutine[Any, Any, R]], holds: Callable[[R], Coroutine[Any, Any, bool]]
    ) -> R:
        """See `Database.at_one_moment`."""
        ...

    async def close(self) -> None: ...


class Neighbours(Protocol):
    """Other processes on the same database."""

    def tell(self, topics: Iterable[str]) -> None:
        """Announces `topics` there, soon."""
        ...

    async def close(self) -> None: ...


class Database:
    """An open database. Create it with `Database.open`; belongs to the event loop that opened it."""

    def __init__(self, url: URL, clock: Callable[[], int]) -> None:
        self.url = url
        self.clock = clock
        """About the time that transactions have, epoch microseconds; for reads."""
        self.single_writer = url.get_backend_name() == "sqlite"
        """Whether all that this process writes goes through one connection: there each transaction keeps the next
        waiting, and what shares one saves one. Elsewhere what shares one makes it longer, and others wait for nobody.
        """
        self.wakes = Wakes()
        self.figures = Figures()
        self._joining: list[Joining] = []
        self._writer: Writer
        self._reader: Reader
        self._neighbours: Neighbours | None = None
        self._waiting = 0
        self._closed = False
        self._parts = AsyncExitStack()
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, database_url: str, *, clock: Callable[[], int] = system_clock) -> Database:
        """Opens `database_url` (`sqlite+aiosqlite:///FILE`, `postgresql+asyncpg://…`), creating the schema in an
        empty database. `clock` is the time of transactions on SQLite; on PostgreSQL they have the server's.

        Raises InvalidSetting for a URL that cannot be used, SchemaMismatch where `countersign db upgrade` is due,
        StoreUnavailable where the database cannot be opened or is corrupt.
        """
        url = parse_database_url(database_url)
        database = cls(url, clock)
        try:
            if database.single_writer:
                await database._open_sqlite(Path(url.database or ""))
            else:
                await database._open_postgres()
        except BaseException:
            await database._parts.aclose()
            raise
        return database

    async def write(self, operation: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs `operation(tx, …)` in a transaction and returns its result once that is committed.

        An operation that works on one execution or approval takes it, or its id, as the first argument: transactions
        of several writers then lock rows in one order. Being cancelled changes nothing: the operation may well be
        committed. Raises what the operation raises (rolled back), Overloaded, or StoreUnavailable.
        """
        return await self._submit(operation, args, kwargs)

    async def write_along(self, operation: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The same for what nobody waits for. With a `single_writer` it is in the next transaction that others ask for,
        or in one of its own a few milliseconds later, so that they do not wait for that.
        """
        return await self._submit(operation, args, kwargs, has_time=self.single_writer)

    async def _submit(
        self, operation: Callable[..., R], args: tuple[Any, ...], kwargs: Mapping[str, Any], *, has_time: bool = False
    ) -> R:
        if self._closed:
            raise StoreUnavailable("this database was closed")
        if self._waiting >= ADMITTED:
            raise Overloaded()
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting += 1
        self._writer.submit(Request(operation, args, kwargs, future, has_time=has_time))
        failpoints.reach("write.submitted", operation.__name__)
        return await future

    @contextmanager
    def joined(self, also: Joining) -> Iterator[None]:
        """While this lasts, each transaction asks `also`, before it commits, for requests to run in it as well: it gets
        those that have run, and a time before the transaction's own (monotonic seconds). It is asked again about what
        it gave. What it gives saves the transaction that would follow; where it fails, the others go without it.
        """
        self._joining.append(also)
        try:
            yield
        finally:
            self._joining.remove(also)

    def _join(self, ran: Sequence[Request], since: float) -> list[Request]:
        """What joins a transaction in which these have run."""
        joining = [request for also in self._joining for request in also(ran, since)]
        for request in joining:
            request.joined = True
        return joining

    async def all(self, q: Q[R], /, **binds: Any) -> list[R]:
        """Every row of a read outside a transaction."""
        return await self._reader.all(q, binds)

    async def one(self, q: Q[R], /, **binds: Any) -> R | None:
        """The first row of a read outside a transaction, or None."""
        rows = await self._reader.all(q, binds)
        return rows[0] if rows else None

    async def at_one_moment(
        self, look: Callable[[], Coroutine[Any, Any, R]], holds: Callable[[R], Coroutine[Any, Any, bool]]
    ) -> R:
        """What `look` reads, as of one moment. It awaits `quick` reads of this database and nothing else.

        On SQLite they are one transaction. On PostgreSQL each has a moment of its own; there `holds` reads whether what
        was found is what is there still, and it is looked again until it is.
        """
        return await self._reader.at_one_moment(look, holds)

    async def close(self) -> None:
        """Commits what was submitted, then lets go of every connection."""
        self._closed = True
        await self._parts.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _open_sqlite(self, path: Path) -> None:
        await asyncio.to_thread(prepare_sqlite, path)
        self._reader = reader = await SqliteReader.open(path)
        self._parts.push_async_callback(reader.close)

        def changed_elsewhere() -> None:
            self.wakes.announce([EVERYTHING])

        self._writer = writer = SqliteWriter(path, self.clock, self._answer, changed_elsewhere, self._join)
        self._parts.push_async_callback(writer.close)

    async def _open_postgres(self) -> None:
        from agent_runtime.store.postgres.neighbours import PostgresNeighbours
        from agent_runtime.store.postgres.reader import PostgresReader
        from agent_runtime.store.postgres.writer import PostgresWriter

        await prepare_postgres(self.url)
        self._reader = reader = await PostgresReader.open(self.url)
        self._parts.push_async_callback(reader.close)
        self._neighbours = neighbours = await PostgresNeighbours.open(self.url, self.wakes)
        self._parts.push_async_callback(neighbours.close)
        self._writer = writer = await PostgresWriter.open(self.url, self._answer, self._join)
        self._parts.push_async_callback(writer.close)
        if self.clock is system_clock:
            self.clock = lambda: since_start() + writer.ahead

    def _answer(self, batch: list[Request]) -> None:
        self.figures.add(batch)
        topics: set[str] = set()
        announced: set[str] = set()
        for request in batch:
            self._waiting -= not request.joined
            future = request.future
            if request.error is None:
                topics |= request.topics
                announced -= {request.stands_for}
                announced |= request.topics
            if future.done():
                continue
            if request.error is not None:
                future.set_exception(request.error)
            else:
                future.set_result(request.result)
        if topics:
            self.wakes.announce(announced)
            if self._neighbours is not None:
                self._neighbours.tell(topics)
