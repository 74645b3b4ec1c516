"""What every interaction payload says: who, in which workspace, and how to answer.

Source: docs.slack.dev/reference/interaction-payloads. A person of another workspace (Slack Connect) carries
their own team in `user.team_id`.
"""

from __future__ import annotations

from typing import Any

from bot.sandbox.errors import ControlError
from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.channels import Channel
from bot.sandbox.workspace.people import User


def payload(server: SandboxServer, kind: str, user: User, *, trigger: bool = True) -> dict[str, Any]:
    """The members that payloads of every kind share."""
    config = server.config
    body: dict[str, Any] = {
        "type": kind,
        "team": {"id": config.team_id, "domain": config.team_domain},
        "enterprise": None,
        "is_enterprise_install": False,
        "user": {"id": user.id, "username": user.username, "name": user.username, "team_id": user.team_id},
        "api_app_id": config.app_id,
        "token": config.verification_token,
    }
    if trigger:
        body["trigger_id"] = server.triggers.issue(user.id)
    return body


def channel_part(channel: Channel) -> dict[str, str]:
    return {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name}


def acting_user(server: SandboxServer, user_id: str) -> User:
    """Who acts. Deactivated people may act here, so that apps are tested against what must not reach them.

    Raises:
        ControlError: 404.
    """
    user = server.workspace.users.get(user_id)
    if user is None:
        raise ControlError(404, "user_not_found", f"there is no user {user_id!r}: see /sandbox/api/state")
    return user


def channel_seen_by(server: SandboxServer, user: User, channel_id: str) -> Channel:
    """Raises: ControlError 404, also for the direct messages of others. In channels anybody may act here, members or
    not, so that apps are tested against it."""
    channel = channel_of(server, channel_id)
    if channel.is_im and user.id not in channel.members:
        raise ControlError(404, "channel_not_found", f"{channel.id} is another person's direct message")
    return channel


def channel_of(server: SandboxServer, channel_id: str) -> Channel:
    """Raises: ControlError 404."""
    channel = server.workspace.channel(channel_id)
    if channel is None:
        raise ControlError(404, "channel_not_found", f"there is no channel {channel_id!r}: see /sandbox/api/state")
    return channel
