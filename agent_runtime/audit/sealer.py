"""The sealer: chains committed events, beside the work and never in its way. Any number of replicas may run one.

Events are read and hashed outside the writers' transactions; a batch is one short transaction that is refused where
another replica was first. On PostgreSQL an event with a lower id may be committed after a higher one, so that each read
looks back over the newest seals, and once a minute over all that was sealed since the look before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import structlog

from agent_runtime.core.audit import Head, SealedEvent
from agent_runtime.operations.seal import hashed, seal
from agent_runtime.store.audit import GET_HEAD, SEAL, UNSEALED
from agent_runtime.store.database import Database
from agent_runtime.trouble import report

log = structlog.get_logger(__name__)

BATCH = 200
"""Events in one transaction; it takes a few milliseconds of a writer's time."""

TOPIC = "seal"
"""Announced every second by the clockwork."""

NEAR, FAR = 2_000, 100_000
"""Seals that every read looks back over, and those that the first thorough look covers."""

THOROUGH_EVERY = 60.0
"""Seconds. No transaction lives as long: the server ends idle ones after 10 s, and the driver waits 15 s."""


@dataclass(slots=True)
class Sealer:
    """Seals until it is cancelled. `seal_pending` seals what there is now."""

    database: Database
    _looked_at: float = 0.0
    _thorough_from: int | None = None
    _ordered: bool = field(init=False)

    def __post_init__(self) -> None:
        self._ordered = self.database.url.get_backend_name() == "sqlite"
        """Ids are given in the order of commits."""

    async def run(self) -> None:
        """Seals every second what came in; a database that is away is waited out."""
        with self.database.wakes.listen(TOPIC) as woken:
            while True:
                woken.clear()
                try:
                    await self.seal_pending()
                except Exception as error:  # noqa: BLE001 - reported; the next round tries again
                    report(log, "audit: could not seal; trying again in a second", error)
                await woken.wait()

    async def seal_pending(self) -> Head:
        """Seals what is committed, batch after batch, until nothing is left or another replica does it; the head."""
        head = await self.database.one(GET_HEAD) or Head()
        while True:
            found = await self.database.all(UNSEALED, b_after=await self._since(head), b_limit=BATCH)
            if not found:
                return head
            batch = hashed([SealedEvent.of(row) for row in found])
            after = await self.database.write(seal, head, batch)
            if after is None:
                return await self.database.one(GET_HEAD) or Head()
            head = after

    async def _since(self, head: Head) -> int:
        """The event id behind which unsealed events are looked for."""
        back = 0 if self._ordered else NEAR
        if not self._ordered and time.monotonic() - self._looked_at >= THOROUGH_EVERY:
            start = self._thorough_from if self._thorough_from is not None else head.sequence - FAR
            self._looked_at, self._thorough_from = time.monotonic(), max(0, head.sequence - NEAR)
            back = head.sequence - start
        sequence = head.sequence - back
        if sequence <= 0:
            return 0
        row = await self.database.one(SEAL, b_sequence=sequence)
        return 0 if row is None else int(row.event_id)
