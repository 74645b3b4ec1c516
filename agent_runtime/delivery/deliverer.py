"""What takes due rows of the outbox, holds them while they are on their way, and gives them back when it stops."""

from __future__ import annotations

import asyncio
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine, Hashable
from typing import Any

import structlog

from agent_runtime.delivery.holds import Holds
from agent_runtime.store.database import Database
from agent_runtime.trouble import report

log = structlog.get_logger(__name__)

IN_FLIGHT = 64
"""Subjects whose rows are on their way at once."""


class Deliverer(ABC):
    """Runs until it is stopped; several processes share the rows. `name` is how its log speaks of it."""

    name: str

    def __init__(self, database: Database) -> None:
        self.database = database
        self.holds = Holds(database)
        self._on_their_way: dict[Hashable, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Delivers what is due, for ever; cancel it to stop: what was on its way then is given back."""
        holding = asyncio.create_task(self.holds.keep(), name=f"countersign-{self.name}-holds")
        try:
            with self.database.wakes.listen("outbox") as woken:
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
            ending = [holding, *self._on_their_way.values()]
            for busy in ending:
                busy.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await self.holds.give_back()

    @abstractmethod
    async def deliver_due(self) -> bool:
        """Takes due rows and starts to deliver them; whether more may be due that there is room for."""

    async def idle(self) -> None:
        """Returns when nothing that was taken is still on its way."""
        while self._on_their_way:
            await asyncio.gather(*self._on_their_way.values(), return_exceptions=True)

    def _room(self) -> int:
        """Subjects whose rows it may take now."""
        return max(0, IN_FLIGHT - len(self._on_their_way))

    def _begin(self, subject: Hashable, ids: Collection[int], deliver: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Has rows of one subject (`ids`) delivered, behind those of it that are on their way already."""
        self.holds.add(ids)
        busy = asyncio.create_task(_behind(self._on_their_way.get(subject), deliver))
        self._on_their_way[subject] = busy
        busy.add_done_callback(functools.partial(self._end, subject, ids))

    def _end(self, subject: Hashable, ids: Collection[int], busy: asyncio.Task[None]) -> None:
        """Announces "delivered" in this process, and "outbox" where rows may wait for the room that is there now."""
        if not busy.cancelled():
            self.holds.drop(ids)
            if (error := busy.exception()) is not None:
                log.error(f"{self.name}: what was taken is left to be taken again", about=subject, error=repr(error))
        if self._on_their_way.get(subject) is busy:
            was_full = self._room() == 0
            del self._on_their_way[subject]
            self.database.wakes.announce(["delivered", "outbox"] if was_full else ["delivered"])


async def _behind(before: asyncio.Task[None] | None, deliver: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if before is not None:
        await asyncio.wait([before])
    await deliver()
