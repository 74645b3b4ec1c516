"""What a file on a disk can do to us: full, locked by another process."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from agent_runtime.errors import StoreUnavailable
from agent_runtime.store.database import Database
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx
from tests.store.work import at_once, insert, insert_later, keys, note, sequence, together

pytestmark = pytest.mark.databases("sqlite")


def pragma(tx: Tx, words: str) -> int:
    """Sets or asks something of the writer's own connection."""
    return tx.all(Q(text(f"PRAGMA {words}")))[0][0]


@pytest.fixture
def other(database_url: str) -> Iterator[sqlite3.Connection]:
    """Another process's connection to the file."""
    connection = sqlite3.connect(make_url(database_url).database or "", isolation_level=None)
    with contextlib.closing(connection):
        yield connection


async def test_a_full_disk_refuses_new_work_and_loses_nothing(database: Database) -> None:
    await database.write(insert, "before")
    pages = await database.write(pragma, "page_count")
    await database.write(pragma, f"max_page_count = {pages + 2}")
    long = ["x" * 2000 + str(number) for number in range(40)]
    answers = await together(
        database, *((insert_later, key) for key in long[:20]), *((insert, key) for key in long[20:])
    )
    refused = [answer for answer in answers if isinstance(answer, StoreUnavailable)]
    assert refused
    assert all("full" in answer.message for answer in refused)
    told = [answer for answer in answers if not isinstance(answer, StoreUnavailable)]
    assert await keys(database) == sorted(["before", *told])

    await database.write(pragma, "max_page_count = 1000000")
    assert await at_once(*((database, insert, f"again {key}") for key in long)) == [f"again {key}" for key in long]
    assert set(told) < set(await keys(database))


async def test_events_of_refused_work_leave_no_gap(database: Database) -> None:
    await database.write(note, "stream")
    pages = await database.write(pragma, "page_count")
    await database.write(pragma, f"max_page_count = {pages + 1}")
    answers = await together(database, *((note, "stream", "x" * 3000) for _ in range(30)))
    assert any(isinstance(answer, StoreUnavailable) for answer in answers)
    await database.write(pragma, "max_page_count = 1000000")
    await database.write(note, "stream")
    assert await sequence(database, "stream") == [*range(1, answers.count(None) + 3)]


async def test_a_lock_of_another_process_is_waited_for(database: Database, other: sqlite3.Connection) -> None:
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(database.write(insert, "a"))
    done, _ = await asyncio.wait([writing], timeout=0.1)
    assert not done
    other.execute("ROLLBACK")
    assert await writing == "a"


async def test_a_lock_that_is_held_too_long_refuses_everything_at_once(
    database: Database, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_runtime.store.sqlite.PATIENCE", 50)
    other.execute("BEGIN IMMEDIATE")
    answers = await together_while_locked(database)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 60
    assert "locked" in answers[0].message
    other.execute("ROLLBACK")
    assert await database.write(insert, "after") == "after"
    assert await keys(database) == ["after"]


async def together_while_locked(database: Database) -> list[object]:
    """60 requests; they are not replayed one by one, each with a wait of its own."""
    async with asyncio.timeout(2):
        return await at_once(*((database, insert, f"{number:03}") for number in range(60)))


async def test_readers_go_on_while_another_process_writes(database: Database, other: sqlite3.Connection) -> None:
    await database.write(insert, "a")
    other.execute("BEGIN IMMEDIATE")
    assert await keys(database) == ["a"]
    other.execute("ROLLBACK")
