"""What is asked all the time, with 1,000, 10,000 and 100,000 executions parked: nothing may grow with them."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent_runtime import AgentHandle
from agent_runtime.core.policy import Defaults
from agent_runtime.operations.claim import claim
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.approvals import list_approvals
from agent_runtime.store.executions import claim_queued
from benchmarks.clones import clone_id, parked_file
from benchmarks.extent import FULL
from benchmarks.measuring import Figures
from benchmarks.product import AGENT, Product
from benchmarks.table import show

SIZES = (1_000, 10_000, 100_000) if FULL else (1_000, 100_000)
TIMES = 60 if FULL else 30
IDLE_SECONDS = 10 if FULL else 4


async def run(folder: Path) -> None:
    """Figures in ms, the median of interleaved rounds; ratios are to the smallest size."""
    opened: dict[int, Product] = {}
    start_up: dict[int, float] = {}
    for size in SIZES:
        path = folder / f"{size}.db"
        await parked_file(path, size)
        begun = time.perf_counter()
        opened[size] = await Product.open(f"sqlite+aiosqlite:///{path}")
        start_up[size] = (time.perf_counter() - begun) * 1e3
    took: dict[int, dict[str, list[float]]] = {size: {} for size in SIZES}
    for number in range(TIMES):
        for size, product in opened.items():
            for name, work in _works(product, clone_id(number + 1)).items():
                begun = time.perf_counter()
                await work()
                took[size].setdefault(name, []).append(time.perf_counter() - begun)
    figures: dict[str, Figures] = {
        f"{size:,} parked": {name: statistics.median(times) * 1e3 for name, times in took[size].items()}
        | {"start up": start_up[size]}
        for size in SIZES
    }
    for product in opened.values():
        await product.close()
    show("growth", figures, floor=f"{SIZES[0]:,} parked", unit="ms")
    await _idle(folder / f"{SIZES[-1]}.db")


def _works(product: Product, execution_id: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    database = product.runtime.replica.database
    page = list_approvals(pending=True, status=False, kind=False, after=False)
    claimable = claim_queued([AGENT.name])

    async def decide_one() -> None:
        handle = AgentHandle(execution_id, product.runtime)
        await handle.approve_async()
        assert (await handle.get_result_async()).is_success

    return {
        "decide to done": decide_one,
        "first page": lambda: database.all(page, b_limit=50),
        "empty sweep": lambda: database.write(sweep),
        "empty claim": lambda: database.write(claim, claimable, "bench", 64, Defaults()),
    }


async def _idle(path: Path) -> None:
    """CPU time while nothing happens, percent of one core."""
    product = await Product.open(f"sqlite+aiosqlite:///{path}")
    await asyncio.sleep(1)
    before, begun = os.times(), time.perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    after = os.times()
    used = after.user + after.system - before.user - before.system
    percent = used / (time.perf_counter() - begun) * 100
    await product.close()
    show("idle", {f"{SIZES[-1]:,} parked": {"percent of a core": percent}})
