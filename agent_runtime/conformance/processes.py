"""Server processes as a run has them: forked, killed, paused, and known to have ended."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_runtime.conformance.child import Wanted

STARTS_WITHIN = 60.0
"""Seconds for the zygote, and for a server, to be ready."""


@dataclass(slots=True)
class Server:
    """One forked server. `url` is where it listens, once it is `ready`; `status` how it ended, once it has; `said` what
    a command printed.
    """

    number: int
    pid: int = 0
    url: str = ""
    worker: str = ""
    status: int | None = None
    failed: str = ""
    said: str = ""
    forked: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def alive(self) -> bool:
        return self.status is None

    async def ready(self, within: float = STARTS_WITHIN) -> bool:
        """Whether it listens; False where it has ended before."""
        async with asyncio.timeout(within):
            while not self.url and self.alive:
                self.changed.clear()
                await self.changed.wait()
        return bool(self.url)


class Zygote:
    """Forks servers on one database and one ledger."""

    def __init__(self, process: asyncio.subprocess.Process, database_url: str, ledger: Path) -> None:
        self._process = process
        self._database_url = database_url
        self._ledger = ledger
        self._numbers = itertools.count(1)
        self._servers: dict[int, Server] = {}

    async def fork(self, *, ready: bool = True, **wanted: Any) -> Server:
        """A server as `child.Wanted` says, awaited until it listens (where `ready`) or has ended."""
        server = Server(next(self._numbers))
        self._servers[server.number] = server
        line = Wanted(server.number, self._database_url, str(self._ledger), **wanted).as_line()
        self._say(line)
        await server.forked.wait()
        if ready:
            await server.ready()
        return server

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Runs `countersign …` on the database in a process of its own; its exit status and what it said."""
        process = Server(next(self._numbers))
        self._servers[process.number] = process
        command = {"number": process.number, "command": arguments, "database_url": self._database_url}
        self._say(json.dumps(command) + "\n")
        await process.ended.wait()
        assert process.status is not None
        return process.status, process.said or process.failed

    async def kill(self, server: Server) -> None:
        """kill -9, and until it is gone."""
        self.signal(server, signal.SIGKILL)
        await server.ended.wait()

    async def kill_all(self) -> None:
        """kill -9 for every server that is left, also one whose start nobody waited for."""
        for server in list(self._servers.values()):
            await self.kill(server)

    def signal(self, server: Server, signum: signal.Signals) -> None:
        """Sends a signal, where the server is still there."""
        self._say(json.dumps({"number": server.number, "signal": int(signum)}) + "\n")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())

    async def listen(self, first: asyncio.Event) -> None:
        """Takes in what the zygote says, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "zygote" in told:
                first.set()
                continue
            self._told(self._servers[told["number"]], told)

    def _told(self, server: Server, told: dict[str, Any]) -> None:
        if "pid" in told:
            server.pid = told["pid"]
            server.forked.set()
        elif "port" in told:
            server.url, server.worker = f"http://127.0.0.1:{told['port']}", told["worker"]
        elif "failed" in told:
            server.failed = told["failed"]
        elif "said" in told:
            server.said = told["said"]
        else:
            server.status = told["ended"]
            server.ended.set()
            del self._servers[server.number]
        server.changed.set()


@asynccontextmanager
async def zygote(database_url: str, ledger: Path) -> AsyncIterator[Zygote]:
    """A zygote that is ready to fork; it and all that it forked end with the block, and with this process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent_runtime.conformance.zygote",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    forking = Zygote(process, database_url, ledger)
    first = asyncio.Event()
    listening = asyncio.create_task(forking.listen(first))
    try:
        async with asyncio.timeout(STARTS_WITHIN):
            await first.wait()
        yield forking
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
