"""Process starts: imports, the command line, a server on an existing database; and a process that is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from agent_runtime import AgentHandle
from benchmarks.extent import FULL
from benchmarks.measuring import Figures, at_once
from benchmarks.product import Product
from benchmarks.table import show

ROUNDS = 7 if FULL else 3
PARKED = 10_000 if FULL else 500
NEEDED = "import asyncio, sqlite3, aiosqlite, apscheduler.schedulers.asyncio, pydantic_settings, sqlalchemy, structlog"
IMPORTS = {
    "what it cannot do without": NEEDED,
    "from agent_runtime import Agent, AgentRuntime, tool": "from agent_runtime import Agent, AgentRuntime, tool",
    "import agent_runtime": "import agent_runtime",
}


async def run(folder: Path) -> None:
    """CPU time (user and system) of whole processes, in ms; then what a kill leaves."""
    commands = {name: [sys.executable, "-c", code] for name, code in IMPORTS.items()}
    commands["countersign --help"] = [sys.executable, "-m", "bot", "--help"]
    took: dict[str, list[float]] = {name: [] for name in (*commands, "countersign serve, until ready")}
    ready: list[float] = []
    for _ in range(ROUNDS):
        for name, command in commands.items():
            before = _children()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            took[name].append(_children() - before)
        before, begun = _children(), time.perf_counter()
        await asyncio.to_thread(_serve_once, folder / "serve.db")
        ready.append(time.perf_counter() - begun)
        took["countersign serve, until ready"].append(_children() - before)
    figures: dict[str, Figures] = {name: {"CPU ms": statistics.median(times) * 1e3} for name, times in took.items()}
    show("starting", figures, floor="what it cannot do without")
    show("serve", {"countersign serve": {"seconds until ready": statistics.median(ready[1:] or ready)}})
    await _killed(folder / "killed.db")


def _serve_once(path: Path) -> None:
    """Starts a server, waits until it says where it is, and ends it."""
    settings = {"COUNTERSIGN_DATABASE_URL": f"sqlite+aiosqlite:///{path}", "COUNTERSIGN_PORT": "0"}
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
    server.kill()
    server.stdout.close()
    server.wait()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("COUNTERSIGN_", "SLACK_"))}
    return {**clean, **settings}


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


async def _killed(path: Path) -> None:
    """A process parks executions and is killed; how soon the next one is ready and has decided the first of them."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.starting", str(path), str(PARKED), stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    ids = (await child.stdout.readline()).decode().split()
    child.send_signal(signal.SIGKILL)
    await child.wait()
    begun = time.perf_counter()
    product = await Product.open(f"sqlite+aiosqlite:///{path}")
    opened = time.perf_counter() - begun
    handle = AgentHandle(ids[0], product.runtime)
    await handle.approve_async()
    assert (await handle.get_result_async()).is_success
    first = time.perf_counter() - begun
    begun = time.perf_counter()

    async def decide(execution_id: str) -> bool:
        other = AgentHandle(execution_id, product.runtime)
        await other.approve_async()
        return (await other.get_result_async()).is_success

    done = await at_once(decide, ids[1:])
    assert all(done)
    each = len(done) / (time.perf_counter() - begun)
    await product.close()
    figures = {"killed with executions parked": {"open ms": opened * 1e3, "first done ms": first * 1e3, "done/s": each}}
    show("kill -9", figures, parked=len(ids), lost=PARKED - len(done) - 1)


async def _park(path: str, count: int) -> None:
    """The process that will be killed."""
    product = await Product.open(f"sqlite+aiosqlite:///{path}")
    ids = await at_once(product.start, range(count))
    print(*ids, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_park(sys.argv[1], int(sys.argv[2])))
