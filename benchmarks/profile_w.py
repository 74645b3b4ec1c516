"""Where the time of W goes: `python -m benchmarks.profile_w`. Shares of one thread's time, by what was running.

The profiler makes calls dearer than they are, so that shares are good to a few points; C functions count for whoever
they belong to (`sqlite3` are the statements themselves).
"""

from __future__ import annotations

import asyncio
import cProfile
import logging
import pstats
import tempfile
from collections import Counter

import structlog

from benchmarks.measuring import at_once, finish
from benchmarks.product import Product

RUNS = 500
PLACES = {
    "sqlite3.": "SQLite's statements",
    "agent_runtime/store": "store",
    "agent_runtime/operations": "operations",
    "agent_runtime/core": "core (journal, canonical JSON, policy)",
    "agent_runtime/engine": "engine",
    "agent_runtime/sdk": "handles and results",
    "agent_runtime/audit": "audit trail's sealer",
    "agent_runtime/delivery": "outbox's delivery",
    "agent_runtime": "the rest of the runtime",
    "json": "JSON",
    "asyncio": "event loop",
    "select.epoll": "waiting for the disk",
    "pydantic": "argument checks",
}


async def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        product = await Product.open(f"sqlite+aiosqlite:///{folder}/profile.db")
        await at_once(lambda run: finish(product, run), await at_once(product.start, range(100)))
        await product.settled()
        for phase in ("start", "decision"):
            runs = [] if phase == "start" else await at_once(product.start, range(RUNS))
            await product.settled()
            with cProfile.Profile() as profile:
                if phase == "start":
                    await at_once(product.start, range(RUNS))
                else:
                    await at_once(lambda run: finish(product, run), runs)
                await product.settled()
            _print(phase, pstats.Stats(profile))
        await product.close()


def _print(phase: str, stats: pstats.Stats) -> None:
    spent: Counter[str] = Counter()
    for (path, _, name), (_, _, own, _, _) in stats.stats.items():  # type: ignore[attr-defined]
        where = f"{path} {name}"
        spent[next((place for part, place in PLACES.items() if part in where), "Python's library and others")] += own
    total = sum(spent.values())
    print(f"\n{phase}: {RUNS} runs at once 100")
    for place, seconds in spent.most_common():
        print(f"  {seconds / total:6.1%}  {place}")


if __name__ == "__main__":
    asyncio.run(main())
