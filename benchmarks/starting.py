"""Process starts: imports, the command line, a server on an existing database.

With compiled bytecode, as pip leaves it: the first round, which writes it, does not count.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.extent import FULL
from benchmarks.measuring import Figures
from benchmarks.table import show

ROUNDS = 15 if FULL else 3
FLOOR = "what it cannot do without"
SERVE = "countersign serve, until ready"
PUBLIC = "from agent_runtime import Agent, AgentRuntime, tool"
IMPORTS = {
    FLOOR: "import asyncio, sqlite3, aiosqlite, apscheduler.schedulers.asyncio, pydantic_settings, structlog\n"
    "import sqlalchemy.dialects.sqlite",
    "import agent_runtime": "import agent_runtime",
    "a runtime on a database": f"{PUBLIC}; AgentRuntime('sqlite+aiosqlite:///unused.db')",
    "a runtime on a server": f"{PUBLIC}; AgentRuntime(server_url='http://127.0.0.1:8080')",
}


async def run(folder: Path) -> None:
    figures = await asyncio.to_thread(measure, folder, ROUNDS)
    show("starting", figures, floor=FLOOR, rounds=ROUNDS)


def measure(folder: Path, rounds: int) -> dict[str, Figures]:
    """CPU time (user and system) and wall time of whole processes, in ms: medians of rounds in which all take turns."""
    commands = {name: ["-c", code] for name, code in IMPORTS.items()}
    commands["countersign --help"] = ["-m", "bot", "--help"]
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in (*commands, SERVE)}
    for _ in range(rounds + 1):
        for name in took:
            before, begun = _children(), time.perf_counter()
            if name == SERVE:
                wall = serve_once(folder / "serve.db", folder)
            else:
                command = [sys.executable, *commands[name]]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment(folder))
                wall = time.perf_counter() - begun
            took[name].append((_children() - before, wall))
    return {
        name: {
            "CPU ms": statistics.median(cpu for cpu, _ in times[1:]) * 1e3,
            "wall ms": statistics.median(wall for _, wall in times[1:]) * 1e3,
        }
        for name, times in took.items()
    }


def serve_once(path: Path, bytecode: Path) -> float:
    """Starts a server, waits until it says where it is, and ends it; the seconds until then.

    `bytecode` is the folder for what Python compiles.
    """
    settings = {"COUNTERSIGN_DATABASE_URL": f"sqlite+aiosqlite:///{path}", "COUNTERSIGN_PORT": "0"}
    begun = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "bot", "serve"],
        env=_environment(bytecode, settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    ready = next((time.perf_counter() - begun for line in server.stdout if re.search(r"http://", line)), None)
    server.kill()
    server.stdout.close()
    server.wait()
    assert ready is not None, "the server has ended"
    return ready


def _environment(bytecode: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    unwanted = ("COUNTERSIGN_", "SLACK_", "PYTHONDONTWRITEBYTECODE")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return {**clean, "PYTHONPYCACHEPREFIX": str(bytecode / "bytecode"), **(settings or {})}


def _children() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
