"""A person uses a shortcut: on a message, or a global one."""

from __future__ import annotations

from typing import Any

from bot.sandbox.delivery.outgoing import Outgoing
from bot.sandbox.errors import ControlError
from bot.sandbox.interactions.outcome import outcome
from bot.sandbox.interactions.payloads import acting_user, channel_part, channel_seen_by, payload
from bot.sandbox.interactions.response_urls import Answerable
from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.rendering import message_json


async def use_shortcut(
    server: SandboxServer,
    *,
    user: str,
    callback_id: str,
    channel: str | None = None,
    message_ts: str | None = None,
) -> dict[str, Any]:
    """Uses a message shortcut where a message is named, else a global one.

    Raises:
        ControlError: 404, or 422 where only one of channel and message_ts is given.
    """
    person = acting_user(server, user)
    if (channel is None) != (message_ts is None):
        raise ControlError(
            422, "invalid_value", "a message shortcut needs channel and message_ts, a global one neither"
        )
    if channel is None or message_ts is None:
        body = payload(server, "shortcut", person)
    else:
        conversation = channel_seen_by(server, person, channel)
        message = server.workspace.logs[conversation.id].posted(message_ts)
        if message is None:
            raise ControlError(404, "message_not_found", f"there is no message {message_ts} in {conversation.id}")
        body = payload(server, "message_action", person) | {
            "channel": channel_part(conversation),
            "message_ts": message.ts,
            "message": message_json(server.workspace, message, base_url=server.base_url, with_metadata=True),
            "response_url": server.response_url(
                Answerable(person.id, conversation.id, message.ts, message.thread_ts), "actions"
            ),
        }
    body |= {"callback_id": callback_id, "action_ts": server.clock.next_ts()}
    return outcome(await server.transport.deliver(Outgoing("interactive", body)))
