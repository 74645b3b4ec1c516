"""P1, P3, P4: servers are killed at each commit and each effect, hundreds of times, and started again."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.leases import end_leases
from agent_runtime.conformance.people import People
from agent_runtime.conformance.points import AFTER_A_CRASH, AFTER_REST, AT_THE_START, Course, course_to
from agent_runtime.conformance.processes import Server, Zygote
from agent_runtime.conformance.reading import Reading, all_ended, read_all
from agent_runtime.conformance.waiting import stopped, until
from agent_runtime.store.database import Database
from agent_runtime.store.executions import GET_EXECUTION, list_executions

CLAIMED = 2
"""Executions that a server claims at once: on PostgreSQL what it held stays with it, dead, until the lease is over."""

LEFT = 8
"""Executions that are always there to be run."""

LOOKED_AT = 64

_OF_STATUS = list_executions(status=True, agent=False, after=False)

LIFE = 3.0
"""Seconds that a server gets to reach its point; past it, it is killed wherever it is."""

FEW = 3
"""Kills at a point past which it need not be the first time that a server comes to it."""

MISSES = 10
"""Servers that need not come to a point, beside half as many as the kills, until it counts as not reached."""

DRAINED_WITHIN = 120.0
"""Seconds for all that was started to end, once nothing is killed any more; a lease is 15."""

SAID_EVERY = 10.0
"""Seconds between two words on how far it has come."""


@dataclass
class CrashRun:
    """Kills at points of one deployment. `killed` counts servers that died at a point, `missed` those that did not.

    `say` gets a line on how far it has come every now and then. Without `leases` nobody waits for those of the dead on
    PostgreSQL: they are over when a server has died.
    """

    zygote: Zygote
    people: People
    database: Database
    say: Callable[[str], None] = lambda line: None
    leases: bool = True
    seed: int = 20
    killed: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - which executions, not a secret
        self._numbers = itertools.count(1)
        self._began = self._said = time.monotonic()

    async def kill_at(self, point: str, kills: int) -> None:
        """Lets servers die at `point` until `kills` have, each with new executions and those that were left."""
        first = AFTER_A_CRASH.get(point)
        began = time.monotonic()
        while self.killed[point] < kills and self.missed[point] <= MISSES + kills // 2:
            if point in AFTER_REST:
                await self._life_to_rest(course_to(point))
            elif first is not None:
                await self._one_life(first, course_to(point))
            await self._one_life(point, course_to(point), often=kills > FEW)
            if time.monotonic() - self._said > SAID_EVERY:
                self._tell(f"{point}: {self.killed[point]} of {kills} kills")
        each = (time.monotonic() - began) / max(1, self.killed[point])
        missed = f", {self.missed[point]} missed" if self.missed[point] else ""
        self._tell(f"{point}: {self.killed[point]} kills, {each:.2f} s each{missed}")

    async def fork(self, **wanted: Any) -> Server:
        """A server of this deployment."""
        return await self.zygote.fork(**wanted)

    def want(self, reference: str, course: Course) -> None:
        """One more execution is wanted."""
        self.people.want(reference, reasoner=course.reasoner)

    async def all_done(self, url: str) -> bool:
        """Whether everything has come to its end."""
        return await all_ended(self.database, self.people, url)

    async def _one_life(self, point: str, course: Course, *, often: bool = False) -> None:
        if "@start" in point or await self._few_left():
            for _ in range(course.started):
                self.want(f"{point.replace('@', '-')}-{next(self._numbers)}", course)
        once = point in AT_THE_START or point in AFTER_A_CRASH or point in AFTER_REST or course.winding
        hit = 1 if once or not often else self._chance.choice((1, 1, 1, 2))
        failpoints = ";".join(filter(None, (course.fails, f"{point}=crash#{hit}")))
        server = await self.fork(
            failpoints=failpoints, concurrency=CLAIMED, parked=course.parked, takes=course.call_takes
        )
        working = [self._working(server, course)] if server.url else []  # it may have died before
        if course.told_to_end:
            working.append(asyncio.create_task(self._end(server, course.told_to_end)))
        try:
            async with asyncio.timeout(LIFE):
                await server.ended.wait()
        except TimeoutError:
            await self.zygote.kill(server)
            self.missed[point] += 1
        else:
            if server.failed:
                raise RuntimeError(f"a server could not start: {server.failed}")
            (self.killed if server.status == -signal.SIGKILL else self.missed)[point] += 1
        finally:
            await stopped(*working)
            await self._over()

    async def _end(self, server: Server, status: str) -> None:
        """Tells a server to end (SIGTERM) as soon as the newest execution has come to `status`."""
        if await until(lambda: self._newest_is(status), within=LIFE, every=0.02):
            self.zygote.signal(server, signal.SIGTERM)

    async def _life_to_rest(self, course: Course) -> None:
        """One more execution waits for people, on a server that dies before anybody has decided."""
        self.want(f"rested-{next(self._numbers)}", course)
        server = await self.fork(concurrency=CLAIMED, parked=course.parked)
        await self.people.start_all(server.url)
        await until(lambda: self._newest_is("waiting"), within=LIFE, every=0.02)
        await self.zygote.kill(server)
        await self._over()

    async def _newest_is(self, status: str) -> bool:
        *_, newest = self.people.wanted
        execution = await self.database.one(GET_EXECUTION, b_id=self.people.started.get(newest, ""))
        return execution is not None and execution.status == status

    async def _over(self) -> None:
        """No server lives now."""
        if not self.leases and self._keeps:
            await self.database.write(end_leases)

    @property
    def _keeps(self) -> bool:
        """Whether what a dead server held stays with it until the lease is over."""
        return self.database.url.get_backend_name() == "postgresql"

    def _working(self, server: Server, course: Course) -> asyncio.Task[None]:
        """People at a server that is ready."""
        return asyncio.create_task(self.people.work(server.url, take=course.people_take))

    async def _few_left(self) -> bool:
        """Whether hardly anything that was started is left to be run: on PostgreSQL what a dead server keeps is left
        for later.
        """
        found = [
            row
            for status in ("queued", "waiting")
            for row in await self.database.all(_OF_STATUS, b_status=status, b_limit=LOOKED_AT)
        ]
        return sum(row.worker_id is None or not self._keeps for row in found) < LEFT

    async def drain(self) -> float:
        """A server that nothing kills brings everything to its end; the seconds that this took."""
        self._tell("nothing is killed any more; what is left comes to its end")
        began = time.monotonic()
        server = await self.fork()
        working = self._working(server, Course())
        within = DRAINED_WITHIN + 0.1 * len(self.people.wanted)
        await until(lambda: self.all_done(server.url), within=within)  # what has not is told by the reading
        await stopped(working)
        await self.zygote.kill(server)
        return time.monotonic() - began

    def _tell(self, line: str) -> None:
        self._said = time.monotonic()
        self.say(f"{self._said - self._began:6.0f} s  {line}")


async def kill_and_read(run: CrashRun, points: Sequence[str], kills: int, what: str) -> tuple[Finding, Reading]:
    """Kills `kills` servers at each of `points`, lets the rest finish, and compares; `what` the points are of."""
    began = time.monotonic()
    for point in points:
        await run.kill_at(point, kills)
    drained = await run.drain()
    reading = await read_all(run.database, run.people, run.people.ledger)
    fewest = min((run.killed[point] for point in points), default=0)
    unreached = tuple(f"{point}: {run.killed[point]} of {kills} kills" for point in points if run.killed[point] < kills)
    finding = Finding(
        "P1",
        f"kill -9 at {len(points)} points {what}",
        {
            "kills": sum(run.killed[point] for point in points),
            "at each point": fewest,
            "executions": reading.executions,
            "decisions": reading.decisions,
            "lost": len(reading.lost),
            "s to finish what was left": round(drained, 1),
        },
        (*unreached, *reading.lost, *reading.gaps),
        time.monotonic() - began,
    )
    return finding, reading


def effects(reading: Reading, what: str) -> list[Finding]:
    """P3 and P4 around these kills."""
    return [
        Finding(
            "P3",
            f"unsafe tools around kills {what}",
            {
                "duplicate effects": len(reading.duplicates),
                "calls in doubt": reading.in_doubt,
                "not asked about": len(reading.unasked),
            },
            (*reading.duplicates, *reading.unasked),
        ),
        Finding(
            "P4", f"keyed tools around kills {what}", {"calls with two keys": len(reading.keys)}, tuple(reading.keys)
        ),
    ]


async def crashes(run: CrashRun, points: Sequence[str], kills: int, what: str = "of calls") -> list[Finding]:
    """Kills around executions, and what came of them."""
    finding, reading = await kill_and_read(run, points, kills, what)
    return [finding, *effects(reading, what)]
