"""What joins a transaction: one commit for both, and it harms nobody where it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agent_runtime.errors import InvalidRequest
from agent_runtime.store.database import Database
from agent_runtime.store.intake import Request
from agent_runtime.store.tx import Tx
from tests.store.work import HOW_MANY, insert_and_fail, insert_later, keys, together


def say(tx: Tx, key: str) -> None:
    """Writes something and announces it."""
    insert_later(tx, key)
    tx.wake("news")


def answer(tx: Tx, key: str, *topics: str) -> int:
    """What joins: sees what was written before it."""
    seen = tx.all(HOW_MANY)[0].n
    insert_later(tx, key)
    for topic in topics:
        tx.wake(topic)
    return int(seen)


class Joining:
    """Gives one request for each transaction in which `after` has run."""

    def __init__(self, operation: Callable[..., Any], *args: Any, after: Callable[..., Any] = say) -> None:
        self.wanted = operation, args
        self.after = after
        self.asked: list[asyncio.Future[Any]] = []
        self.since: list[float] = []

    def __call__(self, ran: Sequence[Request], since: float) -> Sequence[Request]:
        if not any(request.operation is self.after for request in ran):
            return ()
        operation, args = self.wanted
        self.asked.append(asyncio.get_running_loop().create_future())
        self.since.append(since)
        return [Request(operation, args, {}, self.asked[-1], stands_for="news")]


async def test_it_is_committed_with_what_was_announced(database: Database) -> None:
    joining = Joining(answer, "answer")
    with database.joined(joining):
        await database.write(say, "said")
    assert await joining.asked[0] == 1
    assert await keys(database) == ["answer", "said"]
    assert sum(database.figures.batches) == 1
    assert database.figures.requests == 2


async def test_it_joins_only_what_is_announced_and_only_while_it_may(database: Database) -> None:
    joining = Joining(answer, "answer")
    with database.joined(joining):
        await database.write(insert_later, "quiet")
        with pytest.raises(InvalidRequest):
            await database.write(insert_and_fail, "failed", InvalidRequest("no"))
    await database.write(say, "late")
    assert joining.asked == []


async def test_it_stands_for_the_announcement(database: Database) -> None:
    wakes = database.wakes
    with (
        database.joined(Joining(answer, "answer", "more")),
        wakes.listen("news") as news,
        wakes.listen("more") as more,
    ):
        await database.write(say, "said")
        assert not news.is_set()
        assert more.is_set()


async def test_what_it_leaves_it_announces(database: Database) -> None:
    with database.joined(Joining(answer, "answer", "news")), database.wakes.listen("news") as woken:
        await database.write(say, "said")
        assert woken.is_set()


async def test_one_for_all_that_share_a_transaction(database: Database) -> None:
    joining = Joining(answer, "answer")
    with database.joined(joining):
        await together(database, *[(say, f"said {number}") for number in range(5)])
    assert await joining.asked[0] == 5
    assert len(joining.asked) == 1


async def test_where_it_fails_the_others_go_without_it(database: Database) -> None:
    joining = Joining(insert_and_fail, "failed", InvalidRequest("no"))
    with database.joined(joining), database.wakes.listen("news") as woken:
        assert await together(database, (say, "said"), (insert_later, "b"), (say, "c")) == [None, "b", None]
        assert woken.is_set()
    assert await keys(database) == ["b", "c", "said"]
    with pytest.raises(InvalidRequest, match="no"):
        await joining.asked[0]
    await database.write(say, "after")


async def test_more_joins_what_has_joined(database: Database) -> None:
    first, second = Joining(answer, "first"), Joining(answer, "second", after=answer)
    second_once = list[Request]()

    def once(ran: Sequence[Request], since: float) -> Sequence[Request]:
        """Else it would answer itself for ever."""
        if not second_once:
            second_once.extend(second(ran, since))
            return second_once
        return ()

    with database.joined(first), database.joined(once):
        before = time.monotonic()
        await database.write(say, "said")
    assert (await first.asked[0], await second.asked[0]) == (1, 2)
    assert sum(database.figures.batches) == 1
    assert before <= first.since[0] == second.since[0] <= time.monotonic()


async def test_where_one_fails_the_others_go_without_any(database: Database) -> None:
    first = Joining(answer, "first")
    second = Joining(insert_and_fail, "second", InvalidRequest("no"), after=answer)
    with database.joined(first), database.joined(second), database.wakes.listen("news") as woken:
        await database.write(say, "said")
        assert woken.is_set()
    for joining in (first, second):
        with pytest.raises(InvalidRequest, match="no"):
            await joining.asked[0]
        assert len(joining.asked) == 1
    assert await keys(database) == ["said"]
    assert database.figures.requests == 1
