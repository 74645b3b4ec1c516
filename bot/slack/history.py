"""Which messages of the bot's stand where, by their metadata: read from Slack as seldom as will do."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import structlog

from bot.slack.client import SlackAway, SlackClient

log = structlog.get_logger(__name__)

EVENT_TYPE = "countersign"

PAGES = 10
"""Pages of 200 messages that are read at once; what is further back is not looked for."""

OVERLAP = 5.0
"""Seconds that are read again, for a message that came into the history late."""

THREADS_KEPT = 200
MESSAGES_KEPT = 5_000

Marks: TypeAlias = tuple[str, ...]


@dataclass(slots=True)
class _Thread:
    """What is known of one thread (or channel): everything from `since` up to `newest`, read at `read_at`."""

    since: float = float("inf")
    newest: float = 0.0
    read_at: float = float("-inf")
    seen: dict[Marks, str] = field(default_factory=dict)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class History:
    """The bot's own posts. After an outage a thousand of them are looked for at once: one reading serves them all.

    `now` gives seconds, monotonic.
    """

    def __init__(self, client: SlackClient, now: Callable[[], float]) -> None:
        self._client = client
        self._now = now
        self._threads: OrderedDict[tuple[str, str], _Thread] = OrderedDict()
        self._not_before = 0.0

    async def find(
        self, channel: str, thread_ts: str, marks: Mapping[str, str], *, since: float, attempted_at: float
    ) -> str | None:
        """The ts of the message with these marks, or None.

        `since`: the earliest it may have been posted (epoch seconds); `attempted_at`: `now` when that was last tried,
        or at any time later: what was read before that may lack it. Raises SlackRefused or SlackAway.
        """
        thread = self._thread(channel, thread_ts)
        async with thread.reading:
            if thread.read_at < attempted_at or since < thread.since:
                await self._read_in_turn(thread, channel, thread_ts, since)
        return thread.seen.get(_key(marks))

    async def _read_in_turn(self, thread: _Thread, channel: str, thread_ts: str, since: float) -> None:
        """Nobody asks again before Slack's time."""
        left = self._not_before - self._now()
        if left > 0:
            raise SlackAway("conversations.history", "rate limited", left, uncertain=False)
        try:
            await self._read(thread, channel, thread_ts, since)
        except SlackAway as error:
            if error.seconds is not None:
                self._not_before = self._now() + error.seconds
            raise

    async def _read(self, thread: _Thread, channel: str, thread_ts: str, since: float) -> None:
        began = self._now()
        oldest = thread.newest - OVERLAP if since >= thread.since and thread.newest else min(since, thread.since)
        cursor, newest = "", thread.newest
        for _ in range(PAGES):
            messages, cursor = await self._client.history(
                channel, thread_ts=thread_ts or None, oldest=f"{max(0.0, oldest):.6f}", cursor=cursor
            )
            for message in messages:
                newest = max(newest, float(message["ts"]))
                known = message.get("metadata") or {}
                if known.get("event_type") == EVENT_TYPE:
                    key = _key(known.get("event_payload") or {})
                    thread.seen[key] = max(str(message["ts"]), thread.seen.get(key, ""))
            if not cursor:
                break
        else:
            log.warning("slack: too much was said to look through all of it", channel=channel, pages=PAGES)
        thread.since, thread.newest, thread.read_at = min(since, thread.since), newest, began

    def _thread(self, channel: str, thread_ts: str) -> _Thread:
        key = (channel, thread_ts)
        known = self._threads.get(key)
        if known is None or len(known.seen) > MESSAGES_KEPT:
            self._threads[key] = _Thread()
        self._threads.move_to_end(key)
        while len(self._threads) > THREADS_KEPT:
            self._threads.popitem(last=False)
        return self._threads[key]


def _key(marks: Mapping[str, Any]) -> Marks:
    return tuple(str(value) for _, value in sorted(marks.items()))
