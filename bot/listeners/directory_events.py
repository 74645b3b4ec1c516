"""People and groups change: what is known about them is brought up to date at once."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.listeners.context import Context


def register(app: AsyncApp, context: Context) -> None:
    @app.event("user_change")
    async def user_changed(ack: AsyncAck, event: dict[str, Any]) -> None:
        context.directory.user_changed(event.get("user") or {})
        await ack()

    @app.event("subteam_members_changed")
    async def group_changed(ack: AsyncAck, event: dict[str, Any]) -> None:
        context.directory.groups_changed()
        await ack()
