"""Looking for posts whose records were lost: rarely, never too early, and where nothing is certain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_runtime.delivery.notifier import ApprovalView, Notice, Place, RetryAfter
from agent_runtime.store.outbox import APPROVAL_CARD
from bot.slack.client import SlackAway
from bot.slack.history import EVENT_TYPE, History
from bot.slack.notifier import SlackNotifier
from tests.bot.ui.views import NOW, WORKSPACE, approval

MARKS = {"id": "apr_1", "topic": "approval.card", "event": "", "place": "C1"}


class Channel:
    """A channel's messages; `problem` is raised instead of an answer, before or after a post has landed."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.asked: list[float] = []
        self.problem: SlackAway | None = None

    def say(self, ts: int, marks: dict[str, str] | None = None) -> None:
        known = {"event_type": EVENT_TYPE, "event_payload": marks} if marks is not None else None
        self.messages.insert(0, {"ts": f"{ts}.000000", "metadata": known})

    async def history(
        self, channel: str, *, thread_ts: str | None, oldest: str, cursor: str = ""
    ) -> tuple[list[dict[str, Any]], str]:
        self.asked.append(float(oldest))
        if self.problem is not None:
            raise self.problem
        newer = [message for message in self.messages if float(message["ts"]) > float(oldest)]
        start = int(cursor or 0)
        return newer[start : start + 200], str(start + 200) if len(newer) > start + 200 else ""

    async def post(self, channel: str, message: Any, *, thread_ts: Any, metadata: Any) -> tuple[str, str]:
        if self.problem is not None and not self.problem.uncertain:
            raise self.problem
        self.say(2_000 + len(self.messages), metadata["event_payload"])
        if self.problem is not None:
            raise self.problem
        return channel, self.messages[0]["ts"]


class Now:
    value = 100.0

    def __call__(self) -> float:
        return self.value


def marks(number: int) -> dict[str, str]:
    return {**MARKS, "id": f"apr_{number}"}


async def test_one_reading_serves_all_that_were_tried_before_it() -> None:
    channel, now = Channel(), Now()
    for number in range(1_500):
        channel.say(1_000 + number, marks(number))
    history = History(channel, now)  # type: ignore[arg-type]
    for number in range(1_500):
        found = await history.find("C1", "", marks(number), since=900.0, attempted_at=50.0)
        assert found == f"{1_000 + number}.000000"
    assert await history.find("C1", "", marks(9_999), since=900.0, attempted_at=50.0) is None
    assert len(channel.asked) == 8, "all pages, once"


async def test_what_was_tried_since_is_read_anew_and_only_that() -> None:
    channel, now = Channel(), Now()
    channel.say(1_000, marks(1))
    history = History(channel, now)  # type: ignore[arg-type]
    assert await history.find("C1", "", marks(2), since=900.0, attempted_at=50.0) is None
    channel.say(1_010, marks(2))
    now.value = 110.0
    assert await history.find("C1", "", marks(2), since=950.0, attempted_at=105.0) == "1010.000000"
    assert await history.find("C1", "", marks(1), since=900.0, attempted_at=50.0) == "1000.000000"
    assert channel.asked == [900.0, 995.0]
    await history.find("C1", "", marks(3), since=800.0, attempted_at=50.0)
    assert channel.asked[-1] == 800.0, "further back than was read"


async def test_nobody_asks_before_slacks_time() -> None:
    channel, now = Channel(), Now()
    channel.problem = SlackAway("conversations.history", "rate limited", 30.0, uncertain=False)
    history = History(channel, now)  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(SlackAway):
            await history.find("C1", "", MARKS, since=900.0, attempted_at=50.0)
    assert len(channel.asked) == 1
    channel.problem, now.value = None, 131.0
    assert await history.find("C1", "", MARKS, since=900.0, attempted_at=50.0) is None


def card(attempt: int) -> Notice:
    return Notice(APPROVAL_CARD, "apr_1", 1, approval=ApprovalView(approval()), attempt=attempt)


PLACE = Place("C1", "C1", {"channel": "C1", "thread_ts": ""})


def notifier(channel: Channel, *, known: bool = True) -> SlackNotifier:
    said = asyncio.Event()
    if known:
        said.set()
    return SlackNotifier(channel, lambda: WORKSPACE, lambda: NOW, said)  # type: ignore[arg-type]


async def test_a_process_that_has_just_started_does_not_put_off_what_it_will_know_in_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was tried often before would be put off by minutes."""
    slack = notifier(Channel(), known=False)
    posting = asyncio.create_task(slack.post(card(8), PLACE))
    await asyncio.sleep(0)
    slack._known.set()
    assert (await posting)["channel"] == "C1"
    monkeypatch.setattr("bot.slack.notifier.KNOWN_WITHIN", 0.01)
    with pytest.raises(RetryAfter, match="whose bot") as put_off:
        await notifier(Channel(), known=False).post(card(8), PLACE)
    assert put_off.value.away


async def test_a_refused_post_is_not_looked_for_unless_another_process_tried_since() -> None:
    channel = Channel()
    slack = notifier(channel)
    channel.problem = SlackAway("chat.postMessage", "cannot be reached", uncertain=False)
    with pytest.raises(Exception, match="cannot be reached"):
        await slack.post(card(1), PLACE)
    channel.problem = None
    assert await slack.find(card(2), PLACE) is None
    assert channel.asked == []
    channel.say(
        5_000_000_000, dict(zip(("id", "topic", "event", "place"), ("apr_1", APPROVAL_CARD, "", "C1"), strict=True))
    )
    assert (await slack.find(card(3), PLACE) or {})["ts"] == "5000000000.000000"


async def test_a_post_whose_record_was_lost_here_is_found() -> None:
    """Slack took it, and the database did not take its record."""
    channel = Channel()
    slack = notifier(channel)
    channel.messages.clear()
    channel.say(4_999_999_999)
    posted = await slack.post(card(1), PLACE)
    channel.messages[0]["ts"] = posted_ts = "5000000001.000000"
    assert posted["channel"] == "C1"
    assert (await slack.find(card(2), PLACE) or {})["ts"] == posted_ts
