"""P3: a server that the system stops (SIGSTOP) past its lease and then lets go on does nothing twice."""

from __future__ import annotations

import asyncio
import random
import signal
import time

from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.people import People
from agent_runtime.conformance.processes import Server, Zygote
from agent_runtime.conformance.reading import all_ended, any_started, read_all
from agent_runtime.conformance.waiting import stopped, until
from agent_runtime.core.duration import SECOND
from agent_runtime.core.execution import LEASE
from agent_runtime.store.database import Database

STOPS = 4
"""Half of them between the start of a call and its effect, the others anywhere."""

ASLEEP = LEASE / SECOND + 3
HELD_AT = 2.0
"""Seconds for which a server waits between a call's start and its effect, so that the signal finds it there."""

WITHIN = 0.4
"""Seconds after the start within which a server is stopped anywhere."""


async def stops(zygote: Zygote, people: People, database: Database, executions: int) -> Finding:
    """Each time `executions` are under way on a server when it is stopped; another goes on with them."""
    began = time.monotonic()
    chance = random.Random(20)  # noqa: S311 - when it is stopped
    found = 0
    for number in range(STOPS):
        for execution in range(executions):
            people.want(f"stopped-{number}-{execution}", f"stopped-{number}-{execution} unsafe keyed")
        between = number % 2 == 0
        point = f"commit.after@start_call=pause:{HELD_AT:g}" if between else ""
        first, second = await zygote.fork(failpoints=point, concurrency=executions), await zygote.fork(concurrency=1)
        working = asyncio.create_task(people.work(first.url))
        if between:
            found += await until(lambda: any_started(people, database), within=ASLEEP, every=0.02)
        else:
            await asyncio.sleep(chance.uniform(0, WITHIN))
        await _sleep_and_wake(zygote, people, database, first, second, working)
    reading = await read_all(database, people, people.ledger)
    return Finding(
        "P3",
        f"a server stopped by SIGSTOP for {ASLEEP:g} s, past its lease, {STOPS} times",
        {
            "executions": reading.executions,
            "stopped between start and effect": found,
            "in doubt, all asked": reading.in_doubt,
            "duplicate unsafe effects": len(reading.duplicates),
        },
        reading.violations,
        time.monotonic() - began,
    )


async def _sleep_and_wake(
    zygote: Zygote, people: People, database: Database, first: Server, second: Server, working: asyncio.Task[None]
) -> None:
    """`first` is stopped, and woken once its lease is over; people are at `second` meanwhile, until all has ended."""
    zygote.signal(first, signal.SIGSTOP)
    await stopped(working)
    at_second = asyncio.create_task(people.work(second.url))
    await asyncio.sleep(ASLEEP)
    zygote.signal(first, signal.SIGCONT)
    await until(lambda: all_ended(database, people, second.url), within=2 * ASLEEP)  # the reading tells what has not
    await asyncio.sleep(HELD_AT + 1.0)  # what woke up does what it still may
    await stopped(at_second)
    await zygote.kill(first)
    await zygote.kill(second)
