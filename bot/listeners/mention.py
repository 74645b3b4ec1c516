"""`@bot [agent] prompt` starts a run in the thread; `@bot help`, `agents`, `status` and `cancel` answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp

from agent_runtime.core.principal import Via
from agent_runtime.errors import CountersignError, NotAuthorized
from agent_runtime.operations.start import Start, start
from agent_runtime.store.agents import AGENT_NAMES
from agent_runtime.store.executions import OF_CONVERSATION
from bot.listeners import thread_commands
from bot.listeners.answers import tell
from bot.listeners.context import Context
from bot.listeners.said import Said, command_of, read_said
from bot.slack.directory import FOREIGN, Person
from bot.ui import help
from bot.ui.refusals import message, refusal

log = structlog.get_logger(__name__)


def register(app: AsyncApp, context: Context) -> None:
    @app.event("app_mention")
    async def mentioned(ack: AsyncAck, body: dict[str, Any]) -> None:
        await _answer(context, body)
        await ack()

    @app.event("message")
    async def written(ack: AsyncAck, body: dict[str, Any]) -> None:
        """In a direct message every message is meant for the bot; elsewhere only mentions are."""
        event = body["event"]
        if event.get("channel_type") == "im" and event.get("subtype") in (None, "file_share"):
            await _answer(context, body)
        await ack()


async def _answer(context: Context, body: Mapping[str, Any]) -> None:
    said = read_said(body, context.identity().bot_user_id)
    if said is None:
        return
    person = await _person(context, said)
    if person.actor.barred:
        reason = NotAuthorized(person.actor.barred)
        log.info("slack: refused a mention", principal=person.actor.principal, reason=person.actor.barred)
        tell_there(context, said, f"⛔ You can't start anything here: {reason.message}.")
        return
    agents = [row.agent for row in await context.database.all(AGENT_NAMES)]
    command = command_of(said.text, agents)
    if command is not None:
        await thread_commands.run(context, said, person.actor, command, agents)
        return
    await _start(context, said, person, agents)


async def _person(context: Context, said: Said) -> Person:
    identity = context.identity()
    found = await context.directory.person(identity, said.origin.user, said.user_team or identity.team_id)
    if not found.actor.barred and not identity.is_home(said.app_team):
        return Person(type(found.actor)(found.actor.principal, barred=FOREIGN))
    return found


async def _start(context: Context, said: Said, person: Person, agents: list[str]) -> None:
    """The name is the first word, where it is an agent's; else the thread's, the channel's, or the only agent runs."""
    name, *rest = said.text.split(maxsplit=1)
    if name in agents:
        agent, prompt = name, "".join(rest)
    else:
        agent, prompt = await _default_agent(context, said, agents), said.text
    if not agent:
        tell_there(context, said, help.which_agent(agents))
        return
    if not prompt:
        tell_there(context, said, help.no_prompt(agent))
        return
    wanted = Start(
        agent=agent,
        given={"prompt": prompt},
        idempotency_key=said.event_id,
        conversation_id=said.origin.conversation_id,
        origin=said.origin.as_json(),
    )
    try:
        await context.database.write(start, wanted, by=person.actor, via=Via.slack)
    except CountersignError as error:
        if error.status >= 500:
            # Slack delivers the event again, and the event's id keeps it from starting twice.
            raise
        answer = refusal(error, None, context.workspace())
        tell(context, said.origin.user, answer, channel=said.origin.channel, thread_ts=said.answer_thread)


async def _default_agent(context: Context, said: Said, agents: list[str]) -> str:
    earlier = await context.database.all(OF_CONVERSATION, b_conversation=said.origin.conversation_id, b_limit=1)
    if earlier and earlier[0].agent in agents:
        return earlier[0].agent
    channels = context.channel_agents.get(said.origin.channel)
    for default in (channels, context.settings.default_agent):
        if default in agents:
            return default
    return agents[0] if len(agents) == 1 else ""


def tell_there(context: Context, said: Said, mrkdwn: str) -> None:
    """Answers the person in the thread of what they said."""
    tell(
        context,
        said.origin.user,
        message(mrkdwn),
        channel=said.origin.channel,
        thread_ts=said.answer_thread,
    )
