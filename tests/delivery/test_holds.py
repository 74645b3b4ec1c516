"""Outbox rows on their way: theirs who took them while that process lives, free soon after it dies or stops."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agent_runtime.delivery.holds import HELD_FOR, hold_on, let_go
from agent_runtime.delivery.notifier import Notice, Place, Receipt, RetryAfter
from agent_runtime.delivery.notifier_rows import Delivery, postpone, take
from agent_runtime.delivery.outbox import Outbox
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import EXECUTION_PROGRESS
from tests.clock import Clock
from tests.flow import Flow


@pytest.fixture
async def taken(database: Database) -> Delivery:
    """A row that somebody has taken."""
    await Flow.started(database, origin={"channel": "C1", "thread_ts": "1.2", "user": "U9"})
    (delivery,) = [each for each in await database.write(take, 32) if each.topic == EXECUTION_PROGRESS]
    return delivery


async def due(database: Database) -> list[str]:
    return [delivery.topic for delivery in await database.write(take, 32)]


async def test_a_taken_row_is_left_alone_and_free_soon_after_a_crash(
    database: Database, clock: Clock, taken: Delivery
) -> None:
    await clock.advance(HELD_FOR - 1)
    assert await due(database) == []
    await clock.advance(1)
    assert await due(database) == [EXECUTION_PROGRESS]


async def test_a_living_deliverer_holds_on(database: Database, clock: Clock, taken: Delivery) -> None:
    await clock.advance(HELD_FOR - 1)
    await database.write(hold_on, taken.ids)
    await clock.advance(HELD_FOR - 1)
    assert await due(database) == []
    await clock.advance(1)
    assert await due(database) == [EXECUTION_PROGRESS]


async def test_holding_on_never_brings_a_later_try_nearer(database: Database, clock: Clock, taken: Delivery) -> None:
    await database.write(postpone, taken.ids, 4 * HELD_FOR, "Slack is away")
    await database.write(hold_on, taken.ids)
    await clock.advance(4 * HELD_FOR - 1)
    assert await due(database) == []
    await clock.advance(1)
    assert await due(database) == [EXECUTION_PROGRESS]


async def test_what_was_let_go_is_due_at_once(database: Database, taken: Delivery) -> None:
    await database.write(let_go, taken.ids)
    assert await due(database) == [EXECUTION_PROGRESS]


class Nowhere:
    """A notifier whose posts hang, or are refused for a while."""

    name, burst, interval = "nowhere", 4, 1.0

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.posting = asyncio.Event()

    async def places(self, notice: Notice) -> Sequence[Place]:
        return [Place("here", "here", {})]

    async def post(self, notice: Notice, place: Place) -> Mapping[str, Any]:
        self.posting.set()
        if self.refuses:
            raise RetryAfter("away", 3600)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def update(self, notice: Notice, receipt: Receipt) -> Mapping[str, Any] | None:
        raise AssertionError("nothing was posted")

    async def find(self, notice: Notice, place: Place) -> Mapping[str, Any] | None:
        return None


async def test_an_outbox_that_stops_gives_back_what_was_on_its_way(database: Database) -> None:
    await Flow.started(database, origin={"channel": "C1", "thread_ts": "1.2", "user": "U9"})
    notifier = Nowhere()
    running = asyncio.create_task(Outbox(database, notifier).run())
    await notifier.posting.wait()
    assert await due(database) == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await due(database) == [EXECUTION_PROGRESS]


async def test_what_is_tried_again_later_is_held_no_more(database: Database, clock: Clock) -> None:
    await Flow.started(database, origin={"channel": "C1", "thread_ts": "1.2", "user": "U9"})
    outbox = Outbox(database, Nowhere(refuses=True))
    await outbox.deliver_due()
    await outbox.idle()
    await outbox.holds.give_back()
    assert await due(database) == []
    await clock.advance(3600 * 1_000_000)
    assert await due(database) == [EXECUTION_PROGRESS]
