"""Whose time it is: the process's on SQLite, the server's on PostgreSQL, whatever the process believes."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import func, literal_column, select

from agent_runtime.core.duration import DAY, MINUTE, SECOND
from agent_runtime.store.database import Database
from agent_runtime.store.postgres.locking import NOW
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx
from tests.clock import Clock
from tests.conftest import OpenDatabase
from tests.databases import set_postgres_time
from tests.flow import Flow
from tests.operations.test_ask import asked
from tests.store.work import nothing

_WAIT = Q(select(func.pg_sleep(literal_column("0.3")).label("slept")))
_CLOCK: Q[int] = Q(select(literal_column(NOW.removeprefix("SELECT ")).label("now")), int)


def really_now() -> int:
    return time.time_ns() // 1000


async def test_every_process_sees_the_clock_move(open_database: OpenDatabase, clock: Clock) -> None:
    first, second = await open_database(), await open_database()
    for _ in range(3):
        assert await first.write(nothing) == await second.write(nothing) == clock.now == first.clock()
        await clock.advance(15 * MINUTE + 1)
    await clock.set(1)
    assert await first.write(nothing) == 1


async def test_time_is_real_where_nobody_moves_it(database_url: str) -> None:
    async with await Database.open(database_url) as database:
        before = really_now()
        now = await database.write(nothing)
        assert before - MINUTE < now < really_now() + MINUTE
        assert abs(database.clock() - really_now()) < MINUTE


@pytest.mark.databases("postgresql")
async def test_the_clock_of_the_process_does_not_matter(database_url: str) -> None:
    async with await Database.open(database_url, clock=lambda: 0) as database:
        assert abs(await database.write(nothing) - really_now()) < MINUTE


@pytest.mark.databases("postgresql")
async def test_reads_go_by_the_time_of_the_server(database_url: str) -> None:
    """A process whose clock is off asks for rows of the server's time."""
    await set_postgres_time(database_url, really_now() + DAY)
    async with await Database.open(database_url) as database:
        assert abs(database.clock() - really_now() - DAY) < 10 * SECOND
        await set_postgres_time(database_url, really_now() + 2 * DAY)
        now = await database.write(nothing)
        assert abs(database.clock() - now) < 10 * SECOND


@pytest.mark.databases("sqlite")
async def test_the_injected_clock_is_the_time(database_url: str) -> None:
    async with await Database.open(database_url, clock=lambda: 7) as database:
        assert await database.write(nothing) == 7


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("what", ["execution", "approval", "outside"])
async def test_whoever_waited_for_a_lock_is_later_than_who_had_it(database_url: str, what: str) -> None:
    """Else a decision could be recorded as made after an expiry that it was found to precede."""
    async with await Database.open(database_url) as first, await Database.open(database_url) as second:
        if what == "outside":
            wanted = (await asked(first)).approval.approval_request_id
        else:
            flow = await Flow.asked(first)
            wanted = flow.execution_id if what == "execution" else (await flow.approval()).approval_request_id
        locked = asyncio.Event()

        def slowly(tx: Tx, wanted: str) -> int:
            locked.set()
            tx.one(_WAIT)
            ended = tx.one(_CLOCK)
            assert ended is not None
            return ended

        def now(tx: Tx, wanted: str) -> int:
            return tx.now

        holding = asyncio.create_task(first.write(slowly, wanted))
        await locked.wait()
        assert await second.write(now, wanted) > await holding
