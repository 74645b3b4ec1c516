"""P14: one server under floods of requests, bodies and connections, and with a surface's own; its memory beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from typing import Protocol

import aiohttp

from agent_runtime.conformance.answering import Wire
from agent_runtime.conformance.bodies import bodies
from agent_runtime.conformance.connections import connections, ends
from agent_runtime.conformance.doors import WEBHOOK_SECRET, Shown
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.people import People
from agent_runtime.conformance.processes import Server, Zygote
from agent_runtime.conformance.usage import MIB, Memory, resident
from agent_runtime.conformance.waiting import stopped, until
from agent_runtime.store.approvals import PENDING_OF_EXECUTION
from agent_runtime.store.database import Database

ALIVE_WITHIN = 3.0
"""Seconds in which /healthz answers, whatever comes: as anybody else is."""

LOOK_EVERY = 0.1
PEAK_AT_MOST = 192 * MIB
"""Bytes by which a server may grow under a flood: requests under way (some hundreds), connections (some thousands,
15 KB each), bodies on their way, executions that run (100), and what Python keeps of it.
"""

GROWTH_AT_MOST = 24 * MIB
"""Bytes by which the last round may take more than the one before: 50,000 signatures of Slack's requests are remembered
for ten minutes (250 bytes each), and the same requests never come in quite the same order.
"""


@dataclass
class Target:
    """The server that is flooded, and how to look at it."""

    server: Server
    http: aiohttp.ClientSession
    wire: Wire
    people: People
    database: Database

    @property
    def url(self) -> str:
        return self.server.url

    async def ask_for(self, name: str, approvals: int) -> list[Shown]:
        """So many approvals that wait. Raises RuntimeError where they are not asked for."""
        references = [f"{name}-{number}" for number in range(approvals)]
        for reference in references:
            self.people.want(reference, f"{reference} unsafe")
        await self.people.start_all(self.url)
        shown: list[Shown] = []
        for reference in references:
            execution_id = self.people.started[reference]

            async def asked(execution_id: str = execution_id) -> bool:
                return bool(await self.database.all(PENDING_OF_EXECUTION, b_execution=execution_id))

            if not await until(asked, within=30, every=0.02):
                raise RuntimeError(f"{reference} asks for nothing")
            (approval,) = await self.database.all(PENDING_OF_EXECUTION, b_execution=execution_id)
            shown.append(Shown(approval.approval_request_id, approval.digest))
        return shown


class SurfaceFloods(Protocol):
    """Floods from where a surface's requests come from, such as Slack."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Settings of a server with that surface."""
        ...

    async def ready(self, target: Target) -> None:
        """Until the server has reached it."""
        ...

    async def run(self, target: Target, seconds: float, each_second: float) -> Sequence[Finding]: ...


