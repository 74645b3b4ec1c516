"""Cursor pagination (docs.slack.dev/apis/web-api/pagination)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from bot.sandbox.errors import SlackError
from bot.sandbox.web_api.arguments import Arguments
from bot.sandbox.workspace.messages import Message

_T = TypeVar("_T")
MAX_LIMIT = 1000
_TS = re.compile(r"^\d+(\.\d+)?$")


def page(items: Sequence[_T], args: Arguments, *, default_limit: int) -> tuple[list[_T], dict[str, Any]]:
    """One page of `items` and the members of the answer that lead to the next.

    Raises:
        SlackError: `invalid_cursor`, `invalid_limit`.
    """
    limit = _limit(args, default_limit)
    start = int(_position(args.text("cursor"), "next") or 0)
    more = start + limit < len(items)
    return list(items[start : start + limit]), _next(f"next:{start + limit}" if more else "")


def page_of_messages(
    messages: Sequence[Message], args: Arguments, *, newest_first: bool
) -> tuple[list[Message], dict[str, Any]]:
    """One page of a history, within `oldest`, `latest` and `inclusive`.

    Its cursor is a ts, so that messages which arrive between two pages neither repeat nor hide others.

    Raises:
        SlackError: `invalid_cursor`, `invalid_limit`, `invalid_ts_oldest`, `invalid_ts_latest`.
    """
    limit = _limit(args, 100)
    oldest, latest, inclusive = _bound(args, "oldest"), _bound(args, "latest"), args.flag("inclusive")
    after = _position(args.text("cursor"), "next_ts")
    wanted = [
        message
        for message in (reversed(messages) if newest_first else messages)
        if _within(float(message.ts), oldest, latest, inclusive=inclusive)
        and (after is None or (message.ts < after if newest_first else message.ts > after))
    ]
    more = len(wanted) > limit
    cursor = f"next_ts:{wanted[limit - 1].ts}" if more else ""
    return wanted[:limit], {"has_more": more, **_next(cursor)}


def _limit(args: Arguments, default: int) -> int:
    limit = args.number("limit", default) or default
    if not 0 < limit <= MAX_LIMIT:
        raise SlackError("invalid_limit")
    return limit


def _bound(args: Arguments, name: str) -> float | None:
    text = args.text(name)
    if text in ("", "0", "now"):
        return None
    if not _TS.match(text):
        raise SlackError(f"invalid_ts_{name}")
    return float(text)


def _within(ts: float, oldest: float | None, latest: float | None, *, inclusive: bool) -> bool:
    if inclusive:
        return (oldest is None or ts >= oldest) and (latest is None or ts <= latest)
    return (oldest is None or ts > oldest) and (latest is None or ts < latest)


def _next(cursor: str) -> dict[str, Any]:
    return {"response_metadata": {"next_cursor": base64.b64encode(cursor.encode()).decode()}}


def _position(cursor: str, kind: str) -> str | None:
    if not cursor:
        return None
    try:
        found, _, position = base64.b64decode(cursor, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise SlackError("invalid_cursor") from None
    if found != kind or not _TS.match(position):
        raise SlackError("invalid_cursor")
    return position
