"""OAuth scopes: what the app is granted by default, and how a refusal names what is missing.

Source: Slack's method reference (each method's required bot scopes).
"""

from __future__ import annotations

from collections.abc import Collection

from bot.sandbox.errors import SlackError

GRANTED_BY_DEFAULT = (
    "app_mentions:read",
    "channels:history",
    "chat:write",
    "chat:write.public",
    "commands",
    "files:write",
    "groups:history",
    "im:history",
    "im:write",
    "reactions:write",
    "usergroups:read",
    "users:read",
    "users:read.email",
)

# Which scope lets an app read, or read the history of, each kind of conversation.
_READ = {"channel": "channels:read", "group": "groups:read", "im": "im:read"}
_HISTORY = {"channel": "channels:history", "group": "groups:history", "im": "im:history"}
EVERY_READ = tuple(_READ.values())
EVERY_HISTORY = tuple(_HISTORY.values())


def read_scope(kind: str) -> str:
    """The scope that reading a conversation of `kind` (`channel`, `group`, `im`) needs."""
    return _READ[kind]


def history_scope(kind: str) -> str:
    """The scope that reading the messages of a conversation of `kind` needs."""
    return _HISTORY[kind]


def require_any(needed: Collection[str], granted: Collection[str]) -> None:
    """Raises `missing_scope` unless one of `needed` is granted; nothing needed is always granted."""
    if needed and not set(needed) & set(granted):
        raise SlackError("missing_scope", needed=",".join(needed), provided=",".join(granted))
