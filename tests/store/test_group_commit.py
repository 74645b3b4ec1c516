"""Requests share a transaction, and none of them notices."""

from __future__ import annotations

import asyncio

import pytest

from agent_runtime.errors import Conflict, InvalidRequest, Overloaded, StoreUnavailable
from agent_runtime.store.database import ADMITTED, Database
from agent_runtime.store.tx import Tx
from tests.conftest import OpenDatabase
from tests.store.work import (
    HOW_MANY,
    KEYS,
    at_once,
    insert,
    insert_and_fail,
    insert_later,
    keys,
    note,
    nothing,
    sequence,
    together,
)


async def test_a_batch_has_one_time(database: Database) -> None:
    assert len(set(await together(database, *[(nothing,)] * 40))) == 1


async def test_one_that_fails_fails_alone(database: Database) -> None:
    refusal = InvalidRequest("no")
    answers = await together(database, (insert, "a"), (insert_and_fail, "b", refusal), (insert_later, "c"))
    assert answers == ["a", refusal, "c"]
    assert await keys(database) == ["a", "c"]


async def test_one_that_fails_wakes_nobody(database: Database) -> None:
    with database.wakes.listen("never") as woken:
        await together(database, (insert_and_fail, "a", InvalidRequest("no")), (insert, "b"))
        assert not woken.is_set()


async def test_an_error_of_any_kind_is_its_own(database: Database) -> None:
    class Odd(Exception):
        pass

    answers = await together(database, (insert, "a"), (insert_and_fail, "b", Odd()), (insert_and_fail, "c", KeyError()))
    assert [type(answer) for answer in answers] == [str, Odd, KeyError]
    assert await keys(database) == ["a"]


async def test_a_collision_at_once_is_a_conflict_of_its_own(database: Database) -> None:
    await database.write(insert, "taken")
    answers = await together(database, (insert, "a"), (insert, "taken"), (insert, "b"))
    assert answers[0] == "a"
    assert answers[2] == "b"
    assert isinstance(answers[1], Conflict)
    assert await keys(database) == ["a", "b", "taken"]


async def test_a_collision_at_the_flush_replays_the_batch_one_by_one(database: Database) -> None:
    """The results that are told are those of the run that was committed."""
    runs: dict[str, int] = {}

    def count(tx: Tx, key: str) -> int:
        runs[key] = runs.get(key, 0) + 1
        insert(tx, key)
        insert_later(tx, f"{key} later")
        return runs[key]

    await database.write(insert, "taken")
    answers = await together(database, (count, "a"), (insert_later, "taken"), (count, "b"), (insert_later, "c"))
    assert answers[0] == 2
    assert isinstance(answers[1], Conflict)
    assert answers[2:] == [2, "c"]
    assert await keys(database) == ["a", "a later", "b", "b later", "c", "taken"]


async def test_a_refusal_seen_in_a_batch_that_fails_is_looked_at_again(database: Database) -> None:
    """Nobody is told of a change that was not committed: "already there" was true in the failed batch only."""

    def first_or_told(tx: Tx, key: str, breaks: bool) -> str:
        if any(key == row.delivery_key for row in tx.all(KEYS)):
            raise Conflict("already there")
        insert(tx, key)
        if breaks:
            insert_later(tx, key)
        return "first"

    broken, other = await together(database, (first_or_told, "a", True), (first_or_told, "a", False))
    assert isinstance(broken, Conflict)
    assert broken.message != "already there"
    assert other == "first"
    assert await keys(database) == ["a"]


async def test_two_in_one_batch_that_defer_the_same_row(database: Database) -> None:
    answers = await together(database, (insert_later, "same"), (insert_later, "same"), (insert_later, "other"))
    assert sorted(map(str, map(type, answers[:2]))) == [
        "<class 'agent_runtime.store.faults.Collision'>",
        "<class 'str'>",
    ]
    assert await keys(database) == ["other", "same"]


async def test_nobody_is_told_before_the_commit(database: Database) -> None:
    """Whoever is told finds the row, with any other connection."""

    async def write_and_look(key: str) -> bool:
        await database.write(insert_later, key)
        return key in await keys(database)

    assert all(await asyncio.gather(*(write_and_look(f"{number:03}") for number in range(100))))


async def test_wakes_come_after_the_commit(database: Database) -> None:
    def insert_and_wake(tx: Tx) -> None:
        insert_later(tx, "a")
        tx.wake("topic")

    with database.wakes.listen("topic") as woken:
        writing = asyncio.create_task(database.write(insert_and_wake))
        await asyncio.wait_for(woken.wait(), 10)
        assert await keys(database) == ["a"]
        await writing


async def test_more_than_a_batch(database: Database) -> None:
    answers = await at_once(*((database, insert, f"{number:04}") for number in range(500)))
    assert answers == [f"{number:04}" for number in range(500)] == await keys(database)


async def test_cancelling_who_waits_changes_nothing(database: Database) -> None:
    waiting = [asyncio.create_task(database.write(insert, f"{number:03}")) for number in range(200)]
    await asyncio.sleep(0)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    while len(found := await keys(database)) < 200:  # the last of them is on its way
        await asyncio.sleep(0.01)
    assert found == [f"{number:03}" for number in range(200)]


async def test_a_flood_is_refused_and_what_was_admitted_is_written(database: Database) -> None:
    answers = await at_once(*((database, insert_later, f"{number:05}") for number in range(ADMITTED + 50)))
    assert [type(answer) for answer in answers[ADMITTED:]] == [Overloaded] * 50
    assert answers[:ADMITTED] == [f"{number:05}" for number in range(ADMITTED)]
    counted = await database.one(HOW_MANY)
    assert counted is not None
    assert counted.n == ADMITTED
    assert await database.write(insert, "after") == "after"


async def test_closing_commits_what_was_submitted(open_database: OpenDatabase) -> None:
    database, other = await open_database(), await open_database()
    waiting = [asyncio.create_task(database.write(insert, f"{number:03}")) for number in range(200)]
    await asyncio.sleep(0)
    await database.close()
    assert len(await asyncio.gather(*waiting)) == 200
    assert len(await keys(other)) == 200
    with pytest.raises(StoreUnavailable, match="closed"):
        await database.write(insert, "late")


async def test_events_are_dense_in_the_order_of_the_requests(database: Database) -> None:
    await together(database, *((note, f"stream {number % 3}") for number in range(60)))
    for number in range(3):
        assert await sequence(database, f"stream {number}") == [*range(1, 21)]
