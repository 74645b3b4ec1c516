"""Messages of one conversation: threads, edits, ephemerals, reactions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Block = dict[str, Any]


@dataclass(eq=False)
class Message:
    """A message. `ts` is its id within the channel; `thread_ts` its parent's, None outside threads.

    `ephemeral_to` is the only user who sees it; such a message is in no history."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[Block] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    thread_ts: str | None = None
    is_from_app: bool = False
    username: str | None = None
    metadata: dict[str, Any] | None = None
    ephemeral_to: str | None = None
    is_broadcast: bool = False
    client_msg_id: str | None = None
    edited_ts: str | None = None
    files: list[str] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    subtype: str | None = None

    def visible_to(self, user: str | None) -> bool:
        """Whether `user` sees it; None sees everything."""
        return self.ephemeral_to is None or user is None or self.ephemeral_to == user


class MessageLog:
    """A conversation's messages in the order of their ts."""

    def __init__(self) -> None:
        self._by_ts: dict[str, Message] = {}
        self._replies: dict[str, list[Message]] = {}

    def add(self, message: Message) -> None:
        self._by_ts[message.ts] = message
        if message.thread_ts is not None and message.ephemeral_to is None:
            self._replies.setdefault(message.thread_ts, []).append(message)

    def remove(self, message: Message) -> None:
        del self._by_ts[message.ts]
        replies = self._replies.get(message.thread_ts or "", [])
        if message in replies:
            replies.remove(message)

    def get(self, ts: str) -> Message | None:
        return self._by_ts.get(ts)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._by_ts.values())

    def posted(self, ts: str) -> Message | None:
        """The message that everyone in the channel sees at `ts`: no ephemeral."""
        message = self._by_ts.get(ts)
        return None if message is None or message.ephemeral_to is not None else message

    def top_level(self) -> list[Message]:
        """What a channel's history shows: no replies but those broadcast, no ephemerals."""
        return [m for m in self if m.ephemeral_to is None and (m.thread_ts is None or m.is_broadcast)]

    def replies(self, thread_ts: str) -> list[Message]:
        return list(self._replies.get(thread_ts, ()))
