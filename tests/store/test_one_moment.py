"""Reads as of one moment, whoever commits between them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Any

import pytest
from sqlalchemy import func, select

from agent_runtime.errors import InvalidRequest, NotFound
from agent_runtime.store.access import SEEN
from agent_runtime.store.database import Database
from agent_runtime.store.schema import inbox
from agent_runtime.store.statement import Q
from tests.conftest import OpenDatabase
from tests.store.work import HOW_MANY, insert

COUNT = Q(select(func.count().label("n")).select_from(inbox), quick=True)
QUICK_SEEN = Q(SEEN.statement, quick=True)


async def anything(found: Any) -> bool:
    return True


async def test_what_another_process_commits_between_two_reads_is_seen_by_both_or_by_none(
    database: Database, database_kind: str, open_database: OpenDatabase
) -> None:
    path, looks = database.url.database or "", 0
    other = await open_database() if database_kind == "postgresql" else None

    async def commit_elsewhere() -> None:
        if other is not None:
            await other.write(insert, f"key {looks}")
            return
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("INSERT INTO inbox (delivery_key, received_at) VALUES (?, 0)", (f"key {looks}",))

    async def look() -> list[int]:
        nonlocal looks
        looks += 1
        before = await database.one(COUNT)
        if looks == 1:
            await commit_elsewhere()
        after = await database.one(COUNT)
        return [before.n, after.n]

    async def holds(found: list[int]) -> bool:
        return found[0] == found[1]

    found = await database.at_one_moment(look, holds)
    assert (found, looks) == (([0, 0], 1) if database_kind == "sqlite" else ([1, 1], 2))
    assert (await database.one(COUNT)).n == 1, "the next read is of a moment of its own"


@pytest.mark.parametrize("error", [NotFound("gone"), InvalidRequest("text")])
async def test_errors_come_out_and_leave_nothing_open(database: Database, error: Exception) -> None:
    async def look() -> None:
        assert (await database.one(COUNT)).n == 0
        if isinstance(error, InvalidRequest):
            await database.one(QUICK_SEEN, b_key="\ud800")
        raise error

    with pytest.raises(type(error)):
        await database.at_one_moment(look, anything)
    await database.write(insert, "afterwards")
    assert (await database.one(COUNT)).n == 1


@pytest.mark.databases("sqlite")
async def test_a_transaction_is_never_open_while_something_is_awaited(database: Database) -> None:
    ran: list[str] = []

    async def sleeps() -> None:
        await database.one(COUNT)
        await asyncio.sleep(0)
        ran.append("after")

    async def reads_in_the_thread() -> None:
        await database.one(HOW_MANY)
        ran.append("after")

    for look in (sleeps, reads_in_the_thread):
        with pytest.raises(RuntimeError, match="quick reads alone"):
            await database.at_one_moment(look, anything)
    assert ran == []
    await database.write(insert, "afterwards")
    assert (await database.one(COUNT)).n == (await database.one(HOW_MANY)).n == 1
    assert await database.at_one_moment(lambda: database.one(COUNT), anything) == (1,)


@pytest.mark.databases("postgresql")
async def test_looks_of_many_share_round_trips(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    reader: Any = database._reader
    fetching = reader._fetch

    async def counted(q: Any, binds: Any) -> Any:
        sent.append(len(binds))
        return await fetching(q, binds)

    monkeypatch.setattr(reader, "_fetch", counted)

    async def look() -> Any:
        return await database.one(COUNT), await database.one(QUICK_SEEN, b_key="none")

    found = await asyncio.gather(*(database.at_one_moment(look, anything) for _ in range(20)))
    assert found == [((0,), None)] * 20
    assert sent == [20, 20]
