"""What takes due rows of the outbox, holds them while they are on their way, and gives them back when it stops."""

from __future__ import annotations

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine, Hashable, Sequence
from typing import Any, Generic, TypeVar

import structlog

from agent_runtime.delivery.holds import Holds
from agent_runtime.store.database import Database
from agent_runtime.store.intake import Request
from agent_runtime.trouble import report

log = structlog.get_logger(__name__)

IN_FLIGHT = 64
"""Subjects whose rows are on their way at once."""

ALONG = 16
"""Rows that are taken in the transaction that wrote them; more are taken in one of their own."""

GIVES_WAY = 0.001
"""Seconds from when rows are taken until they are looked at: whatever wrote them goes on first, as a program waits for
that, and drawing a message takes this process longer than a commit.
"""

T = TypeVar("T")
Take = Callable[..., Sequence[T]]
"""An operation of the store that takes due rows."""


class Deliverer(ABC, Generic[T]):
    """Runs until it is stopped; several processes share the rows. `name` is how its log speaks of it, `topic` what a
    transaction announces that has written rows for it.
    """

    name: str
    topic: str

    def __init__(self, database: Database) -> None:
        self.database = database
        self.holds = Holds(database)
        self._on_their_way: dict[Hashable, asyncio.Task[None]] = {}
        self._along: dict[asyncio.Future[Sequence[T]], int] = {}
        self._take: asyncio.Task[bool] | None = None
        self._reserved = 0
        self._turned_away = False
        """There was something to take, and no room for it."""

    async def run(self) -> None:
        """Delivers what is due, for ever; cancel it to stop: what was on its way then is given back."""
        holding = asyncio.create_task(self.holds.keep(), name=f"countersign-{self.name}-holds")
        try:
            with self.database.joined(self._take_along), self.database.wakes.listen("outbox", self.topic) as woken:
                while True:
                    woken.clear()
                    try:
                        more = await self.deliver_due()
                    except Exception as error:  # noqa: BLE001 - reported; the next round tries again
                        report(log, f"{self.name}: could not take what is due; trying again at the next wake", error)
                        more = False
                    if not more:
                        await woken.wait()
        finally:
            taking = [self._take] if self._take is not None else []
            await asyncio.gather(*self._along, *taking, return_exceptions=True)
            ending = [holding, *self._on_their_way.values()]
            for busy in ending:
                busy.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await self.holds.give_back()

    async def deliver_due(self) -> bool:
        """Takes due rows and starts to deliver them; whether more may be due that there is room for. What is taken when
        this is cancelled is delivered all the same, or given back.
        """
        limit = self._room()
        self._turned_away = limit == 0
        if limit == 0:
            return False
        self._take = asyncio.create_task(self._take_due(limit))
        return await asyncio.shield(self._take)

    async def _take_due(self, limit: int) -> bool:
        take, args = self._taking(limit)
        self._reserved += limit
        try:
            taken = await self.database.write(take, *args)
        finally:
            self._reserved -= limit
        return self._begin_all(taken) == limit

    async def idle(self) -> None:
        """Returns when nothing that was taken is still on its way."""
        while self._on_their_way:
            await asyncio.gather(*self._on_their_way.values(), return_exceptions=True)

    @abstractmethod
    def _taking(self, limit: int) -> tuple[Take[T], tuple[Any, ...]]:
        """The operation that takes up to `limit` due rows, and its arguments."""

    @abstractmethod
    def _begin_all(self, taken: Sequence[T]) -> int:
        """Starts to deliver what was taken; how many rows that is."""

    def _begin(self, subject: Hashable, ids: Collection[int], deliver: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Has rows of one subject (`ids`) delivered, behind those of it that are on their way already."""
        self.holds.add(ids)
        busy = asyncio.create_task(_behind(self._on_their_way.get(subject), deliver))
        self._on_their_way[subject] = busy
        busy.add_done_callback(functools.partial(self._end, subject, ids))

    def _end(self, subject: Hashable, ids: Collection[int], busy: asyncio.Task[None]) -> None:
        """Announces "delivered" in this process, and that there is room where rows may wait for it."""
        if not busy.cancelled():
            self.holds.drop(ids)
            if (error := busy.exception()) is not None:
                log.error(f"{self.name}: what was taken is left to be taken again", about=subject, error=repr(error))
        if self._on_their_way.get(subject) is busy:
            del self._on_their_way[subject]
            self.database.wakes.announce(["delivered"])
            self._say_there_is_room()

    def _room(self) -> int:
        """Rows that it may take now."""
        return max(0, IN_FLIGHT - len(self._on_their_way) - self._reserved)

    def _say_there_is_room(self) -> None:
        if self._turned_away and self._room() > 0:
            self.database.wakes.announce([self.topic])

    def _take_along(self, ran: Sequence[Request], since: float) -> Sequence[Request]:
        """The same as part of the transaction that has just written rows: it saves the one that would follow."""
        if not self.database.single_writer or not any(self.topic in request.topics for request in ran):
            return ()
        if (limit := min(self._room(), ALONG)) == 0:
            return ()
        take, args = self._taking(limit)
        taken: asyncio.Future[Sequence[T]] = asyncio.get_running_loop().create_future()
        self._along[taken] = limit
        self._reserved += limit
        taken.add_done_callback(self._taken_along)
        return [Request(take, args, {}, taken, stands_for=self.topic)]

    def _taken_along(self, taken: asyncio.Future[Sequence[T]]) -> None:
        limit = self._along.pop(taken)
        self._reserved -= limit
        if (error := taken.exception()) is not None:
            assert isinstance(error, Exception)
            report(log, f"{self.name}: could not take along what was written; trying again at the next wake", error)
        elif self._begin_all(taken.result()) == limit:
            self._turned_away = True
        self._say_there_is_room()


async def _behind(before: asyncio.Task[None] | None, deliver: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.sleep(GIVES_WAY)
    if before is not None:
        await asyncio.wait([before])
    await deliver()
