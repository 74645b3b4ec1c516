"""A child process that ends with its parent: the parent holds the other end of its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent_runtime.errors import CountersignError


class ChildFailed(CountersignError):
    """A part of the demo did not start."""

    slug = "child-failed"


@dataclass(slots=True)
class Child:
    """`python -m MODULE …`, its lines on standard output read one by one."""

    name: str
    process: asyncio.subprocess.Process

    @classmethod
    async def start(
        cls,
        name: str,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
    ) -> Child:
        """Starts it with exactly this environment, in `folder` (None: where the parent is)."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,  # Ctrl-C reaches the parent alone, which stops the children in order
        )
        return cls(name, process)

    async def lines(self) -> AsyncIterator[str]:
        """What it prints, until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            yield line.decode(errors="replace").rstrip("\n")

    async def told(self, line: str) -> None:
        """Gives it a line on its standard input; one that has ended does not hear it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await self.process.stdin.drain()

    async def first_line(self, within: float) -> str:
        """Its first line; raises ChildFailed where it ends or says nothing `within` seconds."""
        assert self.process.stdout is not None
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), within)
        except TimeoutError as error:
            raise ChildFailed(f"{self.name} did not start within {within:.0f} s") from error
        if not line:
            raise ChildFailed(f"{self.name} ended with status {await self.process.wait()}; its reason is above")
        return line.decode(errors="replace").rstrip("\n")

    def kill(self) -> None:
        """Ends it at once, as a crash would (kill -9)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)

    async def stop(self, within: float) -> None:
        """Asks it to end, and ends it hard after `within` seconds."""
        if self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), within)
        except TimeoutError:
            self.kill()
            await self.process.wait()