OpenFloods = Callable[[int], AbstractAsyncContextManager[SurfaceFloods]]
"""Opens them, with so many strangers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodSizes:
    """How much comes: each flood for so many seconds, at that rate; so many of each bad body; idle connections."""

    seconds: float = 10.0
    each_second: float = 1000.0
    strangers: int = 20
    bodies: int = 50
    idle: int = 2000
    times: int = 3
    """Rounds of all of it."""
    to_the_end: bool = True
    """Whether connections that are left silent are watched until the server closes them."""


FLOODS = FloodSizes()
FEW = FloodSizes(seconds=0.6, each_second=200, strangers=4, bodies=1, idle=100, times=2, to_the_end=False)


@dataclass
class Floods:
    """Everything some times over on one server: what the first round leaves behind, later ones must not add to."""

    zygote: Zygote
    people: People
    database: Database
    sizes: FloodSizes
    open_floods: OpenFloods
    _healthy: list[float] = field(default_factory=list)
    _unhealthy: list[str] = field(default_factory=list)

    async def run(self) -> Sequence[Finding]:
        began = time.monotonic()
        async with self.open_floods(self.sizes.strangers) as floods, aiohttp.ClientSession() as http:
            server = await self.zygote.fork(environment=dict(floods.environment), webhook_secret=WEBHOOK_SECRET)
            with closing(Wire(server.url)) as wire:
                target = Target(server, http, wire, self.people, self.database)
                await floods.ready(target)
                await floods.run(target, 0.2, 50)  # what is imported and compiled once is no growth
                await self._at_rest(target)
                used, findings = await self._flooded(floods, target)
                ended = [await ends(target)] if self.sizes.to_the_end else []
            await self.zygote.kill(server)
        return (*findings, *ended, used, self._health(began))

    async def _flooded(self, floods: SurfaceFloods, target: Target) -> tuple[Finding, Sequence[Finding]]:
        """How much memory it took, and each flood's finding."""
        began, pid = time.monotonic(), target.server.pid
        before = resident(pid)
        rounds: list[Sequence[Finding]] = []
        peaks: list[int] = []
        async with self._asking(target):
            for _ in range(self.sizes.times):
                async with Memory(pid) as watched:
                    rounds.append(await self._all(floods, target))
                    await self._at_rest(target)
                peaks.append(watched.peak)
        used = memory(before, peaks, resident(pid), time.monotonic() - began)
        return used, [_worst(each) for each in zip(*rounds, strict=True)]

    async def _all(self, floods: SurfaceFloods, target: Target) -> Sequence[Finding]:
        sizes = self.sizes
        return (
            *await floods.run(target, sizes.seconds, sizes.each_second),
            await bodies(target, sizes.bodies),
            await connections(target, sizes.idle),
        )

    async def _at_rest(self, target: Target) -> None:
        """Until every execution that was begun has ended or waits for people, and no connection is left open."""
        target.wire.close()

        async def resting() -> bool:
            pages = [
                await self.people.get(target.url, f"/api/v1/executions?status={status}&limit=1")
                for status in ("queued", "running")
            ]
            return not any(page["items"] for page in pages)

        if not await until(resting, within=300):
            self._unhealthy.append("executions are still under way five minutes after the flood")

    @asynccontextmanager
    async def _asking(self, target: Target) -> AsyncIterator[None]:
        """Asks whether the server lives, all the time."""
        asking = asyncio.create_task(self._ask(target))
        try:
            yield
        finally:
            await stopped(asking)

    async def _ask(self, target: Target) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(10), http.get(f"{target.url}/healthz") as answer:
                        await answer.read()
                        status = answer.status
                except (aiohttp.ClientError, TimeoutError) as error:
                    self._unhealthy.append(f"/healthz: {type(error).__name__}")
                    continue
                took = time.monotonic() - began
                self._healthy.append(took)
                if status != 200 or took > ALIVE_WITHIN:
                    self._unhealthy.append(f"/healthz: answered {status} after {took:.2f} s")
                await asyncio.sleep(LOOK_EVERY)

    def _health(self, began: float) -> Finding:
        return Finding(
            "P14",
            "/healthz during all this",
            {"asked": len(self._healthy), "s at most": round(max(self._healthy, default=0.0), 2)},
            tuple(self._unhealthy),
            time.monotonic() - began,
        )


def memory(before: int, peaks: Sequence[int], after: int, seconds: float) -> Finding:
    """What memory (bytes) was in use before, at the peak of each round of floods, and after them. What Python and the C
    library keep for later use counts: so it is the peaks that must not go on rising.
    """
    violations = []
    if max(peaks) - before > PEAK_AT_MOST:
        violations.append(f"it grew by {(max(peaks) - before) / MIB:.0f} MiB")
    if peaks[-1] - peaks[-2] > GROWTH_AT_MOST:
        violations.append(f"the last round took {(peaks[-1] - peaks[-2]) / MIB:.0f} MiB more than the one before")
    return Finding(
        "P14",
        "memory of the server, in MiB",
        {
            "before": round(before / MIB),
            "at the peak of each round": ", ".join(f"{peak / MIB:.0f}" for peak in peaks),
            "after": round(after / MIB),
        },
        tuple(violations),
        seconds,
    )


def _worst(rounds: Sequence[Finding]) -> Finding:
    """The figures of the worst round, with what was wrong in any."""
    worst = max(rounds, key=lambda one: (len(one.violations), float(one.figures.get("s at most", 0.0))))
    violations = tuple(violation for one in rounds for violation in one.violations)
    return replace(worst, violations=violations, seconds=sum(one.seconds for one in rounds))
