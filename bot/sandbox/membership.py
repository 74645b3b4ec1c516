"""Who is in which channel and group: changes, with the events that they cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.channels import Channel
from bot.sandbox.workspace.people import User, UserGroup, user_json

_CHANNEL_TYPES = {"channel": "C", "group": "G"}


def join(server: SandboxServer, channel: Channel, user: str) -> None:
    """Puts a user into a channel; nothing happens where they are in it."""
    if user in channel.members:
        return
    channel.members.append(user)
    server.events.publish(
        "member_joined_channel", _membership(server, "member_joined_channel", channel, user), channel=channel
    )
    server.notices.publish("workspace", change="members", channel=channel.id)


def leave(server: SandboxServer, channel: Channel, user: str) -> None:
    if user not in channel.members:
        return
    server.events.publish(
        "member_left_channel", _membership(server, "member_left_channel", channel, user), channel=channel
    )
    channel.members.remove(user)
    server.notices.publish("workspace", change="members", channel=channel.id)


def change_group(server: SandboxServer, group: UserGroup, users: Sequence[str]) -> None:
    """Gives a user group these members."""
    added = [user for user in users if user not in group.users]
    removed = [user for user in group.users if user not in users]
    if not added and not removed:
        return
    before, group.users, group.updated = group.updated, list(users), server.clock.seconds()
    event = {
        "type": "subteam_members_changed",
        "subteam_id": group.id,
        "team_id": server.config.team_id,
        "date_previous_update": before,
        "date_update": group.updated,
        "added_users": added,
        "added_users_count": len(added),
        "removed_users": removed,
        "removed_users_count": len(removed),
        "event_ts": server.clock.next_ts(),
    }
    server.events.publish("subteam_members_changed", event)
    server.notices.publish("workspace", change="user_group", user_group=group.id)


def change_user(server: SandboxServer, user: User, **fields: Any) -> None:
    """Sets fields of a user. A person who is deactivated leaves channels and groups, as in Slack."""
    for name, value in fields.items():
        setattr(user, name, value)
    user.updated = server.clock.seconds()
    if user.deleted:
        for channel in server.workspace.channels_of(user.id):
            if not channel.is_im:
                leave(server, channel, user.id)
        for group in server.workspace.groups.values():
            change_group(server, group, [member for member in group.users if member != user.id])
    event = {
        "type": "user_change",
        "user": user_json(user, bot_id=server.config.bot_id, with_email="users:read.email" in server.config.scopes),
        "cache_ts": user.updated,
        "event_ts": server.clock.next_ts(),
    }
    server.events.publish("user_change", event)
    server.notices.publish("workspace", change="user", user=user.id)


def _membership(server: SandboxServer, kind: str, channel: Channel, user: str) -> dict[str, Any]:
    return {
        "type": kind,
        "user": user,
        "channel": channel.id,
        "channel_type": _CHANNEL_TYPES.get(channel.kind, "D"),
        "team": server.config.team_id,
        "event_ts": server.clock.next_ts(),
    }
