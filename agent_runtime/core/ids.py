"""Identifiers: names, never capabilities."""

from __future__ import annotations

import re
import secrets

APPROVAL_REQUEST_ID = re.compile(r"(?!\.{1,2}\Z)[\w.:~-]{1,200}", re.ASCII)
"""What callers may choose as an approval_request_id (unique in a deployment for ever). Not `.` and `..`: clients take
these out of a path (RFC 3986, 5.2.4), so that nobody could look at such an approval.
"""

APPROVAL_REQUEST_ID_RULE = "must be 1 to 200 of letters, digits and _.:~-, and neither . nor .."


def execution_id(now: int) -> str:
    """A new execution's id: `exe_` and a UUIDv7 in hex; `now` in epoch microseconds."""
    return "exe_" + _uuid7_hex(now)


def approval_request_id(now: int) -> str:
    """A new approval's id: `apr_` and a UUIDv7 in hex; `now` in epoch microseconds."""
    return "apr_" + _uuid7_hex(now)


def message_id(now: int) -> str:
    """A new outbound message's id: `msg_` and a UUIDv7 in hex; `now` in epoch microseconds."""
    return "msg_" + _uuid7_hex(now)


def _uuid7_hex(now: int) -> str:
    """UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, version, 74 random bits; so that ids sort by creation."""
    value = (now // 1000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{value:032x}"
