"""More time for an approval that would expire."""

from __future__ import annotations

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import CountersignError
from agent_runtime.operations.extend import extend
from agent_runtime.operations.resolve import load
from agent_runtime.store.access import INSERT_SEEN, SEEN
from agent_runtime.store.tx import Tx
from bot.listeners.context import Context
from bot.listeners.deciding import NotConfirmed, refuse, say, say_not_confirmed, within_time
from bot.listeners.interaction import Interaction, person_behind, read_click
from bot.ui import actions
from bot.ui.text import moment


def register(app: AsyncApp, context: Context) -> None:
    @app.action(actions.EXTEND)
    async def more_time(ack: AsyncAck, body: dict[str, Any]) -> None:
        await extend_by_click(context, read_click(body))
        await ack()


async def extend_by_click(context: Context, interaction: Interaction) -> None:
    """Puts the expiry off, once for each click."""
    if interaction.shown is None:
        return
    person = await person_behind(context, interaction)
    try:
        approval = await within_time(
            context,
            interaction,
            person,
            extend_once,
            interaction.key,
            interaction.shown.approval_request_id,
            by=person.actor,
        )
    except NotConfirmed:
        say_not_confirmed(context, interaction)
    except CountersignError as error:
        await refuse(context, interaction, person, error)
    else:
        if approval.expires_at is not None:
            say(context, interaction, f"⏱️ It now expires {moment(approval.expires_at, seconds=True)}.")


def extend_once(tx: Tx, key: str, approval_request_id: str, *, by: Actor) -> ApprovalRequest:
    """The same click delivered twice extends once. Raises as `extend` does."""
    if tx.one(SEEN, b_key=key) is not None:
        return load(tx, approval_request_id)
    extended = extend(tx, approval_request_id, by=by, via=Via.slack)
    tx.run(INSERT_SEEN, delivery_key=key, received_at=tx.now)
    return extended
