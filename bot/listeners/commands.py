"""`/approvals`: what waits for a decision, for this person alone."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.listeners.context import Context
from bot.listeners.overview import overview
from bot.ui import actions
from bot.ui.home import listing


def register(app: AsyncApp, context: Context) -> None:
    @app.command(actions.COMMAND)
    async def approvals(ack: AsyncAck, body: dict[str, Any]) -> None:
        identity = context.identity()
        team = str(body.get("user_team_id") or body.get("team_id") or "")
        person = await context.directory.person(identity, str(body["user_id"]), team)
        if person.actor.barred:
            await ack(f"⛔ You can't see approvals here: {person.actor.barred}.")
            return
        shown = listing(await overview(context, person.actor, 0), context.workspace(), context.database.clock())
        await ack(text=shown.text, blocks=shown.blocks, response_type="ephemeral")
