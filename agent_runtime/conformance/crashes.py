"""P1, P3, P4: servers are killed at each commit and each effect, hundreds of times, and started again."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.people import People
from agent_runtime.conformance.processes import Zygote
from agent_runtime.conformance.reading import Reading, all_ended, read_all
from agent_runtime.conformance.waiting import stopped, until
from agent_runtime.store.database import Database
from agent_runtime.store.executions import list_executions

OPERATIONS = (
    "register",
    "beat",
    "start",
    "claim",
    "record_reply",
    "park",
    "resolve",
    "start_call",
    "finish_call",
    "ask_in_doubt",
    "settle",
    "sweep",
)
"""What is committed on the way of an execution, in order; the last reply is committed with the end."""

AROUND = (
    *(
        f"effect.{when}@{effect}"
        for effect in ("idempotent", "keyed", "checkable", "unsafe")
        for when in ("before", "after")
    ),
    "lookup.after",
    "model.before",
    "model.after",
)

POINTS = (*(f"commit.{when}@{operation}" for operation in OPERATIONS for when in ("before", "after")), *AROUND)
SQLITE_POINTS = ("commit.before@take_over_from", "commit.after@take_over_from")
"""On PostgreSQL a sweep takes over, once a lease has run out."""

AFTER_A_CRASH = {
    "commit.before@ask_in_doubt": "effect.before@unsafe",
    "commit.after@ask_in_doubt": "effect.after@unsafe",
    "commit.before@settle": "effect.after@unsafe",
    "commit.after@settle": "effect.before@unsafe",
    "commit.before@take_over_from": "effect.before@keyed",
    "commit.after@take_over_from": "effect.after@checkable",
    "lookup.after": "effect.after@checkable",
}
"""Points that only recovery reaches, and the crash that it recovers from."""

CLAIMED = 2
"""Executions that a server claims at once: on PostgreSQL what it held stays with it, dead, until the lease is over."""

LEFT = 8
"""Executions that are always there to be run."""

_OF_STATUS = list_executions(status=True, agent=False, after=False)

LIFE = 3.0
"""Seconds that a server gets to reach its point; past it, it is killed wherever it is."""

MISSES = 10
"""Servers that need not come to a point, beside a quarter of the kills, until it counts as not reached."""

DRAINED_WITHIN = 120.0
"""Seconds for all that was started to end, once nothing is killed any more; a lease is 15."""


@dataclass
class CrashRun:
    """Kills at points of one deployment. `killed` counts servers that died at a point, `missed` those that did not."""

    zygote: Zygote
    people: People
    database: Database
    seed: int = 20
    killed: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - which executions, not a secret
        self._numbers = itertools.count(1)

    async def kill_at(self, point: str, kills: int) -> None:
        """Lets servers die at `point` until `kills` have, each with new executions and those that were left."""
        first = AFTER_A_CRASH.get(point)
        while self.killed[point] < kills and self.missed[point] <= MISSES + kills // 4:
            if first is not None:
                await self._one_life(first)
            await self._one_life(point)

    async def _one_life(self, point: str) -> None:
        if "@start" in point or await self._few_left():
            self.people.want(f"{point.replace('@', '-')}-{next(self._numbers)}")
        once = point in AT_THE_START or point in AFTER_A_CRASH
        hit = 1 if once else self._chance.choice((1, 1, 1, 2))
        server = await self.zygote.fork(failpoints=f"{point}=crash#{hit}", concurrency=CLAIMED)
        working = asyncio.create_task(self.people.work(server.url)) if server.url else None
        try:
            async with asyncio.timeout(LIFE):
                await server.ended.wait()
        except TimeoutError:
            await self.zygote.kill(server)
            self.missed[point] += 1
        else:
            self.killed[point] += 1
            if server.failed:
                raise RuntimeError(f"a server could not start: {server.failed}")
        finally:
            if working is not None:
                await stopped(working)

    async def _few_left(self) -> bool:
        """Whether hardly anything that was started is left to be run."""
        queued, waiting = [
            await self.database.all(_OF_STATUS, b_status=status, b_limit=LEFT) for status in ("queued", "waiting")
        ]
        return len(queued) + len(waiting) < LEFT

    async def drain(self) -> float:
        """A server that nothing kills brings everything to its end; the seconds that this took."""
        began = time.monotonic()
        server = await self.zygote.fork()
        working = asyncio.create_task(self.people.work(server.url))
        within = DRAINED_WITHIN + 0.1 * len(self.people.wanted)
        await until(
            lambda: all_ended(self.database, self.people, server.url), within=within
        )  # what has not is told by the reading
        await stopped(working)
        await self.zygote.kill(server)
        return time.monotonic() - began


AT_THE_START = frozenset(
    f"commit.{when}@{operation}"
    for operation in ("register", "beat", "sweep", "take_over_from")
    for when in ("before", "after")
)
"""Points that a server reaches once while it starts."""


async def crashes(run: CrashRun, points: Sequence[str], kills: int) -> list[Finding]:
    """Kills `kills` servers at each of `points`, lets the rest finish, and compares."""
    began = time.monotonic()
    for point in points:
        await run.kill_at(point, kills)
    drained = await run.drain()
    reading = await read_all(run.database, run.people, run.people.ledger)
    seconds = time.monotonic() - began
    fewest = min((run.killed[point] for point in points), default=0)
    unreached = tuple(f"{point}: {run.killed[point]} of {kills} kills" for point in points if run.killed[point] < kills)
    return [
        Finding(
            "P1",
            f"kill -9 at {len(points)} commit and effect points",
            {
                "kills": sum(run.killed[point] for point in points),
                "at each point": fewest,
                "executions": reading.executions,
                "decisions": reading.decisions,
                "lost": len(reading.lost),
                "s to finish what was left": round(drained, 1),
            },
            (*unreached, *reading.lost, *reading.gaps),
            seconds,
        ),
        *_effects(reading),
    ]


def _effects(reading: Reading) -> list[Finding]:
    return [
        Finding(
            "P3",
            "unsafe tools around these kills",
            {
                "duplicate effects": len(reading.duplicates),
                "calls in doubt": reading.in_doubt,
                "not asked about": len(reading.unasked),
            },
            (*reading.duplicates, *reading.unasked),
        ),
        Finding(
            "P4", "keyed tools around these kills", {"calls with two keys": len(reading.keys)}, tuple(reading.keys)
        ),
    ]
