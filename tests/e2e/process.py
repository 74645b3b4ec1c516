"""The product's own processes, as tests start and end them: each by its id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.waiting import until

REPOSITORY = Path(__file__).parents[2]

STARTS_WITHIN = 40.0
ENDS_WITHIN = 20.0

_PRODUCTS = ("SLACK_", "OPENAI_", "ANTHROPIC_", "COUNTERSIGN_")


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with `settings` as the only ones of the product's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PRODUCTS)}
    return kept | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"} | settings


@dataclass(slots=True)
class ProductProcess:
    """A process whose standard input is a pipe of ours: it ends when we do."""

    process: subprocess.Popen[bytes]
    output: Path
    log: Path

    @classmethod
    def start(
        cls, command: Sequence[str], settings: Mapping[str, str], folder: Path, name: str = "server"
    ) -> ProductProcess:
        """Starts it in `folder`, where its standard output and error go into files that begin with `name`."""
        output, log = folder / f"{name}.out", folder / f"{name}.log"
        with output.open("wb") as out, log.open("ab") as err:
            process = subprocess.Popen(
                [*command],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=dict(settings),
                start_new_session=True,
            )
        return cls(process, output, log)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def says(self, pattern: str, within: float = STARTS_WITHIN) -> re.Match[str]:
        """What it prints, once a line of it begins with `pattern`; fails with its log where it ends before."""

        async def said() -> re.Match[str] | None:
            found = re.search(f"^{pattern}", self.output.read_text(), re.MULTILINE)
            if found is None and self.process.poll() is not None:
                raise AssertionError(f"it ended with status {self.process.returncode}:\n{self.log.read_text()}")
            return found

        return await until(said, f"it prints {pattern}", within=within, explain=self.tail)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-6000:]

    async def kill(self) -> None:
        """Ends it as a crash would, and waits until it is gone."""
        self._signal(signal.SIGKILL)
        await self.ended()

    async def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to end; its exit status."""
        self._signal(signum)
        return await self.ended()

    async def ended(self, within: float = ENDS_WITHIN) -> int:
        """Its exit status, once it has ended by itself."""

        async def gone() -> tuple[int] | None:
            status = self.process.poll()
            return None if status is None else (status,)

        (status,) = await until(gone, f"process {self.pid} ends", within=within, explain=self.tail)
        self._close_input()
        return status

    def abandon(self) -> None:
        """Leaves nothing behind, however the test went."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._close_input()

    def _signal(self, signum: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signum)

    def _close_input(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


async def run(*arguments: str, settings: Mapping[str, str], folder: Path, within: float = 30.0) -> Ran:
    """`countersign ARGUMENTS` to its end, in `folder`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(settings),
        cwd=folder,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), within)
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        raise AssertionError(f"{arguments} did not end within {within} s:\n{out.decode()}{err.decode()}") from None
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())
