"""conversations.* methods."""

from __future__ import annotations

from typing import Any

from bot.sandbox.errors import SlackError
from bot.sandbox.membership import join as join_channel
from bot.sandbox.rates import TIER_2, TIER_3, TIER_4
from bot.sandbox.scopes import EVERY_HISTORY, EVERY_READ, history_scope, read_scope
from bot.sandbox.web_api.method import Call, Method
from bot.sandbox.web_api.paging import page, page_of_messages
from bot.sandbox.web_api.users import wanted_kinds
from bot.sandbox.workspace.channels import Channel, channel_json


def history(call: Call) -> dict[str, Any]:
    channel = _readable(call)
    messages, next_page = page_of_messages(call.workspace.logs[channel.id].top_level(), call.args, newest_first=True)
    with_metadata = call.args.flag("include_all_metadata")
    shown = [call.rendered(message, with_metadata=with_metadata) for message in messages]
    return {"messages": shown, "pin_count": 0, **next_page}


def replies(call: Call) -> dict[str, Any]:
    channel = _readable(call)
    log = call.workspace.logs[channel.id]
    named = log.posted(call.args.required("ts"))
    if named is None:
        raise SlackError("thread_not_found")
    # A reply's ts answers that reply alone, its parent's the whole thread.
    thread = [named] if named.thread_ts else [named, *log.replies(named.ts)]
    messages, next_page = page_of_messages(thread, call.args, newest_first=False)
    with_metadata = call.args.flag("include_all_metadata")
    return {"messages": [call.rendered(m, with_metadata=with_metadata) for m in messages], **next_page}


def info(call: Call) -> dict[str, Any]:
    channel = call.channel()
    call.require(read_scope(channel.kind))
    shown = _shown(call, channel)
    if call.args.flag("include_num_members"):
        shown["num_members"] = len(channel.members)
    return {"channel": shown}


def members(call: Call) -> dict[str, Any]:
    channel = call.channel()
    call.require(read_scope(channel.kind))
    found, next_page = page(channel.members, call.args, default_limit=100)
    return {"members": found, **next_page}


def list_(call: Call) -> dict[str, Any]:
    kinds, bot = wanted_kinds(call), call.workspace.bot.id
    visible = [
        channel
        for channel in call.workspace.channels.values()
        if channel.kind in kinds
        and (channel.kind == "channel" or bot in channel.members)
        and not (call.args.flag("exclude_archived") and call.server.is_archived(channel))
    ]
    channels, next_page = page(visible, call.args, default_limit=100)
    shown = [_shown(call, c) | ({} if c.is_im else {"num_members": len(c.members)}) for c in channels]
    return {"channels": shown, **next_page}


def join(call: Call) -> dict[str, Any]:
    channel = call.channel()
    if channel.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    if call.server.is_archived(channel):
        raise SlackError("is_archived")
    warning = {"warning": "already_in_channel"} if call.workspace.bot.id in channel.members else {}
    join_channel(call.server, channel, call.workspace.bot.id)
    return {"channel": _shown(call, channel), **warning}


def open_(call: Call) -> dict[str, Any]:
    """Opens the direct message with one person; group messages (mpim) are not part of this workspace."""
    if "channel" in call.args:
        channel = call.channel()
        if not channel.is_im:
            raise SlackError("method_not_supported_for_channel_type")
        return _opened(call, channel, already_open=True)
    users = call.args.listed("users")
    if not users:
        raise SlackError("users_list_not_supplied")
    if len(users) > 1:
        call.require("mpim:write")
        raise SlackError("too_many_users")
    user = call.workspace.users.get(users[0])
    if user is None:
        raise SlackError("user_not_found")
    if user.deleted:
        raise SlackError("user_disabled")
    if user.is_bot:
        raise SlackError("invalid_user_combination")
    existing = call.workspace.dm_with(user.id)
    if existing is None and call.args.flag("prevent_creation"):
        raise SlackError("channel_not_found")
    return _opened(call, existing or call.workspace.open_dm(user.id), already_open=existing is not None)


def _opened(call: Call, channel: Channel, *, already_open: bool) -> dict[str, Any]:
    state = {"no_op": True, "already_open": True} if already_open else {}
    shown = _shown(call, channel) if call.args.flag("return_im") else {"id": channel.id}
    return {**state, "channel": shown}


def _readable(call: Call) -> Channel:
    """The channel, where the bot may read its messages: a public one only from inside."""
    channel = call.channel()
    call.require(history_scope(channel.kind))
    if call.workspace.bot.id not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _shown(call: Call, channel: Channel) -> dict[str, Any]:
    shown = channel_json(channel, viewer=call.workspace.bot.id, team_id=call.server.config.team_id)
    return shown | {"is_archived": call.server.is_archived(channel)}


METHODS = (
    Method("conversations.history", history, TIER_3, EVERY_HISTORY),
    Method("conversations.replies", replies, TIER_3, EVERY_HISTORY, takes_json=False),
    Method("conversations.info", info, TIER_3, EVERY_READ, takes_json=False),
    Method("conversations.members", members, TIER_4, EVERY_READ, takes_json=False),
    Method("conversations.list", list_, TIER_2, EVERY_READ, takes_json=False),
    Method("conversations.join", join, TIER_3, ("channels:join",)),
    Method("conversations.open", open_, TIER_3, ("im:write", "mpim:write", "channels:manage", "groups:write")),
)
