"""What the app says back through a response URL, or in the ack of a slash command."""

from __future__ import annotations

from typing import Any

from bot.sandbox import posting
from bot.sandbox.errors import SlackError
from bot.sandbox.interactions.response_urls import Answerable
from bot.sandbox.server import SandboxServer
from bot.sandbox.web_api.arguments import Arguments
from bot.sandbox.web_api.content import Content, read_content
from bot.sandbox.workspace.messages import Message


def answer(server: SandboxServer, to: Answerable, body: dict[str, Any]) -> None:
    """Posts, replaces or deletes, as `body` says.

    Raises:
        SlackError: `no_text`, `invalid_blocks` and the like, `message_not_found`.
    """
    original = server.workspace.logs[to.channel].get(to.ts) if to.ts is not None else None
    if body.get("delete_original") in (True, "true"):
        posting.remove(server, _existing(original))
        return
    content = read_content(Arguments(body))
    if body.get("replace_original") in (True, "true"):
        _replace(server, _existing(original), content)
        return
    thread_ts = body.get("thread_ts")
    posting.post(
        server,
        Message(
            channel=to.channel,
            ts=server.clock.next_ts(),
            user=server.workspace.bot.id,
            text=content.shown_text,
            blocks=content.blocks or [],
            attachments=content.attachments or [],
            thread_ts=str(thread_ts) if thread_ts else None,
            is_from_app=True,
            metadata=content.metadata or None,
            ephemeral_to=None if body.get("response_type") == "in_channel" else to.user,
        ),
    )


def _replace(server: SandboxServer, original: Message, content: Content) -> None:
    posting.change(
        server,
        original,
        text=content.shown_text,
        blocks=content.blocks or [],
        attachments=content.attachments or [],
        edited_ts=server.clock.next_ts(),
    )


def _existing(original: Message | None) -> Message:
    if original is None or not original.is_from_app:
        raise SlackError("message_not_found", status=404)
    return original
