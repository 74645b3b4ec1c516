"""Untrusted text made fit for Slack: what can't be seen is written out, markup loses its meaning.

Three ways to show it, from the strictest: `plain` (for plain_text and rich_text, which know no markup), `code` (a name
within mrkdwn), and `escape` (prose within mrkdwn, for text that only people of this workspace wrote).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agent_runtime.core.display import shorten, visible
from agent_runtime.core.duration import SECOND
from agent_runtime.core.wording import DOORS

NAME_LIMIT = 120

_USER = re.compile(r"[UW][A-Z0-9]{2,}")
_GROUP = re.compile(r"S[A-Z0-9]{2,}")
_PRINCIPAL = re.compile(r"slack:([A-Z0-9]+):([UW][A-Z0-9]+)")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The workspace that is written to. `handles` are its user groups by handle, without the @."""

    team_id: str = ""
    bot_user_id: str = ""
    handles: Mapping[str, str] = field(default_factory=dict)


def escape(text: str) -> str:
    """Text whose `&`, `<` and `>` mean nothing to Slack (docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str, limit: int, *, multiline: bool = False) -> str:
    """`text` with everything visible, within `limit` characters; what is cut is said. Never empty."""
    return shorten(visible(text, multiline=multiline), limit)[0] or "(empty)"


def code(text: str, limit: int = NAME_LIMIT) -> str:
    """A name within mrkdwn, literally: a code span, in which a backtick is written out."""
    return f"`{escape(plain(text, limit).replace('`', _BACKTICK))}`"


_BACKTICK = "\\u{60}"


def person(principal: str, workspace: Workspace) -> str:
    """A principal within mrkdwn: a mention where it is somebody of this workspace."""
    match = _PRINCIPAL.fullmatch(principal)
    if match is not None and match[1] == workspace.team_id:
        return f"<@{match[2]}>"
    if principal == "local:operator":
        return "the operator of the server"
    if principal == "system":
        return "the runtime"
    return code(principal)


def user_of(principal: str | None, workspace: Workspace) -> str | None:
    """The user id of a principal of this workspace, or None."""
    match = _PRINCIPAL.fullmatch(principal or "")
    return match[2] if match is not None and match[1] == workspace.team_id else None


def reviewer(name: str, workspace: Workspace) -> str:
    """An entry of a reviewer list within mrkdwn: a mention where Slack can mention it."""
    if _USER.fullmatch(name):
        return f"<@{name}>"
    if _GROUP.fullmatch(name):
        return f"<!subteam^{name}>"
    if name.startswith("@") and (group := workspace.handles.get(name[1:].lower())) is not None:
        return f"<!subteam^{group}>"
    return person(name, workspace)


def reviewers(names: Sequence[str], workspace: Workspace, room: int = 1200) -> str:
    """Reviewers within mrkdwn, comma-separated; what does not fit into `room` characters is counted."""
    shown: list[str] = []
    for name in names:
        words = reviewer(name, workspace)
        room -= len(words) + 2
        if room < 0:
            break
        shown.append(words)
    rest = len(names) - len(shown)
    return ", ".join([*shown, f"{'and ' if shown else ''}{rest} more"] if rest else shown)


def door(via: str) -> str:
    """The door of a decision in words; "" where it is unknown."""
    return DOORS.get(via, "")


def moment(at: int, *, seconds: bool = False) -> str:
    """Epoch microseconds within mrkdwn: in the reader's own time zone, and in UTC."""
    utc = clock(at, seconds=seconds)
    form = "{date_short_pretty} {time_secs}" if seconds else "{date_short_pretty} {time}"
    return f"<!date^{at // SECOND}^{form}|{utc}> ({utc})"


def clock(at: int, *, seconds: bool = False) -> str:
    """Epoch microseconds as plain text in UTC."""
    return datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%d %H:%M" + (":%S" if seconds else "") + " UTC")
