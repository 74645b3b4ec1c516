"""What people do in Slack: each listener parses, calls one operation, acknowledges, and reports a refusal."""

from __future__ import annotations

from slack_bolt.async_app import AsyncApp

from bot.listeners import (
    commands,
    decision,
    details,
    directory_events,
    extend,
    home,
    in_doubt,
    mention,
    review,
    unknown,
)
from bot.listeners.context import Context


def register(app: AsyncApp, context: Context) -> None:
    """Registers every listener; `unknown` last, as it takes what is left."""
    for listeners in (
        mention,
        decision,
        review,
        in_doubt,
        details,
        extend,
        home,
        commands,
        directory_events,
        unknown,
    ):
        listeners.register(app, context)
