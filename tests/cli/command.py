"""Running the command line as a process, and what that answered."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.process import complete

PATIENCE = 60.0
REPOSITORY = Path(__file__).parents[2]

_SETTINGS = ("COUNTERSIGN_", "SLACK_", "OPENAI_", "ANTHROPIC_")

PIPE = asyncio.subprocess.PIPE

Process = asyncio.subprocess.Process


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended: its exit status, and what it wrote to each stream."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything on one line, however it was wrapped."""
        return " ".join(f"{self.out} {self.err}".replace("│", " ").split())


@dataclass
class Command:
    """Runs `python -m bot` in `folder`; `settings` are its environment's, beside what every process needs."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    _started: list[Process] = field(default_factory=list)

    async def __call__(self, *arguments: str, typed: str = "", **settings: str) -> Answer:
        """Runs it to its end. `typed` is its standard input; `settings` are variables for this once."""
        ran = await complete(
            [sys.executable, "-m", "bot", *arguments],
            settings=environment() | self.settings | settings,
            folder=self.folder,
            typed=typed,
            within=PATIENCE,
        )
        return Answer(ran.status, ran.out, ran.err)

    async def done(self, *arguments: str, **settings: str) -> Answer:
        """Runs it, and it ends well."""
        answer = await self(*arguments, **settings)
        assert answer.status == 0, answer
        return answer

    async def start(self, *arguments: str, stdin: int = PIPE, **settings: str) -> Process:
        """Starts it; it is ended with the test at the latest."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            *arguments,
            stdin=stdin,
            stdout=PIPE,
            stderr=PIPE,
            cwd=self.folder,
            env=environment() | self.settings | settings,
        )
        self._started.append(process)
        return process

    async def close(self) -> None:
        for process in self._started:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def environment() -> Mapping[str, str]:
    """This process's without any settings of Countersign's, and with a terminal of 200 columns."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return kept | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", "NO_COLOR": "1"}
