"""Every change of a message goes through here: it lands in the log, on the page and, as an event, in the app."""

from __future__ import annotations

from typing import Any

from bot.sandbox.server import SandboxServer
from bot.sandbox.workspace.messages import Message
from bot.sandbox.workspace.rendering import message_json

_SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}


def post(server: SandboxServer, message: Message) -> Message:
    """Adds a message. One that only one person sees (`ephemeral_to`) causes no event."""
    server.workspace.post(message)
    _tell_page(server, message, "posted")
    if message.ephemeral_to is None:
        channel = server.workspace.channels[message.channel]
        event = message_event(server, message)
        server.events.publish(_SUBSCRIPTIONS[channel.kind], event, channel=channel)
        if _mentions_bot(server, message) and not channel.is_im:
            server.events.publish("app_mention", _mention_event(event), channel=channel)
    return message


def change(server: SandboxServer, message: Message, **fields: Any) -> None:
    """Sets fields of a message; others get to know by a `message_changed` event."""
    before = _rendered(server, message)
    for name, value in fields.items():
        setattr(message, name, value)
    _tell_page(server, message, "changed")
    after = _rendered(server, message)
    if message.ephemeral_to is None and after != before:
        _publish_hidden(server, message, "message_changed", {"message": after, "previous_message": before})


def react(server: SandboxServer, message: Message, reactions: dict[str, list[str]]) -> None:
    """Gives a message these reactions. It is no edit and causes no `message_changed`."""
    message.reactions = reactions
    _tell_page(server, message, "changed")


def remove(server: SandboxServer, message: Message) -> None:
    """Deletes a message; others get to know by a `message_deleted` event."""
    before = _rendered(server, message)
    server.workspace.logs[message.channel].remove(message)
    _tell_page(server, message, "deleted")
    if message.ephemeral_to is None:
        _publish_hidden(server, message, "message_deleted", {"deleted_ts": message.ts, "previous_message": before})


def message_event(server: SandboxServer, message: Message) -> dict[str, Any]:
    """The `message` event. A person of another workspace (Slack Connect) shows as such."""
    channel = server.workspace.channels[message.channel]
    event = _rendered(server, message) | {
        "channel": message.channel,
        "channel_type": channel.event_type,
        "event_ts": message.ts,
    }
    author = server.workspace.users[message.user]
    if author.is_stranger:
        event |= {
            "user_team": author.team_id,
            "source_team": author.team_id,
            "user_profile": {
                "display_name": author.name,
                "real_name": author.name,
                "name": author.username,
                "team": author.team_id,
                "is_restricted": author.is_restricted,
                "is_ultra_restricted": False,
            },
        }
    return event


def _mention_event(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "channel_type"} | {"type": "app_mention"}


def _mentions_bot(server: SandboxServer, message: Message) -> bool:
    return not message.is_from_app and f"<@{server.workspace.bot.id}>" in message.text


def _publish_hidden(server: SandboxServer, of: Message, subtype: str, fields: dict[str, Any]) -> None:
    channel = server.workspace.channels[of.channel]
    ts = server.clock.next_ts()
    event = {
        "type": "message",
        "subtype": subtype,
        "hidden": True,
        "channel": channel.id,
        "channel_type": channel.event_type,
        "ts": ts,
        "event_ts": ts,
        **fields,
    }
    server.events.publish(_SUBSCRIPTIONS[channel.kind], event, channel=channel)


def _tell_page(server: SandboxServer, message: Message, what: str) -> None:
    channel = server.workspace.channels[message.channel]
    data: dict[str, Any] = {
        "channel": message.channel,
        "ts": message.ts,
        "thread_ts": message.thread_ts,
        "change": what,
    }
    if message.ephemeral_to is not None:
        server.notices.publish("ephemeral", audience=frozenset({message.ephemeral_to}), **data)
    elif channel.kind == "channel":
        server.notices.publish("message", **data)
    else:
        server.notices.publish("message", audience=frozenset(channel.members), **data)


def _rendered(server: SandboxServer, message: Message) -> dict[str, Any]:
    return message_json(server.workspace, message, base_url=server.base_url, with_metadata=False)
