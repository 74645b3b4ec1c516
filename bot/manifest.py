"""The Slack app's manifest: what the app may do, listens to and looks like. `manifest.yml` is its text for Socket Mode.

It is written as YAML, and by a few lines of our own: Slack's editor takes YAML and JSON alike, but only YAML can say
beside each scope what it is for, and that is what whoever installs the app wants to know.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

SCOPES: Mapping[str, str] = {
    "app_mentions:read": "somebody mentions the bot: a run starts",
    "channels:history": "a card is found again by its metadata after a crash",
    "chat:write": "cards, progress, answers",
    "chat:write.public": "in public channels that the bot was not invited to",
    "commands": "/approvals, and the shortcut on messages",
    "groups:history": "as channels:history, in private channels",
    "im:history": "messages to the bot",
    "im:write": "answers that cannot be shown in place",
    "usergroups:read": "reviewers that are named by group",
    "users:read": "who clicked: no guests, bots, strangers or former members",
    "users:read.email": "reviewers that are named by e-mail",
}
"""The bot's scopes, each with what it is for; nothing is asked for that is not used."""

EVENTS: Mapping[str, str] = {
    "app_home_opened": "the Home tab shows what waits",
    "app_mention": "a run starts, or its thread is answered",
    "message.im": "the same in the direct message with the bot",
    "subteam_members_changed": "who belongs to a group of reviewers",
    "user_change": "who left, or became a guest",
}

HEADER = """\
# The Slack app, for Socket Mode. https://api.slack.com/apps → Create New App → From a manifest.
# Socket Mode also needs an app-level token with connections:write (Basic Information → App-Level Tokens).
# `countersign manifest --mode http` prints the one for HTTP mode. Written by `countersign manifest`.
"""
HTTP_HEADER = """\
# The Slack app, for HTTP mode. https://api.slack.com/apps → Create New App → From a manifest.
# Slack calls the addresses below; when it checks them, the server must be running with SLACK_SIGNING_SECRET
# (Basic Information → App Credentials). Written by `countersign manifest`.
"""

_DESCRIPTION = (
    "Agents propose calls such as refunds, deploys and deletions. Countersign holds each of them until the right "
    "people have decided here in Slack, with everything that would run before their eyes; then the same run goes on, "
    "and the call runs at most once. Mention the bot to start an agent, decide with the buttons of its cards, and find "
    "what waits on you in its Home tab or with /approvals."
)


def manifest(request_url: str | None = None) -> dict[str, Any]:
    """The manifest (version 2) for Socket Mode, or for HTTP mode where Slack calls `request_url`.

    Source of the format: docs.slack.dev/reference/app-manifest.
    """
    called = {} if request_url is None else {"request_url": request_url}
    command = {"command": "/approvals", "description": "What waits for your decision", "should_escape": False}
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": "Countersign",
            "description": "Approvals for what AI agents do",
            "long_description": _DESCRIPTION,
            "background_color": "#1f3a5f",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": "Countersign", "always_online": True},
            "shortcuts": [
                {
                    "name": "Show the approval",
                    "type": "message",
                    "callback_id": "approval.show",
                    "description": "Everything about the approval that this message shows",
                }
            ],
            "slash_commands": [command if request_url is None else command | {"url": request_url}],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**called, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **called},
            "org_deploy_enabled": False,
            "socket_mode_enabled": request_url is None,
            "token_rotation_enabled": False,
        },
    }


def as_yaml(request_url: str | None = None) -> str:
    """The manifest as text to paste into Slack, with a comment beside each scope and event."""
    header = HEADER if request_url is None else HTTP_HEADER
    return header + "\n".join(_mapping(manifest(request_url), "")) + "\n"


_NOTES = {**SCOPES, **EVENTS}
_WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z/](?:[\w./-]|:(?! |$)| (?![ #]|$))*", re.ASCII)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def _mapping(members: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in members.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}:"
            yield from _mapping(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{name}:"
            for item in value:
                yield from _item(item, indent + "  ")
        elif isinstance(value, str) and len(value) > _WIDTH:
            yield f"{indent}{name}: >-"
            yield from textwrap.wrap(
                value,
                _WIDTH,
                initial_indent=indent + "  ",
                subsequent_indent=indent + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _item(item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, Mapping):
        first, *others = _mapping(item, indent + "  ")
        yield f"{indent}- {first.removeprefix(indent + '  ')}"
        yield from others
    else:
        note = _NOTES.get(item)
        yield f"{indent}- {_scalar(item)}" + (f" # {note}" if note else "")


def _scalar(value: Any) -> str:
    """A JSON scalar is a YAML one too; text goes without its quotes where nothing else could be meant."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
