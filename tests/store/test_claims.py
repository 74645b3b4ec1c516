"""Claims from several processes: each execution goes to one of them, and nobody waits for anybody."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from agent_runtime.core.execution import LEASE
from agent_runtime.operations.claim import heartbeat, take_over_lapsed
from agent_runtime.store.database import Database
from tests.clock import Clock
from tests.conftest import OpenDatabase
from tests.store.crowd import claimed, execution, queued, running


async def test_each_execution_is_claimed_once(open_database: OpenDatabase) -> None:
    databases = [await open_database(), await open_database()]
    wanted = await queued(databases[0], 200)

    async def work(database: Database, worker_id: str) -> list[str]:
        held: list[str] = []
        while claims := await claimed(database, 7, worker_id):
            assert len(claims) <= 7
            held += [one.execution.execution_id for one in claims]
        return held

    workers = [(database, f"worker-{number}") for number in range(4) for database in databases]
    held = await asyncio.gather(*(work(database, worker_id) for database, worker_id in workers))
    assert sorted(one for some in held for one in some) == sorted(wanted)


async def test_the_oldest_are_claimed_first(database: Database, clock: Clock) -> None:
    ids: list[str] = []
    for _ in range(5):
        ids += await queued(database, 1)
        await clock.advance(1)
    assert {one.execution.execution_id for one in await claimed(database, 3)} == set(ids[:3])


@pytest.mark.databases("postgresql")
async def test_a_row_that_another_holds_is_passed_over(database: Database, database_url: str) -> None:
    ids = await queued(database, 3)
    other = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        async with other.transaction():
            await other.execute("SELECT FROM executions WHERE execution_id = $1 FOR UPDATE", ids[0])
            assert {one.execution.execution_id for one in await claimed(database, 64)} == set(ids[1:])
    finally:
        await other.close()
    assert [one.execution.execution_id for one in await claimed(database, 64)] == [ids[0]]


async def test_a_lapsed_claim_is_taken_over_once(open_database: OpenDatabase, clock: Clock) -> None:
    first, second = await open_database(), await open_database()
    [held] = await running(first, 1)
    await clock.advance(LEASE - 1)
    assert await first.write(take_over_lapsed) == 0
    await clock.advance(1)
    assert sorted(await asyncio.gather(first.write(take_over_lapsed), second.write(take_over_lapsed))) == [0, 1]
    assert (await execution(first, held.execution_id)).status == "queued"


async def test_a_heartbeat_keeps_every_claim(database: Database, clock: Clock) -> None:
    held = await running(database, 70)
    await clock.advance(LEASE - 1)
    assert await database.write(heartbeat, "worker-1") == {one.execution_id: (one.fence, one.signals) for one in held}
    await clock.advance(1)
    assert await database.write(take_over_lapsed) == 0


@pytest.mark.databases("postgresql")
async def test_a_heartbeat_waits_for_nobody(database: Database, database_url: str, clock: Clock) -> None:
    """A row that is being written just now is passed over, and still held."""
    held = await running(database, 3)
    await clock.advance(LEASE - 1)
    other = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    try:
        async with other.transaction():
            await other.execute("SELECT FROM executions WHERE execution_id = $1 FOR UPDATE", held[0].execution_id)
            async with asyncio.timeout(2):
                assert set(await database.write(heartbeat, "worker-1")) == {one.execution_id for one in held}
    finally:
        await other.close()
    await clock.advance(1)
    assert await database.write(take_over_lapsed) == 1
