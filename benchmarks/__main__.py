"""`python -m benchmarks [NAME…]`: all of them, or those named. Each prints one JSON line and a table of ratios.

A quick form takes less than three minutes; `BENCH=full` takes all sizes. Ratios travel between machines, absolute
figures don't: the floor is measured in the same run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from benchmarks import demo, growth, idle, killed, parked, recovery, slack_limits, starting, w
from benchmarks.measuring import Figures
from benchmarks.table import show
from tests.postgres import SETTING

Benchmark = Callable[[Path], Awaitable[None]]

BENCHMARKS: dict[str, Benchmark] = {
    "w-sqlite": w.on_sqlite,
    "w-postgresql": w.on_postgresql,
    "parked": parked.run,
    "idle": idle.run,
    "growth": growth.run,
    "killed": killed.run,
    "recovery": recovery.run,
    "starting": starting.run,
    "demo": demo.run,
    "slack-limits": slack_limits.run,
}


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(BENCHMARKS)
    if unknown:
        print(f"{', '.join(sorted(unknown))}: unknown; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in [name for name in os.environ if name.startswith(("COUNTERSIGN_", "SLACK_")) and name != SETTING]:
        del os.environ[name]  # nothing of a real deployment, least of all its Slack, is measured or touched
    if len(wanted) == 1:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
            asyncio.run(BENCHMARKS[wanted[0]](Path(folder)))
        return 0
    return _each_alone(wanted or list(BENCHMARKS))


def _each_alone(names: list[str]) -> int:
    """Runs each in a process of its own, so that none finds memory or threads that another has left."""
    took: dict[str, Figures] = {}
    failed: list[str] = []
    for name in names:
        begun = time.perf_counter()
        if subprocess.run([sys.executable, "-m", "benchmarks", name], check=False).returncode != 0:
            failed.append(name)
        took[name] = {"seconds": time.perf_counter() - begun}
    show("what it took", {**took, "all": {"seconds": sum(one["seconds"] for one in took.values())}})
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
