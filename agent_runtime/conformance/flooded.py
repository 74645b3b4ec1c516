"""The server that is flooded, where its floods come from, and how much comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from agent_runtime.conformance.answering import Wire
from agent_runtime.conformance.doors import Shown
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.people import People
from agent_runtime.conformance.processes import Server
from agent_runtime.conformance.waiting import until
from agent_runtime.store.approvals import PENDING_OF_EXECUTION
from agent_runtime.store.database import Database


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


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodSizes:
    """How much comes: each flood for so many seconds, at that rate; so many of each bad body; so many connections that
    are idle, that wait for decisions, that show pages, that send slowly, and whose clients are killed.
    """

    seconds: float = 10.0
    each_second: float = 1000.0
    strangers: int = 20
    bodies: int = 50
    idle: int = 2000
    waiting: int = 1500
    pages: int = 150
    slow: int = 50
    gone: int = 500
    times: int = 3
    """Rounds of all of it."""
    to_the_end: bool = True
    """Whether connections that are left silent are watched until the server closes them."""


FLOODS = FloodSizes()
FEW = FloodSizes(
    seconds=0.6,
    each_second=200,
    strangers=4,
    bodies=1,
    idle=100,
    waiting=50,
    pages=10,
    slow=5,
    gone=60,
    times=2,
    to_the_end=False,
)
WARMING = FloodSizes(
    seconds=0.2, each_second=50, strangers=4, bodies=1, idle=6, waiting=6, pages=2, slow=0, gone=6, times=1
)
"""What is imported and compiled once is no growth."""


class DoorFloods(Protocol):
    """Floods through one way to a server; `mode` is its name."""

    mode: str

    @property
    def environment(self) -> Mapping[str, str]:
        """Settings of a server that is reached so."""
        ...

    async def ready(self, target: Target) -> None:
        """Until the server can be reached so."""
        ...

    async def run(self, target: Target, sizes: FloodSizes) -> Sequence[Finding]:
        """All of them, one after the other."""
        ...


class SurfaceFloods(DoorFloods, Protocol):
    """Floods from where a surface's requests come from, such as Slack."""

    @property
    def doors(self) -> Sequence[DoorFloods]:
        """Other ways to a server, such as Socket Mode: each is tried on a server of its own."""
        ...


OpenFloods = Callable[[int], AbstractAsyncContextManager[SurfaceFloods]]
"""Opens them, with so many strangers."""
