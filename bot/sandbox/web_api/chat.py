"""chat.* methods: posting, editing and deleting messages."""

from __future__ import annotations

from typing import Any

from bot.sandbox import posting
from bot.sandbox.errors import SlackError
from bot.sandbox.rates import GENEROUS, POSTING, TIER_3, TIER_4
from bot.sandbox.web_api.content import MAX_EDITED_TEXT, Content, read_content, read_metadata, truncation_warning
from bot.sandbox.web_api.method import Call, Method
from bot.sandbox.workspace.channels import Channel
from bot.sandbox.workspace.messages import Message


def post_message(call: Call) -> dict[str, Any]:
    channel = _postable(call)
    content = read_content(call.args)
    thread_ts = _thread(call, channel)
    message = posting.post(
        call.server,
        _from_app(
            call,
            channel,
            content,
            thread_ts=thread_ts,
            is_broadcast=thread_ts is not None and call.args.flag("reply_broadcast"),
        ),
    )
    shown = call.rendered(message, with_metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown, **truncation_warning(content)}


def post_ephemeral(call: Call) -> dict[str, Any]:
    channel = call.channel()
    if call.server.is_archived(channel):
        raise SlackError("is_archived")
    if call.workspace.bot.id not in channel.members:
        raise SlackError("not_in_channel")
    user = call.args.required("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    content = read_content(call.args, max_text=MAX_EDITED_TEXT)
    message = _from_app(call, channel, content, thread_ts=_thread(call, channel), ephemeral_to=user)
    posting.post(call.server, message)
    return {"message_ts": message.ts}


def update(call: Call) -> dict[str, Any]:
    channel = call.channel()
    message = _own(call, channel, "cant_update_message")
    if call.server.is_archived(channel):
        raise SlackError("is_inactive")
    content = _edited(call)
    fields: dict[str, Any] = {"edited_ts": call.server.clock.next_ts()}
    if content is not None:
        fields["text"] = content.shown_text
        if content.text is not None or content.blocks is not None:
            # A text that comes without blocks takes the old blocks away.
            fields["blocks"] = content.blocks or []
        if content.attachments is not None:
            fields["attachments"] = content.attachments
    if "metadata" in call.args:
        fields["metadata"] = read_metadata(call.args) or None
    posting.change(call.server, message, **fields)
    shown = call.rendered(message, with_metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def delete(call: Call) -> dict[str, Any]:
    channel = call.channel()
    message = _own(call, channel, "cant_delete_message")
    posting.remove(call.server, message)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(call: Call) -> dict[str, Any]:
    channel = call.channel()
    message = call.message(channel, call.args.required("message_ts"))
    link = f"{call.server.base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def _postable(call: Call) -> Channel:
    """Where the message goes: a conversation, or the direct message with a person.

    A public channel that the bot is not in takes it with the scope chat:write.public alone."""
    named = call.args.required("channel")
    user = call.workspace.users.get(named)
    if user is not None:
        if user.deleted or user.is_bot:
            raise SlackError("channel_not_found")
        return call.workspace.open_dm(user.id)
    channel = call.channel()
    if call.server.is_archived(channel):
        raise SlackError("is_archived")
    if call.workspace.bot.id not in channel.members and "chat:write.public" not in call.scopes:
        raise SlackError("not_in_channel")
    return channel


def _thread(call: Call, channel: Channel) -> str | None:
    """The parent's ts. A reply's ts stands for its parent, as it does in Slack."""
    ts = call.args.text("thread_ts")
    if not ts:
        return None
    parent = call.workspace.logs[channel.id].posted(ts)
    if parent is None:
        raise SlackError("thread_not_found")
    return parent.thread_ts or parent.ts


def _own(call: Call, channel: Channel, refusal: str) -> Message:
    message = call.message(channel, call.args.required("ts"))
    if not message.is_from_app:
        raise SlackError(refusal)
    return message


def _edited(call: Call) -> Content | None:
    """The new content; None where the call changes the metadata alone."""
    given = {"text", "blocks", "attachments", "markdown_text"}
    if "metadata" in call.args and not any(name in call.args for name in given):
        return None
    return read_content(call.args, max_text=MAX_EDITED_TEXT)


def _from_app(call: Call, channel: Channel, content: Content, **fields: Any) -> Message:
    customised = "chat:write.customize" in call.scopes
    return Message(
        channel=channel.id,
        ts=call.server.clock.next_ts(),
        user=call.workspace.bot.id,
        text=content.shown_text,
        blocks=content.blocks or [],
        attachments=content.attachments or [],
        is_from_app=True,
        username=(call.args.text("username") or None) if customised else None,
        metadata=content.metadata or None,
        **fields,
    )


_WRITE = ("chat:write",)
METHODS = (
    Method("chat.postMessage", post_message, POSTING, _WRITE),
    Method("chat.postEphemeral", post_ephemeral, TIER_4, _WRITE),
    Method("chat.update", update, TIER_3, _WRITE),
    Method("chat.delete", delete, TIER_3, _WRITE),
    Method("chat.getPermalink", get_permalink, GENEROUS, takes_json=False),
)
