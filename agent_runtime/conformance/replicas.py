"""P1, P3: three servers on one database, one of them killed every few seconds; and one that sleeps past its lease."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from dataclasses import dataclass, field

from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.people import People
from agent_runtime.conformance.processes import Server, Zygote
from agent_runtime.conformance.reading import all_ended, any_started, read_all
from agent_runtime.conformance.waiting import stopped, until
from agent_runtime.core.duration import SECOND
from agent_runtime.core.execution import LEASE
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM

REPLICAS = 3
TAKES = 0.05
"""Seconds that each call takes, so that some run whenever a server dies."""

TAKEN_OVER_WITHIN = LEASE / SECOND + 2


@dataclass
class Replicas:
    """Several servers; people use any that lives."""

    zygote: Zygote
    people: People
    database: Database
    servers: list[Server] = field(default_factory=list)
    killed_at: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._chance = random.Random(20)  # noqa: S311 - which server dies
        self._numbers = itertools.count(1)

    async def run(self, executions: int, *, kill_every: float, kills: int | None, within: float) -> list[Finding]:
        """`executions` run while a server is killed every `kill_every` seconds (`kills` times at most; None: without
        end); all are to end `within` seconds.
        """
        began = time.monotonic()
        self.servers = [await self._fork() for _ in range(REPLICAS)]
        working = [asyncio.create_task(self._work(place)) for place in range(REPLICAS)]
        killing = asyncio.create_task(self._kill(kill_every, kills))
        for _ in range(executions):
            self.people.want(f"replica-{next(self._numbers)}")
        await until(self._all_ended, within=within)  # what has not is told by the reading
        await stopped(killing, *working)
        for server in self.servers:
            await self.zygote.kill(server)
        reading = await read_all(self.database, self.people, self.people.ledger)
        waits = await self._waits()
        slow = [f"taken over after {wait:.1f} s" for wait in waits if wait > TAKEN_OVER_WITHIN]
        return [
            Finding(
                "P1",
                f"{REPLICAS} replicas, one killed every {kill_every:g} s",
                {
                    "executions": reading.executions,
                    "kills": len(self.killed_at),
                    "lost": len(reading.lost),
                    "duplicate unsafe effects": len(reading.duplicates),
                    "in doubt, all asked": reading.in_doubt,
                    "taken over": len(waits),
                    "s at most": round(max(waits, default=0.0), 1),
                },
                (*reading.violations, *slow),
                time.monotonic() - began,
            )
        ]

    async def _fork(self) -> Server:
        return await self.zygote.fork(takes=TAKES)

    async def _work(self, place: int) -> None:
        """People who use one server, and its successor where that has died."""
        while True:
            await self.people.work(self.servers[place].url)
            await asyncio.sleep(0.05)

    async def _kill(self, every: float, kills: int | None) -> None:
        while kills is None or len(self.killed_at) < kills:
            await asyncio.sleep(every)
            place = self._chance.randrange(REPLICAS)
            server = self.servers[place]
            self.killed_at[server.worker] = self.database.clock()
            await self.zygote.kill(server)
            self.servers[place] = await self._fork()

    async def _all_ended(self) -> bool:
        server = next((server for server in self.servers if server.alive), None)
        return server is not None and await all_ended(self.database, self.people, server.url)

    async def _waits(self) -> list[float]:
        """Seconds from the death of a server to where what it ran was taken over, each."""
        waits = []
        for execution_id in list(self.people.started.values()):
            events = await self.database.all(EVENTS_OF_STREAM, b_stream=execution_id, b_after=0, b_limit=1000)
            for event in events:
                if event.type == "execution.taken_over":
                    died = self.killed_at.get(json.loads(event.data)["worker_id"])
                    if died is not None:
                        waits.append((event.at - died) / SECOND)
        return waits


async def sleeper(zygote: Zygote, people: People, database: Database, executions: int) -> Finding:
    """A server that sleeps past its lease right after it has committed that calls start: others go on meanwhile, and
    what it wakes up to is refused.
    """
    began = time.monotonic()
    asleep = LEASE / SECOND + 3
    first = await zygote.fork(failpoints=f"commit.after@start_call=pause:{asleep:g}", concurrency=executions)
    for number in range(executions):
        people.want(f"sleeper-{number}", f"sleeper-{number} unsafe keyed")
    at_first = asyncio.create_task(people.work(first.url))
    await until(lambda: any_started(people, database), within=asleep)
    second = await zygote.fork()
    at_second = asyncio.create_task(people.work(second.url))
    await asyncio.sleep(asleep)
    await until(
        lambda: all_ended(database, people, second.url), within=2 * asleep
    )  # what has not is told by the reading
    await asyncio.sleep(1.0)  # what woke up does what it still may
    await stopped(at_first, at_second)
    await zygote.kill(first)
    await zygote.kill(second)
    reading = await read_all(database, people, people.ledger)
    return Finding(
        "P3",
        f"a server that sleeps {asleep:g} s, past its lease, between start and effect",
        {
            "executions": reading.executions,
            "in doubt, all asked": reading.in_doubt,
            "duplicate unsafe effects": len(reading.duplicates),
        },
        reading.violations,
        time.monotonic() - began,
    )
