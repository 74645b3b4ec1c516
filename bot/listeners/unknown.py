"""What nobody listens to is acknowledged: Slack would deliver an event again, and show a person a warning."""

from __future__ import annotations

import re
from typing import Any

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.listeners.context import Context

log = structlog.get_logger(__name__)

ANYTHING = re.compile(".*")


def register(app: AsyncApp, context: Context) -> None:
    @app.event(ANYTHING)
    async def event_of_no_use(ack: AsyncAck, body: dict[str, Any]) -> None:
        log.debug("slack: an event of no use", type=body["event"].get("type"))
        await ack()

    @app.action(ANYTHING)
    async def action_of_no_use(ack: AsyncAck, body: dict[str, Any]) -> None:
        log.debug("slack: an action of no use", action=body["actions"][0].get("action_id"))
        await ack()

    @app.view_closed(ANYTHING)
    async def view_closed(ack: AsyncAck) -> None:
        await ack()
