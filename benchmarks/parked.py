"""What waits costs: memory of parked agent executions and of parked reasoners in one process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from pathlib import Path
from typing import Any

from agent_runtime import Agent
from agent_runtime.operations.start import Start
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings, load
from agent_runtime.store.executions import GET_EXECUTION
from benchmarks.product import AGENT, Scripted
from benchmarks.table import show

REASONERS = Agent("bench_reasoner")
IN_FLIGHT = 200


@REASONERS.step
async def assess(order: str) -> dict[str, Any]:
    return {"order": order, "risk": 70}


@REASONERS.reasoner()
async def claim(order: str) -> str:
    assessed = await assess(order)
    REASONERS.note(f"risk {assessed['risk']}")
    return (await REASONERS.pause()).decision


async def run(folder: Path) -> None:
    """Agents' executions are rows; reasoners' coroutines stay in memory up to a bound."""
    show("parked", await measure_parked(folder, reasoners=1_000, agents=10_000))


async def measure_parked(folder: Path, *, reasoners: int, agents: int) -> dict[str, dict[str, float]]:
    """For each kind: how many, KiB of resident memory for each, and how many were parked a second."""
    results = {}
    for kind, agent, count in (("reasoners", REASONERS, reasoners), ("agents", AGENT, agents)):
        settings: Settings = load(
            Settings, database_url=f"sqlite+aiosqlite:///{folder / kind}.db", parked_at_most=reasoners + IN_FLIGHT
        )
        async with Replica(settings, model=Scripted(), surfaces=False) as replica:
            await replica.deploy(agent)
            await _park(replica, agent, IN_FLIGHT)
            before, begun = resident(), time.perf_counter()
            await _park(replica, agent, count)
            took = time.perf_counter() - begun
            results[kind] = {"parked": count, "KiB_each": (resident() - before) / count, "a_second": count / took}
    return results


async def _park(replica: Replica, agent: Agent, count: int) -> None:
    """Starts `count` executions, IN_FLIGHT at a time, and returns once they wait."""
    for first in range(0, count, IN_FLIGHT):
        prompts = range(first, min(count, first + IN_FLIGHT))
        await asyncio.gather(*(_start(replica, agent, number) for number in prompts))
    while replica.worker.running:
        await asyncio.sleep(0.01)
    gc.collect()


async def _start(replica: Replica, agent: Agent, number: int) -> None:
    started = await replica.start_execution(Start(agent.name, {"prompt": f"order {number}"}))
    execution_id = started.execution.execution_id
    with replica.database.wakes.listen(f"execution:{execution_id}") as woken:
        while True:
            woken.clear()
            execution = await replica.database.one(GET_EXECUTION, b_id=execution_id)
            if execution is not None and execution.status == "waiting":
                return
            await woken.wait()


def resident() -> float:
    """KiB of memory that this process holds; Linux only, elsewhere not a number."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
    return float("nan")
