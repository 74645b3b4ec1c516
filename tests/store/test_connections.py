"""PostgreSQL has no connection left: what there is serves all, and what it serves is neither refused nor lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import func, literal_column, select
from sqlalchemy.engine import make_url

from agent_runtime.errors import StoreUnavailable
from agent_runtime.store.database import Database
from agent_runtime.store.postgres.reader import CONNECTIONS
from agent_runtime.store.statement import Q
from tests.databases import run_sql
from tests.store.work import KEYS, at_once, insert, keys

pytestmark = pytest.mark.databases("postgresql")

FEWEST = 3
"""Connections of one process: a writer's, a reader's, and that on which it listens."""

_SLEEP = Q(select(func.pg_sleep(literal_column("0.2")).label("slept")))


@pytest.fixture
async def scarce_url(database_url: str) -> AsyncIterator[str]:
    """The database for a role that may have FEWEST connections at once."""
    role = f"scarce_{make_url(database_url).database}"
    await run_sql(database_url, f'CREATE ROLE "{role}" LOGIN CONNECTION LIMIT {FEWEST}')
    await run_sql(
        database_url, f'GRANT pg_read_all_data, pg_write_all_data TO "{role}"; GRANT USAGE ON SCHEMA tests TO "{role}"'
    )
    yield make_url(database_url).set(username=role).render_as_string(hide_password=False)
    await run_sql(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1",
        role,
    )
    await run_sql(database_url, f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


async def test_the_connections_that_there_are_serve_all(scarce_url: str) -> None:
    async with await Database.open(scarce_url) as database:
        answers = await at_once(*((database, insert, f"{number:03}") for number in range(300)))
        assert answers == [f"{number:03}" for number in range(300)]
        read = await asyncio.gather(*(database.all(KEYS) for _ in range(20)), *(database.all(_SLEEP) for _ in range(3)))
        assert [len(rows) for rows in read[:20]] == [300] * 20


async def test_a_process_too_many_is_told_why(scarce_url: str) -> None:
    async with await Database.open(scarce_url) as database:
        with pytest.raises(StoreUnavailable, match=r"has no connection left .*; raise max_connections"):
            await Database.open(scarce_url)
        assert await database.write(insert, "a") == "a"


async def test_reads_wait_for_a_free_connection_and_writes_do_not_wait_for_them(database: Database) -> None:
    slow = [asyncio.create_task(database.all(_SLEEP)) for _ in range(CONNECTIONS)]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(keys(database))
    assert await database.write(insert, "a") == "a"
    assert await waiting in ([], ["a"])
    await asyncio.gather(*slow)
