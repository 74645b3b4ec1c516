"""What is shown is read once where it is shown at once, and again where it had to wait for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agent_runtime.core.policy import Policy
from agent_runtime.delivery import showing
from agent_runtime.delivery.notifier import Notice, Place, Receipt
from agent_runtime.delivery.outbox import Outbox
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import APPROVAL_CARD, UNDELIVERED
from tests.flow import Flow, gated
from tests.samples import REVIEWERS

NOTIFIED = Policy(reviewers=REVIEWERS, notified=True)


class Board:
    """A notifier with one place, or several; `posted` has the versions and statuses that were shown."""

    name = "board"
    burst = 1

    def __init__(self, interval: float = 0.0, places: int = 1) -> None:
        self.interval = interval
        self.posted: list[tuple[str, str]] = []
        self._places = [Place(f"place-{number}", "lane") for number in range(places)]

    async def places(self, notice: Notice) -> Sequence[Place]:
        return self._places if notice.topic == APPROVAL_CARD else []

    async def post(self, notice: Notice, place: Place) -> Mapping[str, Any]:
        assert notice.approval is not None
        self.posted.append((place.key, str(notice.approval.approval.status)))
        return {"ts": str(len(self.posted))}

    async def update(self, notice: Notice, receipt: Receipt) -> Mapping[str, Any] | None:
        return None

    async def find(self, notice: Notice, place: Place) -> Mapping[str, Any] | None:
        return None


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The topics of what was read to be shown."""
    topics: list[str] = []
    reading = showing.filled

    async def counted(database: Database, outline: Notice) -> Notice:
        topics.append(outline.topic)
        return await reading(database, outline)

    monkeypatch.setattr(showing, "filled", counted)
    return topics


async def delivered(database: Database, board: Board) -> Outbox:
    delivering = Outbox(database, board)
    await delivering.deliver_due()
    await delivering.idle()
    assert (await database.all(UNDELIVERED))[0].n == 0
    return delivering


async def test_a_card_that_is_shown_at_once_is_read_once(database: Database, read: list[str]) -> None:
    await Flow.asked(database, gated(policy=NOTIFIED))
    board = Board()
    await delivered(database, board)
    assert board.posted == [("place-0", "pending")]
    assert read == [APPROVAL_CARD]


async def test_what_is_shown_at_the_next_place_is_read_again(database: Database, read: list[str]) -> None:
    await Flow.asked(database, gated(policy=NOTIFIED))
    board = Board(places=2)
    await delivered(database, board)
    assert [place for place, _ in board.posted] == ["place-0", "place-1"]
    assert read == [APPROVAL_CARD] * 2


async def test_what_waited_for_its_turn_shows_what_happened_meanwhile(database: Database) -> None:
    flow = await Flow.asked(database, gated(policy=NOTIFIED))
    board = Board(interval=0.5, places=2)
    delivering = Outbox(database, board)
    await delivering.deliver_due()
    async with asyncio.timeout(10):
        while not board.posted:
            await asyncio.sleep(0.01)
        await flow.resolve()
        await delivering.idle()
    assert board.posted == [("place-0", "pending"), ("place-1", "approved")]
