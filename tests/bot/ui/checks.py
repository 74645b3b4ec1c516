"""What must hold of everything that is sent to Slack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.sandbox.blocks.validate import check_message_blocks, view_problems
from bot.ui.limits import MESSAGE_TEXT
from bot.ui.message import Message

MARKUP = re.compile(r"<([^>]*)>")
OURS = re.compile(
    r"@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+|!date\^\d+\^[^|]+\|[^<>]*|#[CGD][A-Z0-9]+|https://[\w.]+/archives/[^|]+\|card"
)
"""The markup that the bot itself writes."""

MENTIONED = {"U0ALEX", "U0REVIEWER", "U0BOT"}


def check_message(message: Message) -> None:
    """Slack takes it, and nothing in it is markup that an agent or a user wrote."""
    check_message_blocks(message.blocks)
    assert message.text.strip()
    assert len(message.text) <= MESSAGE_TEXT
    check_markup([message.text, *mrkdwn_of(message.blocks)])


def check_view(view: dict[str, Any]) -> None:
    assert view_problems(view) == []
    check_markup(mrkdwn_of(view["blocks"]))


def check_markup(texts: list[str]) -> None:
    for text in texts:
        for markup in MARKUP.findall(text):
            assert OURS.fullmatch(markup), markup
            if markup.startswith("@"):
                assert markup[1:] in MENTIONED, markup
        assert "<" not in MARKUP.sub("", text)
        assert ">" not in MARKUP.sub("", text)


def mrkdwn_of(value: Any) -> list[str]:
    """Every mrkdwn text within blocks."""
    return [item["text"] for item in objects(value) if item.get("type") == "mrkdwn"]


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object within a value."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects(item)


def elements(blocks: list[dict[str, Any]]) -> list[str]:
    """The action ids of everything that can be clicked."""
    return [item["action_id"] for item in objects(blocks) if "action_id" in item]


def words(blocks: list[dict[str, Any]]) -> str:
    """Everything that can be read, one text a line."""
    return "\n".join(str(item["text"]) for item in objects(blocks) if isinstance(item.get("text"), str))
