"""A card's menu, and the message shortcut: everything to be read, and more time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from agent_runtime.delivery.views import approval_view
from agent_runtime.errors import NotAuthorized, NotFound
from bot.listeners.context import Context
from bot.listeners.deciding import refuse, say
from bot.listeners.extend import extend_by_click
from bot.listeners.interaction import Interaction, person_behind, read_click, read_shortcut
from bot.listeners.opening import open_view
from bot.ui import actions, modals


def register(app: AsyncApp, context: Context) -> None:
    @app.action(actions.DETAILS)
    async def menu(ack: AsyncAck, body: dict[str, Any]) -> None:
        interaction = read_click(body)
        if interaction.shown is not None and interaction.verb == actions.VERB_EXTEND:
            await extend_by_click(context, interaction)
            await ack()
            return
        await ack()
        await _show(context, interaction)

    @app.shortcut({"type": "message_action", "callback_id": actions.SHORTCUT})
    async def show(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        interaction = read_shortcut(body)
        if interaction.shown is None or not _is_ours(context, body):
            say(context, interaction, "This message shows no approval of ours.")
            return
        await _show(context, interaction)


async def _show(context: Context, interaction: Interaction) -> None:
    """Whoever sees the card may read all of it, unless they are of another workspace."""
    if interaction.shown is None:
        return
    person = await person_behind(context, interaction)
    if person.actor.barred:
        await refuse(context, interaction, person, NotAuthorized(person.actor.barred))
        return
    view = await approval_view(context.database, interaction.shown.approval_request_id)
    if view is None:
        await refuse(context, interaction, person, NotFound())
        return
    now = context.database.clock()
    open_view(context, interaction, modals.details(view, context.workspace(), interaction.shown, now))


def _is_ours(context: Context, body: Mapping[str, Any]) -> bool:
    """Another app's message may carry the same block ids."""
    message = body.get("message") or {}
    identity = context.identity()
    return message.get("user") == identity.bot_user_id or message.get("bot_id") == identity.bot_id
