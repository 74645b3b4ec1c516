"""The product's own processes, as tests start and end them: each by its id."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from agent_runtime.store.database import Database
from tests.e2e.waiting import until
from tests.forks import Process, launch

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

    process: Process
    lifeline: int
    output: Path
    log: Path

    @classmethod
    def start(
        cls, command: Sequence[str], settings: Mapping[str, str], folder: Path, name: str = "server"
    ) -> ProductProcess:
        """Starts it in `folder`, where its standard output and error go into files that begin with `name`."""
        output, log = folder / f"{name}.out", folder / f"{name}.log"
        with output.open("wb") as out, log.open("ab") as err:
            lifeline, held = os.pipe()
            with open(lifeline, "rb") as stdin:
                process = launch(command, settings=settings, folder=folder, streams=(stdin, out, err))
        return cls(process, held, output, log)

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

    async def freeze(self, database: Database) -> None:
        """Stops it (SIGSTOP) where it holds no lock, so that what others write does not wait for it."""

        async def stopped() -> bool:
            self._signal(signal.SIGSTOP)
            if database.url.get_backend_name() != "sqlite":
                return True
            with contextlib.closing(sqlite3.connect(str(database.url.database), timeout=0)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    self._signal(signal.SIGCONT)
                    return False
            return True

        await until(stopped, f"process {self.pid} stops between two transactions", explain=self.tail)

    async def ended(self, within: float = ENDS_WITHIN) -> int:
        """Its exit status, once it has ended by itself."""

        async def gone() -> tuple[int] | None:
            status = self.process.poll()
            return None if status is None else (status,)

        (status,) = await until(gone, f"process {self.pid} ends", within=within, explain=self.tail)
        self.close_input()
        return status

    def abandon(self) -> None:
        """Leaves nothing behind, however the test went."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.close_input()

    def close_input(self) -> None:
        """Ends its standard input, as the end of its parent would."""
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    def _signal(self, signum: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signum)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


async def run(*arguments: str, settings: Mapping[str, str], folder: Path) -> Ran:
    """`countersign ARGUMENTS` to its end, in `folder`."""
    return await complete([sys.executable, "-m", "bot", *arguments], settings=settings, folder=folder)


async def complete(
    command: Sequence[str], *, settings: Mapping[str, str], folder: Path, typed: str = "", within: float = 60.0
) -> Ran:
    """Runs a command to its end in `folder`; `typed` is its standard input."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(typed.encode())
        given.seek(0)
        process = launch(command, settings=settings, folder=folder, streams=(given, out, err))

        def said() -> tuple[str, str]:
            return _whole(out), _whole(err)

        async def status() -> tuple[int] | None:
            found = process.poll()
            return None if found is None else (found,)

        try:
            (ended,) = await until(status, f"{command} ends", within=within, explain=lambda: "".join(said()))
        finally:
            process.kill()
            process.wait()
        return Ran(ended, *said())


def _whole(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()
