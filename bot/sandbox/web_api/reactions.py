"""reactions.* methods."""

from __future__ import annotations

import re
from typing import Any

from bot.sandbox import posting
from bot.sandbox.errors import SlackError
from bot.sandbox.rates import TIER_2, TIER_3
from bot.sandbox.web_api.method import Call, Method
from bot.sandbox.workspace.messages import Message

_NAME = re.compile(r"^[a-z0-9_+'-]+(::skin-tone-[2-6])?$")
MAX_EMOJI = 23  # distinct emoji on one message; Slack answers too_many_emoji beyond


def add(call: Call) -> dict[str, Any]:
    message, name = _named(call)
    users = message.reactions.get(name, [])
    if call.workspace.bot.id in users:
        raise SlackError("already_reacted")
    if name not in message.reactions and len(message.reactions) >= MAX_EMOJI:
        raise SlackError("too_many_emoji")
    posting.react(call.server, message, {**message.reactions, name: [*users, call.workspace.bot.id]})
    return {}


def remove(call: Call) -> dict[str, Any]:
    message, name = _named(call)
    users = message.reactions.get(name, [])
    if call.workspace.bot.id not in users:
        raise SlackError("no_reaction")
    left = [user for user in users if user != call.workspace.bot.id]
    others = {other: given for other, given in message.reactions.items() if other != name}
    posting.react(call.server, message, {**others, name: left} if left else others)
    return {}


def _named(call: Call) -> tuple[Message, str]:
    name = call.args.required("name").strip(":")
    if not _NAME.match(name):
        raise SlackError("invalid_name")
    channel = call.channel()
    if call.server.is_archived(channel):
        raise SlackError("is_archived")
    return call.message(channel, call.args.required("timestamp")), name


METHODS = (
    Method("reactions.add", add, TIER_3, ("reactions:write",)),
    Method("reactions.remove", remove, TIER_2, ("reactions:write",)),
)
