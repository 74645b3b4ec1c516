"""Answers to whoever clicked: to them alone, in place, or as a direct message where that cannot be."""

from __future__ import annotations

import asyncio

import structlog

from bot.listeners.context import Context
from bot.slack.client import SlackAway, SlackRefused
from bot.ui.message import Message

log = structlog.get_logger(__name__)

TRIES = 4
LONGEST_PAUSE = 30.0


def tell(context: Context, user: str, message: Message, *, channel: str = "", thread_ts: str | None = None) -> None:
    """Tells one person, in the background."""
    context.later.spawn(_tell(context, user, message, channel, thread_ts), "slack-answer")


async def _tell(context: Context, user: str, message: Message, channel: str, thread_ts: str | None) -> None:
    in_place = bool(channel)
    for attempt in range(TRIES):
        try:
            if in_place:
                await context.client.ephemeral(channel, user, message, thread_ts=thread_ts)
            else:
                await context.client.post(user, message)
            return
        except SlackRefused as error:
            if not in_place:
                log.warning("slack: could not answer somebody", reason=str(error))
                return
            in_place = False
        except SlackAway as error:
            if attempt == TRIES - 1:
                log.warning("slack: could not answer somebody", reason=str(error))
                return
            await asyncio.sleep(min(error.seconds or 2.0**attempt, LONGEST_PAUSE))
