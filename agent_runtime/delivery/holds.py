"""Which outbox rows this process holds: kept while it lives, free soon after it dies, given back when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import structlog

from agent_runtime.core.duration import SECOND
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import HOLD_ON, LET_GO
from agent_runtime.store.tx import Tx
from agent_runtime.trouble import report

log = structlog.get_logger(__name__)

HELD_FOR = 15 * SECOND
"""How long a held row is left alone; a deliverer that dies leaves it to the next one after that."""

HELD_ON_EVERY = 5.0
"""Seconds after which a living deliverer holds on to its rows, however long they wait for their turn."""


@dataclass(slots=True)
class Holds:
    """The rows that are on their way."""

    database: Database
    _ids: set[int] = field(default_factory=set)

    def add(self, ids: Iterable[int]) -> None:
        """These were taken."""
        self._ids.update(ids)

    def drop(self, ids: Iterable[int]) -> None:
        """These are done, or will be tried again later."""
        self._ids.difference_update(ids)

    async def keep(self) -> None:
        """Holds on, for ever; cancel it to stop."""
        while True:
            await asyncio.sleep(HELD_ON_EVERY)
            if self._ids:
                try:
                    await self.database.write(hold_on, tuple(self._ids))
                except Exception as error:  # noqa: BLE001 - reported; the next round tries again
                    report(log, "outbox: could not hold on to what is on its way; trying again", error)

    async def give_back(self) -> None:
        """Whatever is still held may be taken at once, by whoever comes next."""
        held, self._ids = tuple(self._ids), set()
        if held:
            await self.database.write(let_go, held)


def hold_on(tx: Tx, ids: Collection[int]) -> None:
    """Nobody else takes these rows for a while longer; one that was put off for longer stays so."""
    tx.run_each(HOLD_ON, [{"b_id": one, "b_until": tx.now + HELD_FOR} for one in sorted(ids)])


def let_go(tx: Tx, ids: Collection[int]) -> None:
    """These rows are due again."""
    tx.run_each(LET_GO, [{"b_id": one, "b_now": tx.now} for one in sorted(ids)])
    tx.wake("outbox")
