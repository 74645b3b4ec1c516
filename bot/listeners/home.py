"""The App Home: what waits on me, what I asked for, what was decided lately."""

from __future__ import annotations

from typing import Any

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.listeners.context import Context
from bot.listeners.interaction import person_behind, read_click
from bot.listeners.overview import overview
from bot.slack.client import SlackAway, SlackRefused
from bot.slack.directory import Person
from bot.ui import actions
from bot.ui.home import home

log = structlog.get_logger(__name__)


def register(app: AsyncApp, context: Context) -> None:
    @app.event("app_home_opened")
    async def opened(ack: AsyncAck, body: dict[str, Any]) -> None:
        event = body["event"]
        if event.get("tab") == "home":
            identity = context.identity()
            context.later.spawn(_publish_to(context, event["user"], identity.team_id, 0), "slack-home")
        await ack()

    @app.action(actions.HOME_EARLIER)
    @app.action(actions.HOME_LATER)
    async def turn_page(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        interaction = read_click(body)
        value = body["actions"][0].get("value", "")
        person = await person_behind(context, interaction)
        if not person.actor.barred and value.isdecimal():
            context.later.spawn(_publish(context, interaction.user, person, int(value)), "slack-home")


async def _publish_to(context: Context, user: str, team: str, page: int) -> None:
    person = await context.directory.person(context.identity(), user, team)
    if not person.actor.barred:
        await _publish(context, user, person, page)


async def _publish(context: Context, user: str, person: Person, page: int) -> None:
    shown = home(await overview(context, person.actor, page), context.workspace(), context.database.clock())
    try:
        await context.client.publish_home(user, shown)
    except (SlackRefused, SlackAway) as error:
        log.warning("slack: could not show the App Home", reason=str(error))
