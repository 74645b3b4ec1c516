"""Process starts: imports, the command line, a server on an existing database."""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.extent import FULL
from benchmarks.measuring import Figures
from benchmarks.table import show

ROUNDS = 7 if FULL else 3
NEEDED = "import asyncio, sqlite3, aiosqlite, apscheduler.schedulers.asyncio, pydantic_settings, sqlalchemy, structlog"
IMPORTS = {
    "what it cannot do without": NEEDED,
    "from agent_runtime import Agent, AgentRuntime, tool": "from agent_runtime import Agent, AgentRuntime, tool",
    "import agent_runtime": "import agent_runtime",
}


async def run(folder: Path) -> None:
    """CPU time (user and system) of whole processes, in ms; wall time until the server is ready. Medians."""
    commands = {name: [sys.executable, "-c", code] for name, code in IMPORTS.items()}
    commands["countersign --help"] = [sys.executable, "-m", "bot", "--help"]
    took: dict[str, list[float]] = {name: [] for name in (*commands, "countersign serve, until ready")}
    ready: list[float] = []
    serve_once(folder / "serve.db")  # which creates it
    for _ in range(ROUNDS):
        for name, command in commands.items():
            before = _children()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            took[name].append(_children() - before)
        before = _children()
        ready.append(await asyncio.to_thread(serve_once, folder / "serve.db"))
        took["countersign serve, until ready"].append(_children() - before)
    figures: dict[str, Figures] = {name: {"CPU ms": statistics.median(times) * 1e3} for name, times in took.items()}
    show("starting", figures, floor="what it cannot do without")
    show("serve", {"countersign serve": {"seconds until ready": statistics.median(ready)}})


def serve_once(path: Path) -> float:
    """Starts a server, waits until it says where it is, and ends it; the seconds until then."""
    settings = {"COUNTERSIGN_DATABASE_URL": f"sqlite+aiosqlite:///{path}", "COUNTERSIGN_PORT": "0"}
    begun = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "bot", "serve"],
        env=_environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    for line in server.stdout:
        if re.search(r"http://", line):
            break
    ready = time.perf_counter() - begun
    server.kill()
    server.stdout.close()
    server.wait()
    return ready


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("COUNTERSIGN_", "SLACK_"))}
    return {**clean, **settings}


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system
