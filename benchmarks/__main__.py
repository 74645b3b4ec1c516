"""`python -m benchmarks`: W, one at a time and 100 at once, the product against the raw driver in the same run; and
what executions cost that wait.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog

from benchmarks.floor import Floor
from benchmarks.parked import measure_parked
from benchmarks.product import Product


class Subject(Protocol):
    name: str

    async def start(self, number: int) -> str: ...

    async def decide(self, run: str) -> None: ...

    async def done(self, run: str) -> None: ...

    async def close(self) -> None: ...


AT_ONCE = 100
FULL = os.environ.get("BENCH") == "full"
RUNS = 1000 if FULL else 300
ONE_BY_ONE = 200 if FULL else 60
AGENTS_PARKED, REASONERS_PARKED = 10_000, 1_000


async def measure(subject: Subject) -> dict[str, float]:
    """Starts and decisions a second at AT_ONCE, and the median from decision to completion one at a time."""
    for number in range(5):
        run = await subject.start(number)
        await subject.decide(run)
        await subject.done(run)
    latencies = []
    for number in range(ONE_BY_ONE):
        run = await subject.start(number)
        begun = time.perf_counter()
        await subject.decide(run)
        await subject.done(run)
        latencies.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    runs = await at_once(subject.start, range(RUNS))
    started = time.perf_counter() - begun

    async def finish(run: str) -> None:
        await subject.decide(run)
        await subject.done(run)

    begun = time.perf_counter()
    await at_once(finish, runs)
    finished = time.perf_counter() - begun
    return {
        "starts_per_s": RUNS / started,
        "decisions_per_s": RUNS / finished,
        "decided_to_done_ms": statistics.median(latencies) * 1e3,
    }


async def at_once(work: Callable[[Any], Awaitable[Any]], items: Sequence[Any]) -> list[Any]:
    """`work` on every item, AT_ONCE at a time."""
    waiting = iter(items)
    results: list[Any] = []

    async def take() -> None:
        for item in waiting:
            results.append(await work(item))

    await asyncio.gather(*(take() for _ in range(AT_ONCE)))
    return results


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        floor, product = Floor(folder), await Product.open(f"sqlite+aiosqlite:///{folder / 'product.db'}")
        results = {}
        for subject in (floor, product):
            results[subject.name] = await measure(subject)
            await subject.close()
        parked = await measure_parked(folder, reasoners=REASONERS_PARKED, agents=AGENTS_PARKED)
    raw, ours = results[floor.name], results[product.name]
    print(json.dumps({"benchmark": "W", "database": "sqlite", "runs": RUNS, "at_once": AT_ONCE, **results}))
    print(f"\nW on SQLite (WAL, synchronous=FULL), {RUNS} runs, {AT_ONCE} at once")
    print(f"{'':24}{'raw sqlite3':>14}{'countersign':>14}{'ratio':>8}")
    for figure in raw:
        print(f"{figure:24}{raw[figure]:14.1f}{ours[figure]:14.1f}{ours[figure] / raw[figure]:8.2f}")
    print(json.dumps({"benchmark": "parked", "database": "sqlite", **parked}))
    print(f"\n{'waiting in one process':24}{'count':>14}{'KiB each':>14}{'parked/s':>14}")
    for kind, figures in parked.items():
        print(f"{kind:24}{figures['parked']:14.0f}{figures['KiB_each']:14.1f}{figures['a_second']:14.0f}")


if __name__ == "__main__":
    asyncio.run(main())
