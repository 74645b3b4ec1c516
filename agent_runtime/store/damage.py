"""Looks for damage in a SQLite file before it is served, for a bounded time."""

from __future__ import annotations

import sqlite3
import time

WHOLE = 512 * 1024 * 1024
"""Bytes up to which all of a file is looked at; about half a second from the disk's cache (docs/operations.md)."""

SECONDS = 2.0
"""How long a larger file is looked at: table by table, the small ones that everything hangs on first."""


def find_damage(connection: sqlite3.Connection, size: int) -> str:
    """What is damaged, or "". A file of more than WHOLE bytes is looked at for about SECONDS; `countersign doctor`
    looks at all of it.
    """
    if size <= WHOLE:
        return _said(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    until = time.monotonic() + SECONDS
    for table in _tables(connection):
        if time.monotonic() >= until:
            break
        if damage := _said(connection.execute(f"PRAGMA quick_check('{table}')").fetchone()[0]):
            return damage
    return ""


def _tables(connection: sqlite3.Connection) -> list[str]:
    """Tables of ours, those that grow least first; the trail and the journal are the largest and never checked here."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    large = {"events", "seals", "steps", "approvals", "executions", "decisions", "receipts"}
    return sorted(name for (name,) in rows if name not in large)


def _said(answer: str) -> str:
    return "" if answer == "ok" else answer
