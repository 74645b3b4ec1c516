"""Opens modals, in the background and at once: a trigger lives for three seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from bot.listeners.context import Context
from bot.listeners.deciding import say
from bot.listeners.interaction import Interaction
from bot.slack.client import SlackAway, SlackRefused

log = structlog.get_logger(__name__)


def open_view(context: Context, interaction: Interaction, view: Mapping[str, Any]) -> None:
    """Opens the modal; where Slack does not, the person is told to click again."""
    context.later.spawn(_open(context, interaction, view), "slack-modal")


async def _open(context: Context, interaction: Interaction, view: Mapping[str, Any]) -> None:
    try:
        await context.client.open_view(interaction.trigger_id, view)
    except (SlackRefused, SlackAway) as error:
        log.warning("slack: could not open a modal", reason=str(error))
        say(context, interaction, "⚠️ Slack was too slow to open the form; click again.")
