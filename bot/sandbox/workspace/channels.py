"""Conversations: public and private channels and direct messages with the bot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.sandbox.config import ChannelConfig


@dataclass
class Channel:
    """A conversation. `kind` is `channel` (public), `group` (private) or `im` (a person and the bot).

    `members` keeps the order of joining."""

    id: str
    name: str
    kind: str
    members: list[str]
    purpose: str = ""
    created: int = 0
    is_archived: bool = False
    is_shared: bool = False

    @property
    def is_im(self) -> bool:
        return self.kind == "im"

    @property
    def event_type(self) -> str:
        """What `message` events carry as `channel_type`."""
        return self.kind


def channel_from(config: ChannelConfig, members: list[str], *, is_shared: bool, now: int) -> Channel:
    return Channel(
        id=config.id,
        name=config.name,
        kind="group" if config.is_private else "channel",
        members=members,
        purpose=config.purpose,
        created=now,
        is_shared=is_shared,
    )


def channel_json(channel: Channel, *, viewer: str, team_id: str) -> dict[str, Any]:
    """The conversation object, as `viewer` (a user id) gets it."""
    if channel.is_im:
        other = next((member for member in channel.members if member != viewer), viewer)
        return {
            "id": channel.id,
            "created": channel.created,
            "is_im": True,
            "is_org_shared": False,
            "is_archived": False,
            "is_user_deleted": False,
            "user": other,
            "is_open": True,
            "priority": 0,
        }
    topic = {"value": "", "creator": "", "last_set": 0}
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_im": False,
        "is_mpim": False,
        "is_private": channel.kind == "group",
        "created": channel.created,
        "is_archived": channel.is_archived,
        "is_general": False,
        "is_shared": channel.is_shared,
        "is_org_shared": False,
        "is_ext_shared": channel.is_shared,
        "is_member": viewer in channel.members,
        "unlinked": 0,
        "context_team_id": team_id,
        "creator": channel.members[0] if channel.members else "",
        "topic": topic,
        "purpose": topic | {"value": channel.purpose},
        "previous_names": [],
    }
