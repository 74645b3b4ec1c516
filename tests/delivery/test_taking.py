"""Rows are taken as they are written, as many as there is room for; none waits for the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import bindparam, func, select

from agent_runtime.delivery.deliverer import ALONG, IN_FLIGHT
from agent_runtime.delivery.notifier import Notice, Place, Receipt
from agent_runtime.delivery.outbox import Outbox
from agent_runtime.store import schema
from agent_runtime.store.database import Database
from agent_runtime.store.intake import Request
from agent_runtime.store.outbox import EXECUTION_PROGRESS, UNDELIVERED, enqueue
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx


class Nowhere:
    """A notifier that has a place for nothing, and asks for it one at a time."""

    name, burst, interval = "nowhere", 1, 0.0

    async def places(self, notice: Notice) -> Sequence[Place]:
        return []

    async def post(self, notice: Notice, place: Place) -> Mapping[str, Any]:
        raise AssertionError("it has no place")

    async def update(self, notice: Notice, receipt: Receipt) -> Mapping[str, Any] | None:
        raise AssertionError("it has no place")

    async def find(self, notice: Notice, place: Place) -> Mapping[str, Any] | None:
        raise AssertionError("it has no place")


def write_rows(tx: Tx, rows: int) -> None:
    for number in range(rows):
        enqueue(tx, EXECUTION_PROGRESS, f"execution-{number}")


async def begun(database: Database, outbox: Outbox) -> asyncio.Task[None]:
    """It has looked once, and waits."""
    running = asyncio.create_task(outbox.run())
    await asyncio.sleep(0)  # it asks
    await database.write(write_rows, 0)  # and is answered before this
    return running


@pytest.fixture
async def delivering(database: Database) -> AsyncIterator[Outbox]:
    outbox = Outbox(database, Nowhere())
    running = await begun(database, outbox)
    yield outbox
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_taken_as_it_stops_is_given_back(database: Database) -> None:
    await database.write(write_rows, 3)
    running = asyncio.create_task(Outbox(database, Nowhere()).run())
    while not database._waiting:
        await asyncio.sleep(0)  # until its take is asked for
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    due = schema.outbox.c.next_attempt_at
    held = Q(select(func.count().label("n")).select_from(schema.outbox).where(due > bindparam("b_now")))
    assert (await database.all(held, b_now=database.clock()))[0].n == 0


async def all_delivered(database: Database) -> None:
    async with asyncio.timeout(10):
        with database.wakes.listen("delivered") as woken:
            while (await database.all(UNDELIVERED))[0].n:
                await woken.wait()
                woken.clear()


@pytest.mark.databases("sqlite")
async def test_what_is_written_is_taken_in_the_same_transaction(database: Database, delivering: Outbox) -> None:
    seen: list[list[tuple[str, bool]]] = []

    def also(ran: Sequence[Request], since: float) -> Sequence[Request]:
        seen.append([(one.operation.__name__, one.joined) for one in ran])
        return ()

    with database.joined(also):
        await database.write(write_rows, 3)
    assert seen == [[("write_rows", False)], [("take", True)]]
    await all_delivered(database)


@pytest.mark.parametrize("rows", [ALONG, ALONG + 1, IN_FLIGHT + ALONG + 1, 3 * IN_FLIGHT])
async def test_what_there_is_no_room_for_is_taken_when_there_is(
    database: Database, delivering: Outbox, rows: int
) -> None:
    """No clockwork runs here: what nobody takes now stays."""
    await database.write(write_rows, rows)
    await all_delivered(database)


async def test_what_was_taken_as_the_outbox_stopped_is_given_back(database: Database) -> None:
    outbox = Outbox(database, Nowhere())
    running = await begun(database, outbox)
    writing = asyncio.create_task(database.write(write_rows, 3))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, writing, return_exceptions=True)
    followed = Outbox(database, Nowhere())
    await followed.deliver_due()
    await followed.idle()
    assert (await database.all(UNDELIVERED))[0].n == 0
