"""How W is measured: rounds of every subject in turn, so that whatever else the machine does meets all of them."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

AT_ONCE = 100
Figures = dict[str, float]


class Subject(Protocol):
    """Does W: start an execution that does 2 durable steps and waits; a decision by id; a gated step; the result."""

    name: str

    async def start(self, number: int) -> str:
        """Returns the run's id once the waiting state is durable."""
        ...

    async def decide(self, run: str) -> None: ...

    async def done(self, run: str) -> None:
        """Returns once the result is durable."""
        ...

    async def settled(self) -> None:
        """Returns once nothing is still to do for what was started and decided; the time counts."""
        await asyncio.sleep(0)

    async def check(self) -> None:
        """Raises where what was measured was not all that it claims to be."""
        await asyncio.sleep(0)

    async def close(self) -> None: ...


async def at_once(work: Callable[[Any], Awaitable[Any]], items: Iterable[Any], width: int = AT_ONCE) -> list[Any]:
    """`work` on every item, `width` at a time."""
    waiting = iter(items)
    results: list[Any] = []

    async def take() -> None:
        for item in waiting:
            results.append(await work(item))

    await asyncio.gather(*(take() for _ in range(width)))
    return results


async def one_round(subject: Subject, runs: int, one_by_one: int) -> Figures:
    """Starts and decisions a second at AT_ONCE; the median from decision to completion, one at a time, in ms."""
    latencies = []
    for number in range(one_by_one):
        run = await subject.start(number)
        await subject.settled()  # people decide once they have seen it
        begun = time.perf_counter()
        await finish(subject, run)
        latencies.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    started = await at_once(subject.start, range(runs))
    await subject.settled()
    took_to_start = time.perf_counter() - begun
    begun = time.perf_counter()
    await at_once(lambda run: finish(subject, run), started)
    await subject.settled()
    took_to_finish = time.perf_counter() - begun
    return {
        "starts_per_s": runs / took_to_start,
        "decisions_per_s": runs / took_to_finish,
        "decided_to_done_ms": statistics.median(latencies) * 1e3,
    }


def start_over() -> None:
    """What is loaded by now is not looked at by the collector again: as in a server that has started, and for the
    floor, the product and its peers alike.
    """
    gc.collect()
    gc.freeze()


async def finish(subject: Subject, run: str) -> None:
    await subject.decide(run)
    await subject.done(run)


def median_of(rounds: Sequence[Figures]) -> Figures:
    """Figure by figure."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


async def measure(subjects: Sequence[Subject], rounds: int, runs: int, one_by_one: int) -> Mapping[str, Figures]:
    """Every subject's figures by its name: the median of interleaved rounds, after one that warms up."""
    for subject in subjects:
        await one_round(subject, 100, 3)
    start_over()
    found: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            found[subject.name].append(await one_round(subject, runs, one_by_one))
    return {name: median_of(figures) for name, figures in found.items()}
