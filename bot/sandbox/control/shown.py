"""How the workspace is shown by the control endpoints."""

from __future__ import annotations

from typing import Any

from bot.sandbox.modals import shown_view
from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.channels import Channel
from bot.sandbox.workspace.messages import Message
from bot.sandbox.workspace.people import User
from bot.sandbox.workspace.rendering import message_json
from bot.sandbox.workspace.views import View


def state(server: SandboxServer) -> dict[str, Any]:
    """Everything but the messages. Direct messages are listed by person (`GET channels?user=`)."""
    config, workspace = server.config, server.workspace
    return {
        "team": {"id": config.team_id, "name": config.team_name, "domain": config.team_domain},
        "bot_user_id": config.bot_user_id,
        "bot_id": config.bot_id,
        "bot_name": config.bot_name,
        "app_id": config.app_id,
        "users": [_user(user) for user in workspace.people],
        "channels": [channel(server, c) for c in workspace.channels.values() if not c.is_im],
        "user_groups": [
            {"id": g.id, "handle": g.handle, "name": g.name, "users": list(g.users)} for g in workspace.groups.values()
        ],
        "scenarios": [scenario.model_dump() for scenario in config.scenarios],
        "agents": list(config.agents),
        "commands": None if config.slash_commands is None else list(config.slash_commands),
        "mode": "http" if server.http is not None else "socket",
        "connections": server.socket_mode.connection_count,
        "request_url": server.http.request_url if server.http is not None else None,
        "faults": server.faults.active(),
        "server_controls": config.server_controls,
        "server": {"state": server.app_process},
    }


def channel(server: SandboxServer, shown: Channel, viewer: str | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": shown.id,
        "name": server.config.bot_name if shown.is_im else shown.name,
        "is_im": shown.is_im,
        "is_private": shown.kind != "channel",
        "purpose": shown.purpose,
        "members": list(shown.members),
        "is_archived": server.is_archived(shown),
        "is_shared": shown.is_shared,
    }
    if shown.is_im:
        body["user"] = server.config.bot_user_id
    if viewer is not None:
        body["is_member"] = viewer in shown.members
    return body


def message(server: SandboxServer, shown: Message) -> dict[str, Any]:
    """Slack's message object, with its metadata, and who alone sees it (`ephemeral_to`, null for all)."""
    body = message_json(server.workspace, shown, base_url=server.base_url, with_metadata=True)
    own = {"blocks": shown.blocks, "ephemeral_to": shown.ephemeral_to, "is_broadcast": shown.is_broadcast}
    return {"thread_ts": None, **body, **own}


def view(server: SandboxServer, shown: View) -> dict[str, Any]:
    """Slack's view object, whose it is, and the `errors` by block_id of the submission that the app refused."""
    return {**shown_view(server, shown), "user": shown.user, "errors": dict(shown.errors)}


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "username": user.username,
        "role": user.role,
        "team_id": user.team_id,
        "email": user.email,
        "is_restricted": user.is_restricted,
        "is_stranger": user.is_stranger,
        "deleted": user.deleted,
    }
