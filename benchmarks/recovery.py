"""Start-up, and recovery from kill -9 amid decisions, with few and with many executions parked beside."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from benchmarks.clones import clone_id, parked_file
from benchmarks.extent import FULL
from benchmarks.killed import Killed, amid_decisions, remember
from benchmarks.measuring import Figures
from benchmarks.starting import serve_once
from benchmarks.table import show

SIZES = (1_000, 100_000) if FULL else (1_000, 10_000)
ROUNDS = 5 if FULL else 1
DECIDED = 50


async def run(folder: Path) -> None:
    """Seconds; the last line is what more is parked adds."""
    figures = await measure(folder, SIZES, ROUNDS, DECIDED)
    few, many = figures.values()
    show("recovery", {**figures, "more": {name: many[name] - few[name] for name in few}}, unit="s", rounds=ROUNDS)


async def measure(folder: Path, sizes: tuple[int, ...], rounds: int, decided: int) -> dict[str, Figures]:
    """Medians of rounds in which the sizes take turns; one recovery a size, the last."""
    took: dict[int, dict[str, list[float]]] = {}
    for size in sizes:
        path = folder / f"{size}.db"
        await parked_file(path, size, Killed)
        remember(path, [clone_id(number + 1) for number in range(decided)])
        took[size] = {"serve ready": [], "runtime open": []}
        serve_once(path, folder)  # which also compiles
    for _ in range(rounds):
        for size, figures in took.items():
            path = folder / f"{size}.db"
            figures["serve ready"].append(await asyncio.to_thread(serve_once, path, folder))
            begun = time.perf_counter()
            product = await Killed.open(f"sqlite+aiosqlite:///{path}")
            figures["runtime open"].append(time.perf_counter() - begun)
            await product.close()
    found: dict[str, Figures] = {}
    for size, figures in took.items():
        recovered = await amid_decisions(folder / f"{size}.db", decided)
        assert recovered["ran twice"] == recovered["never ran"] == 0
        medians = {name: statistics.median(times) for name, times in figures.items()}
        found[f"{size:,} parked"] = medians | {f"{decided} done after kill -9": recovered["all done s"]}
    return found
