"""What is asked all the time, with 1,000, 10,000 and 100,000 executions parked: nothing may grow with them."""

from __future__ import annotations

import random
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

SIZES = (1_000, 10_000, 100_000) if FULL else (1_000, 10_000)
ROUNDS = 200 if FULL else 50


async def run(folder: Path) -> None:
    """Figures in ms; ratios are to the smallest size."""
    figures = await measure(folder, SIZES, ROUNDS)
    show("growth", figures, floor=next(iter(figures)), unit="ms", rounds=ROUNDS)


async def measure(folder: Path, sizes: tuple[int, ...], rounds: int) -> dict[str, Figures]:
    """Medians of rounds. All sizes are open at once and take turns within each round, in any order, so that what else
    the machine and its disk do meets all of them alike.
    """
    opened: dict[int, Product] = {}
    for size in sizes:
        await parked_file(folder / f"{size}.db", size)
        opened[size] = await Product.open(f"sqlite+aiosqlite:///{folder / f'{size}.db'}")
    took: dict[int, dict[str, list[float]]] = {size: {} for size in sizes}
    order = random.Random(1)
    for number in range(rounds):
        works = [(size, *work) for size in sizes for work in _works(opened[size], clone_id(number + 1)).items()]
        for size, name, work in order.sample(works, len(works)):
            begun = time.perf_counter()
            await work()
            took[size].setdefault(name, []).append(time.perf_counter() - begun)
    for product in opened.values():
        await product.close()
    return {
        f"{size:,} parked": {name: statistics.median(took[size][name]) * 1e3 for name in sorted(took[size])}
        for size in sizes
    }


def _works(product: Product, execution_id: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    database = product.database
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
