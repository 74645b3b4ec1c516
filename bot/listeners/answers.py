"""Answers to whoever clicked: to them alone, in place, or as a direct message where that cannot be."""

from __future__ import annotations

import asyncio

import structlog

from agent_runtime.errors import Overloaded
from bot.listeners.context import Context
from bot.slack.client import SlackAway, SlackRefused
from bot.ui.message import Message

log = structlog.get_logger(__name__)

TRIES = 4
LONGEST_PAUSE = 30.0

LANE = "chat.postEphemeral"
LONGEST_WAIT = 30.0
"""Seconds that an answer waits for its turn; where it would be longer, what asked for it is not acknowledged."""


def turn(context: Context, user: str) -> float:
    """Takes a turn to answer somebody; returns the seconds until it comes.

    Raises Overloaded where that is too long, or too much is on its way to them: then the delivery must not be
    acknowledged, so that Slack itself says that it did not work, or brings it again.
    """
    context.later.require_room(user)
    wait = context.pacing.reserve(LANE, asyncio.get_running_loop().time(), LONGEST_WAIT)
    if wait > LONGEST_WAIT:
        raise Overloaded("too many people are being answered at once; try again in a moment")
    return wait


def tell(context: Context, user: str, message: Message, *, channel: str = "", thread_ts: str | None = None) -> None:
    """Tells one person, in the background. While the very same is on its way to them it is not said twice.

    Raises Overloaded, as `turn` does.
    """
    same = (user, channel, thread_ts, message.text)
    if not context.later.under_way(same):
        told = answer(context, user, message, channel=channel, thread_ts=thread_ts, wait=turn(context, user))
        context.later.spawn(told, "slack-answer", name=same, person=user)


async def answer(
    context: Context, user: str, message: Message, *, channel: str, thread_ts: str | None, wait: float
) -> None:
    """Tells one person when their turn comes, in `wait` seconds; again where Slack is away."""
    in_place = bool(channel)
    await asyncio.sleep(wait)
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
