"""What Slack makes of the text that a person types, and how mentions are written in the API.

Source: docs.slack.dev/messaging/formatting-message-text: `&`, `<`, `>` are escaped, a mention becomes `<@U…>`,
a user group `<!subteam^S…|@handle>`, a channel `<#C…|name>`, an address a link.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_TYPED_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>")
_URL = re.compile(r"https?://[^\s<>|]+[^\s<>|.,:;!?\"')\]]")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def typed_text(text: str, *, mentions: dict[str, str], user_exists: Callable[[str], bool]) -> str:
    """The message text for what a person typed.

    Args:
        text: as typed, for example `@Countersign help` or `<@U0COUNTERSIGN> help`.
        mentions: what may follow `@` or `#`, sign included, lower case, to what it is written as.
        user_exists: tells a mention typed by id from text in angle brackets.
    """
    names = "|".join(re.escape(name) for name in sorted(mentions, key=len, reverse=True))
    special = re.compile(
        rf"{_TYPED_MENTION.pattern}|(?P<url>{_URL.pattern})|(?P<email>{_EMAIL.pattern})"
        + (rf"|(?P<name>(?<![\w@#])(?:{names})(?![\w-]))" if names else ""),
        re.IGNORECASE,
    )
    pieces: list[str] = []
    position = 0
    for match in special.finditer(text):
        pieces.append(escape(text[position : match.start()]))
        pieces.append(_written(match, mentions, user_exists))
        position = match.end()
    pieces.append(escape(text[position:]))
    return "".join(pieces)


def _written(match: re.Match[str], mentions: dict[str, str], user_exists: Callable[[str], bool]) -> str:
    groups = match.groupdict()
    if groups.get("url"):
        return f"<{escape(groups['url'])}>"
    if groups.get("email"):
        return f"<mailto:{groups['email']}|{groups['email']}>"
    if groups.get("name"):
        return mentions[groups["name"].lower()]
    user = match.group(1).upper()
    return f"<@{user}>" if user_exists(user) else escape(match.group(0))


def escape(text: str) -> str:
    """The three characters that Slack's text format reserves."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


_TOKEN = re.compile(r"<([@#!]?)([^<>|]+)(?:\|([^<>]*))?>")


def rich_text_of(text: str) -> list[dict[str, Any]]:
    """The `blocks` that Slack adds to a person's message: one rich_text block saying the same."""
    elements: list[dict[str, Any]] = []
    position = 0
    for match in _TOKEN.finditer(text):
        if match.start() > position:
            elements.append({"type": "text", "text": unescape(text[position : match.start()])})
        elements.append(_rich_element(*match.groups()))
        position = match.end()
    if position < len(text):
        elements.append({"type": "text", "text": unescape(text[position:])})
    section = {"type": "rich_text_section", "elements": elements}
    return [{"type": "rich_text", "block_id": "typed", "elements": [section]}]


def _rich_element(sign: str, body: str, label: str | None) -> dict[str, Any]:
    if sign == "@":
        return {"type": "user", "user_id": body}
    if sign == "#":
        return {"type": "channel", "channel_id": body}
    if sign == "!" and body.startswith("subteam^"):
        return {"type": "usergroup", "usergroup_id": body.removeprefix("subteam^")}
    if sign == "!":
        return {"type": "broadcast", "range": body}
    return {"type": "link", "url": unescape(body), **({"text": unescape(label)} if label else {})}
