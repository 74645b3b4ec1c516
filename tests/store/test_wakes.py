"""What one process commits shortens the wait of another. A hint only: who waits polls as well."""

from __future__ import annotations

import asyncio

import pytest

from agent_runtime.store.database import Database
from agent_runtime.store.tx import Tx
from tests.conftest import OpenDatabase
from tests.databases import run_sql
from tests.store.work import insert

SOON = 10.0


def wake(tx: Tx, *topics: str) -> None:
    for topic in topics:
        tx.wake(topic)


def insert_and_wake(tx: Tx, key: str, *topics: str) -> None:
    insert(tx, key)
    wake(tx, *topics)


async def woken(waiting: asyncio.Event) -> None:
    await asyncio.wait_for(waiting.wait(), SOON)


async def test_another_process_is_woken(open_database: OpenDatabase) -> None:
    here, there = await open_database(), await open_database()
    with there.wakes.listen("topic") as waiting:
        await here.write(insert_and_wake, "a", "topic")
        await woken(waiting)
        waiting.clear()
        await here.write(insert_and_wake, "b", "topic")
        await woken(waiting)


async def test_both_ways(open_database: OpenDatabase) -> None:
    here, there = await open_database(), await open_database()
    with here.wakes.listen("from there") as first, there.wakes.listen("from here") as second:
        await asyncio.gather(
            here.write(insert_and_wake, "a", "from here"), there.write(insert_and_wake, "b", "from there")
        )
        await asyncio.gather(woken(first), woken(second))


@pytest.mark.databases("postgresql")
async def test_only_who_listens_to_that(open_database: OpenDatabase) -> None:
    here, there = await open_database(), await open_database()
    with there.wakes.listen("one") as one, there.wakes.listen("other") as other:
        await here.write(wake, "one")
        await woken(one)
        assert not other.is_set()


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("number", [1, 299, 1000])
async def test_many_topics_at_once(open_database: OpenDatabase, number: int) -> None:
    """More than fit into one notification; past a limit everybody is woken."""
    here, there = await open_database(), await open_database()
    topics = [f"approval:{index:04}:{'x' * 200}" for index in range(number)]
    with there.wakes.listen(topics[0]) as first, there.wakes.listen(topics[-1]) as last:
        await here.write(wake, *topics)
        await woken(first)
        await woken(last)


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("payload", ["", "not JSON", "5", '{"a": 1}'])
async def test_a_notification_of_somebody_else_wakes_everybody(
    database: Database, database_url: str, payload: str
) -> None:
    with database.wakes.listen("topic") as waiting:
        await run_sql(database_url, f"NOTIFY countersign, '{payload}'")
        if payload == '{"a": 1}':  # an object reads as a name without topics
            return
        await woken(waiting)


@pytest.mark.databases("postgresql")
async def test_a_listener_that_was_cut_off_listens_again(open_database: OpenDatabase, database_url: str) -> None:
    here, there = await open_database(), await open_database()
    with there.wakes.listen("topic") as waiting:
        await run_sql(
            database_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'countersign listener'",
        )
        await woken(waiting)  # whatever was told meanwhile
        waiting.clear()
        await here.write(wake, "topic")
        await woken(waiting)
