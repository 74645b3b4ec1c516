"""`python -m benchmarks [NAME…]`: all of them, or those named. Each prints one JSON line and a table of ratios.

A quick form takes less than three minutes; `BENCH=full` takes all sizes. Ratios travel between machines, absolute
figures don't: the floor is measured in the same run.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from benchmarks import demo, growth, parked, starting, w

Benchmark = Callable[[Path], Awaitable[None]]

BENCHMARKS: dict[str, Benchmark] = {
    "w-sqlite": w.on_sqlite,
    "w-postgresql": w.on_postgresql,
    "parked": parked.run,
    "growth": growth.run,
    "starting": starting.run,
    "demo": demo.run,
}


async def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(BENCHMARKS)
    if unknown:
        print(f"{', '.join(sorted(unknown))}: unknown; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for name in wanted or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
            await BENCHMARKS[name](Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
