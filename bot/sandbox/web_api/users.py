"""users.* methods."""

from __future__ import annotations

from typing import Any

from bot.sandbox.errors import SlackError
from bot.sandbox.rates import TIER_2, TIER_3, TIER_4
from bot.sandbox.scopes import EVERY_READ, read_scope
from bot.sandbox.web_api.method import Call, Method
from bot.sandbox.web_api.paging import page
from bot.sandbox.workspace.channels import channel_json
from bot.sandbox.workspace.people import User, user_json

_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


def info(call: Call) -> dict[str, Any]:
    user = call.workspace.users.get(call.args.required("user"))
    if user is None:
        raise SlackError("user_not_found")
    return {"user": _shown(call, user)}


def list_(call: Call) -> dict[str, Any]:
    members, next_page = page(list(call.workspace.users.values()), call.args, default_limit=1000)
    return {
        "members": [_shown(call, u) for u in members],
        "cache_ts": call.server.clock.seconds(),
        **next_page,
    }


def lookup_by_email(call: Call) -> dict[str, Any]:
    user = call.workspace.user_named(call.args.required("email"))
    if user is None:
        raise SlackError("users_not_found")
    return {"user": _shown(call, user)}


def conversations(call: Call) -> dict[str, Any]:
    """Those of `user` (default the bot) that the bot may see too."""
    user = call.args.text("user") or call.workspace.bot.id
    if user not in call.workspace.users:
        raise SlackError("user_not_found")
    kinds = wanted_kinds(call)
    shown = [
        channel
        for channel in call.workspace.channels_of(user)
        if channel.kind in kinds
        and (channel.kind == "channel" or call.workspace.bot.id in channel.members)
        and not (call.args.flag("exclude_archived") and call.server.is_archived(channel))
    ]
    channels, next_page = page(shown, call.args, default_limit=100)
    team = call.server.config.team_id
    return {"channels": [channel_json(c, viewer=user, team_id=team) for c in channels], **next_page}


def wanted_kinds(call: Call) -> set[str]:
    """The kinds of conversations that `types` asks for, each with its scope.

    Raises:
        SlackError: `invalid_types`, `missing_scope`.
    """
    types = call.args.listed("types") or ["public_channel"]
    if not set(types) <= set(_TYPES):
        raise SlackError("invalid_types")
    kinds = {_TYPES[name] for name in types}
    for kind in sorted(kinds):
        call.require("mpim:read" if kind == "mpim" else read_scope(kind))
    return kinds


def _shown(call: Call, user: User) -> dict[str, Any]:
    with_email = "users:read.email" in call.scopes
    return user_json(user, bot_id=call.server.config.bot_id, with_email=with_email)


METHODS = (
    Method("users.info", info, TIER_4, ("users:read",), takes_json=False),
    Method("users.list", list_, TIER_2, ("users:read",), takes_json=False),
    Method("users.lookupByEmail", lookup_by_email, TIER_3, ("users:read.email",), takes_json=False),
    Method("users.conversations", conversations, TIER_3, EVERY_READ, takes_json=False),
)
