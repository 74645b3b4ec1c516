"""Messages as Slack's API shows them."""

from __future__ import annotations

from typing import Any

from bot.sandbox.config import SandboxConfig
from bot.sandbox.workspace.files import file_json
from bot.sandbox.workspace.messages import Message
from bot.sandbox.workspace.text import rich_text_of
from bot.sandbox.workspace.workspace import Workspace


def message_json(
    workspace: Workspace, message: Message, *, base_url: str, with_metadata: bool = False
) -> dict[str, Any]:
    """The message object of `conversations.history` and of events.

    Args:
        with_metadata: whether the caller asked for it (`include_all_metadata`).
    """
    config = workspace.config
    body: dict[str, Any] = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "text": message.text,
        "team": workspace.users[message.user].team_id,
    }
    if message.is_from_app:
        body |= {"bot_id": config.bot_id, "app_id": config.app_id, "bot_profile": bot_profile(config)}
        if message.username:
            body["username"] = message.username
    else:
        body["client_msg_id"] = message.client_msg_id
    if message.subtype or message.is_broadcast:
        body["subtype"] = message.subtype or "thread_broadcast"
    blocks = message.blocks or ([] if message.is_from_app else rich_text_of(message.text))
    if blocks:
        body["blocks"] = blocks
    if message.attachments:
        body["attachments"] = message.attachments
    if message.edited_ts:
        body["edited"] = {"user": message.user, "ts": message.edited_ts}
    if message.files:
        body["files"] = [_file(workspace, message, file_id, base_url) for file_id in message.files]
    if message.reactions:
        body["reactions"] = [
            {"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()
        ]
    if with_metadata and message.metadata is not None:
        body["metadata"] = message.metadata
    return body | thread_json(workspace, message)


def thread_json(workspace: Workspace, message: Message) -> dict[str, Any]:
    """What a message shows of its thread: a reply names its parent, a parent counts its replies."""
    log = workspace.logs[message.channel]
    if message.thread_ts is not None:
        parent = log.get(message.thread_ts)
        return {"thread_ts": message.thread_ts, **({"parent_user_id": parent.user} if parent else {})}
    replies = log.replies(message.ts) if message.ephemeral_to is None else []
    if not replies:
        return {}
    users = list(dict.fromkeys(reply.user for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len(users),
        "reply_users": users,
        "latest_reply": replies[-1].ts,
        "is_locked": False,
        "subscribed": False,
    }


def bot_profile(config: SandboxConfig) -> dict[str, Any]:
    return {
        "id": config.bot_id,
        "app_id": config.app_id,
        "user_id": config.bot_user_id,
        "name": config.bot_name,
        "deleted": False,
        "updated": 0,
        "team_id": config.team_id,
        "icons": {},
    }


def _file(workspace: Workspace, message: Message, file_id: str, base_url: str) -> dict[str, Any]:
    file = workspace.files.get(file_id)
    if file is None:
        return {"id": file_id, "mode": "tombstone"}
    return file_json(file, team_id=workspace.config.team_id, user=message.user, base_url=base_url)
