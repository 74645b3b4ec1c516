"""A message to the bot, parsed from Slack's event: who said what, where, and whether it is a command."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack.origin import Origin

COMMANDS = frozenset({"help", "agents", "status", "cancel"})

_REFERENCE = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")


@dataclass(frozen=True, slots=True)
class Said:
    """`text` is what a person reads: without the mention, entities and link markup undone."""

    event_id: str
    app_team: str
    user_team: str
    origin: Origin
    text: str
    in_thread: bool

    @property
    def answer_thread(self) -> str | None:
        """The thread that answers for this person alone go into; a message outside a thread is answered beside it."""
        return self.origin.thread_ts if self.in_thread else None


def read_said(body: Mapping[str, Any], bot_user_id: str) -> Said | None:
    """An `app_mention` or `message` event; None where no person said it (bots, edits)."""
    event = body["event"]
    user = event.get("user")
    if not user or event.get("bot_id") or event.get("subtype") not in (None, "file_share"):
        return None
    team = str(event.get("user_team") or event.get("source_team") or event.get("team") or "")
    ts = str(event["ts"])
    thread_ts = str(event.get("thread_ts") or "")
    authorizations = body.get("authorizations") or [{}]
    app_team = str(authorizations[0].get("team_id") or body.get("team_id") or "")
    return Said(
        event_id=str(body["event_id"]),
        app_team=app_team,
        user_team=team,
        origin=Origin(app_team, str(event["channel"]), thread_ts=thread_ts or ts, message_ts=ts, user=user),
        text=_text(str(event.get("text") or ""), bot_user_id),
        in_thread=bool(thread_ts),
    )


def command_of(text: str, agents: Collection[str]) -> str | None:
    """The command that `text` is; "help" where nothing was said. An agent of that name goes first."""
    word = text.lower()
    if not word:
        return "help"
    return word if word in COMMANDS and word not in agents else None


def _text(text: str, bot_user_id: str) -> str:
    """What was typed: the bot's mention and NUL characters taken away, references written out, entities undone."""
    text = re.sub(rf"\s*<@{re.escape(bot_user_id)}(?:\|[^>]*)?>\s*", " ", text)
    return html.unescape(_REFERENCE.sub(_written_out, text)).replace("\0", "").strip()


def _written_out(match: re.Match[str]) -> str:
    """A reference as people read it; a mention of somebody stays, so that an agent can name them."""
    target, label = match[1], match[2]
    if target.startswith("@"):
        return match[0]
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    if target.startswith("!"):
        return label or target[1:].partition("^")[0]
    target = target.removeprefix("mailto:")
    return target if not label or label == target else f"{label} ({target})"
