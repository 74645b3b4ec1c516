"""How an execution ended is said after what happened to its approvals, unless a place takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agent_runtime.delivery import outbox
from agent_runtime.delivery.notifier import Notice, Place, Receipt, RetryAfter
from agent_runtime.delivery.outbox import Outbox
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import APPROVAL_CARD, EXECUTION_RESULT, UNDELIVERED, enqueue
from agent_runtime.store.tx import Tx
from tests.flow import Flow


class Thread:
    """A notifier that shows cards once it is let, and results at once."""

    name, burst, interval = "thread", 64, 0.0

    def __init__(self) -> None:
        self.posted: list[str] = []
        self.posting, self.let = asyncio.Event(), asyncio.Event()
        self.away = False

    async def places(self, notice: Notice) -> Sequence[Place]:
        return [Place(notice.topic, notice.topic)] if notice.topic in {APPROVAL_CARD, EXECUTION_RESULT} else []

    async def post(self, notice: Notice, place: Place) -> Mapping[str, Any]:
        if notice.topic == APPROVAL_CARD:
            self.posting.set()
            await self.let.wait()
            if self.away:
                raise RetryAfter("away", 3600)
        self.posted.append(notice.topic)
        return {}

    async def update(self, notice: Notice, receipt: Receipt) -> Mapping[str, Any] | None:
        raise AssertionError("nothing is shown yet")

    async def find(self, notice: Notice, place: Place) -> Mapping[str, Any] | None:
        return None


@pytest.fixture
async def thread(database: Database) -> Thread:
    """Where a card is being posted, and the result of the execution is due."""
    flow = await Flow.asked(database)
    [approval] = await flow.pending()

    def ended(tx: Tx) -> None:
        enqueue(tx, APPROVAL_CARD, approval.approval_request_id)
        enqueue(tx, EXECUTION_RESULT, flow.execution_id)

    await database.write(ended)
    return Thread()


async def test_the_result_comes_after_the_card(database: Database, thread: Thread) -> None:
    delivering = Outbox(database, thread)
    await delivering.deliver_due()
    await thread.posting.wait()
    for _ in range(20):  # more than what is read to show a result
        await database.all(UNDELIVERED)
    assert thread.posted == []
    thread.let.set()
    await delivering.idle()
    assert thread.posted == [APPROVAL_CARD, EXECUTION_RESULT]


async def test_a_card_that_fails_holds_up_nothing(database: Database, thread: Thread) -> None:
    thread.away = True
    thread.let.set()
    delivering = Outbox(database, thread)
    await delivering.deliver_due()
    await delivering.idle()
    assert thread.posted == [EXECUTION_RESULT]


async def test_a_card_that_takes_long_is_not_waited_for(
    database: Database, thread: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LAST_WORD_WAITS", 0.05)
    delivering = Outbox(database, thread)
    await delivering.deliver_due()
    async with asyncio.timeout(10):
        while not thread.posted:
            await asyncio.sleep(0.01)
    assert thread.posted == [EXECUTION_RESULT]
    thread.let.set()
    await delivering.idle()
