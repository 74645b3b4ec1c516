"""P14: a server under floods of requests, bodies and connections, and with a surface's own; its memory beside it."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace

import aiohttp

from agent_runtime.conformance.answering import Wire
from agent_runtime.conformance.bodies import bodies
from agent_runtime.conformance.connections import connections, ends
from agent_runtime.conformance.doors import WEBHOOK_SECRET
from agent_runtime.conformance.feeds import feeds
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.flooded import WARMING, DoorFloods, FloodSizes, OpenFloods, SurfaceFloods, Target
from agent_runtime.conformance.gone import gone
from agent_runtime.conformance.growth import memory
from agent_runtime.conformance.people import People
from agent_runtime.conformance.processes import Zygote
from agent_runtime.conformance.usage import Memory, resident
from agent_runtime.conformance.waiting import stopped, until
from agent_runtime.store.database import Database
from agent_runtime.web.connections import as_many_as_files_allow

ALIVE_WITHIN = 3.0
"""Seconds in which /healthz answers, whatever comes: as anybody else is."""

LOOK_EVERY = 0.1

Round = Callable[[Target], Awaitable[Sequence[Finding]]]


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
        as_many_as_files_allow()  # this process opens as many connections as the server
        findings: list[Finding] = []
        async with self.open_floods(self.sizes.strangers) as floods:
            async with self._server(floods) as target:
                findings += await self._flooded(target, functools.partial(self._all, floods), f" in {floods.mode}")
                if self.sizes.to_the_end:
                    findings.append(await ends(target))
            for door in floods.doors:
                async with self._server(door) as target:
                    flood = functools.partial(door.run, sizes=self.sizes)
                    findings += await self._flooded(target, flood, f" in {door.mode}")
        return (*findings, self._health(began))

    @asynccontextmanager
    async def _server(self, door: DoorFloods) -> AsyncIterator[Target]:
        """One that has been through a little of everything."""
        server = await self.zygote.fork(environment=dict(door.environment), webhook_secret=WEBHOOK_SECRET)
        async with aiohttp.ClientSession() as http:
            with closing(Wire(server.url)) as wire:
                target = Target(server, http, wire, self.people, self.database)
                await door.ready(target)
                await door.run(target, WARMING)
                await self._at_rest(target)
                yield target
        await self.zygote.kill(server)

    async def _flooded(self, target: Target, flood: Round, mode: str) -> Sequence[Finding]:
        """Each flood's finding, and how much memory all took."""
        began, pid = time.monotonic(), target.server.pid
        before = resident(pid)
        rounds: list[Sequence[Finding]] = []
        peaks: list[int] = []
        async with self._asking(target):
            for _ in range(self.sizes.times):
                async with Memory(pid) as watched:
                    rounds.append(await flood(target))
                    await self._at_rest(target)
                peaks.append(watched.peak)
        used = memory(before, peaks, resident(pid), time.monotonic() - began, mode)
        return (*(_worst(each) for each in zip(*rounds, strict=True)), used)

    async def _all(self, floods: SurfaceFloods, target: Target) -> Sequence[Finding]:
        sizes = self.sizes
        return (
            *await floods.run(target, sizes),
            await bodies(target, sizes.bodies),
            await connections(target, sizes.idle),
            await feeds(target, sizes.waiting, sizes.pages),
            await gone(target, sizes.gone),
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


def _worst(rounds: Sequence[Finding]) -> Finding:
    """The figures of the worst round, with what was wrong in any."""
    worst = max(rounds, key=lambda one: (len(one.violations), float(one.figures.get("s at most", 0.0))))
    violations = tuple(violation for one in rounds for violation in one.violations)
    return replace(worst, violations=violations, seconds=sum(one.seconds for one in rounds))
