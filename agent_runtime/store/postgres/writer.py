"""The writers of a process on PostgreSQL: two, each with its own connection, taking batches from one queue."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

import structlog
from sqlalchemy.engine import URL
from sqlalchemy.util import greenlet_spawn

from agent_runtime.errors import StoreUnavailable
from agent_runtime.store.batch import Joining, commit
from agent_runtime.store.faults import ConnectionLost, OutcomeUnknown
from agent_runtime.store.intake import Intake, Request
from agent_runtime.store.postgres.connecting import WRITING, connect
from agent_runtime.store.postgres.connection import PostgresConnection
from agent_runtime.store.postgres.faults import NoConnectionLeft
from agent_runtime.store.postgres.side_by_side import side_by_side

log = structlog.get_logger(__name__)

WRITERS = 2
"""One costs 10 to 25 % of the throughput, four gain nothing."""

FIRST_PAUSE, LAST_PAUSE = 0.05, 1.0
"""Seconds between attempts to reach a database that is away; what waits meanwhile is refused after each."""

EARLY = 1.0
"""Seconds that a transaction is open before its first request."""

_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"


class PostgresWriter:
    """`submit` requests; `answered` is called with each batch after COMMIT.

    A batch whose connection broke before COMMIT is run once more on a new one. While no connection can be had, what
    was submitted is refused with StoreUnavailable.
    """

    def __init__(self, url: URL, answered: Callable[[list[Request]], None], joining: Joining) -> None:
        self.ahead = 0
        """Microseconds between the database's time and `since_start()`, as the last transaction found."""
        self._url = url
        self._answered = answered
        self._joining = joining
        self._intake = Intake()
        self._closing = asyncio.Event()
        self._working: list[asyncio.Task[None]] = []
        self._connections: list[PostgresConnection] = []

    @classmethod
    async def open(cls, url: URL, answered: Callable[[list[Request]], None], joining: Joining) -> PostgresWriter:
        """Raises StoreUnavailable where no connection can be had."""
        writer = cls(url, answered, joining)
        first = await writer._connect()
        writer.ahead = await first.measure()
        for number in range(WRITERS):
            working = writer._work(first if number == 0 else None)
            writer._working.append(asyncio.create_task(working, name=f"countersign-writer-{number + 1}"))
        return writer

    def submit(self, request: Request) -> None:
        self._intake.put(request)

    async def close(self) -> None:
        """Finishes what was submitted, then closes the connections."""
        self._closing.set()
        self._intake.end(len(self._working))
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _work(self, connection: PostgresConnection | None) -> None:
        pause = FIRST_PAUSE
        batch: list[Request] = []
        try:
            while True:
                connection, batch = await self._next_batch(connection)
                if not batch:
                    break
                try:
                    connection = await self._commit(connection, batch)
                    pause = FIRST_PAUSE
                    self._answered(batch)
                except StoreUnavailable as error:
                    connection = None
                    log.warning("the database is away", reason=error.message, seconds=pause)
                    if isinstance(error, NoConnectionLeft) and self._others_can():
                        self._leave(batch)
                    else:
                        self._refuse([*batch, *self._intake.waiting()], error)
                    batch = []
                    await self._rest(pause)
                    pause = min(LAST_PAUSE, pause * 2)
                except Exception as error:
                    connection = None
                    log.exception("a batch failed unexpectedly")
                    self._refuse(batch, StoreUnavailable(f"the database refused the work: {error!r}"))
                batch = []
        except BaseException:
            self._refuse(batch, OutcomeUnknown("the process stopped while this was written; look before trying again"))
            raise
        finally:
            if connection is not None:
                await connection.close()

    async def _next_batch(
        self, connection: PostgresConnection | None
    ) -> tuple[PostgresConnection | None, list[Request]]:
        """What waits; empty at the end. The transaction that was begun with the last COMMIT stays open for a while: as
        long as an execution moves, its next request follows soon.
        """
        if connection is not None and self._intake.empty:
            try:
                async with asyncio.timeout(EARLY):
                    return connection, await self._intake.batch()
            except TimeoutError:
                try:
                    await connection.not_yet()
                except StoreUnavailable:  # the next batch has a new one
                    connection.terminate()
                    connection = None
        return connection, await self._intake.batch()

    async def _commit(self, connection: PostgresConnection | None, batch: list[Request]) -> PostgresConnection | None:
        """Has the batch answered; returns the connection for the next one, if it still stands.

        Raises StoreUnavailable where some of it could not be.
        """
        left, again = batch, False
        while left:
            connection = connection or await self._connect()
            connection.expect(left[0] if len(left) == 1 else None)
            try:
                await greenlet_spawn(
                    commit, connection, left, side_by_side, self._joining, PostgresConnection.insert_and_commit
                )
            except BaseException as error:
                connection.terminate()
                connection = None
                left = [request for request in left if not request.answered]
                if again or not isinstance(error, ConnectionLost):
                    raise
                again = True
                log.warning("connection to the database lost", reason=error.message, replayed=len(left))
            else:
                self.ahead = connection.ahead
                break
        return connection

    def _others_can(self) -> bool:
        """Whether another writer has a connection; at the end nobody comes for what is left to others."""
        return not self._closing.is_set() and any(connection.usable for connection in self._connections)

    def _leave(self, batch: list[Request]) -> None:
        """To another writer: what has no answer yet was not written."""
        self._answered([request for request in batch if request.answered])
        for request in batch:
            if not request.answered:
                self._intake.put(request)

    async def _rest(self, pause: float) -> None:
        """Shortened at random, so that replicas whose database comes back do not all come back with it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), pause * random.uniform(0.5, 1.0))  # noqa: S311

    def _refuse(self, batch: list[Request], error: StoreUnavailable) -> None:
        """Answers with `error` what has no answer yet."""
        for request in batch:
            if not request.answered:
                request.fail(error)
        self._answered(batch)

    async def _connect(self) -> PostgresConnection:
        link = await connect(self._url, WRITING)
        await link.execute(_DURABLE)
        connection = PostgresConnection(link)
        self._connections = [*(one for one in self._connections if one.usable), connection]
        return connection
