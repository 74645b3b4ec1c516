"""What a process costs while nothing happens and many executions wait."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks.clones import parked_file
from benchmarks.extent import FULL
from benchmarks.measuring import Figures
from benchmarks.product import Product
from benchmarks.table import show

PARKED = 10_000
SECONDS = 30.0 if FULL else 8.0
SETTLES_IN = 2.0
"""Seconds after the opening until what starts with it has come to rest."""


async def run(folder: Path) -> None:
    """Worker, clockwork, outbox and sealer of one process."""
    show("idle", {f"{PARKED:,} parked": await measure(folder, PARKED, SECONDS)})


async def measure(folder: Path, parked: int, seconds: float, settles_in: float = SETTLES_IN) -> Figures:
    """CPU time (user and system), percent of one core."""
    await parked_file(folder / "idle.db", parked)
    product = await Product.open(f"sqlite+aiosqlite:///{folder / 'idle.db'}")
    await asyncio.sleep(settles_in)
    used, begun = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    percent = (time.process_time() - used) / (time.perf_counter() - begun) * 100
    await product.close()
    return {"percent of a core": percent}
