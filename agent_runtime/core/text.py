"""Text as every database holds it. Pure."""

from __future__ import annotations

from agent_runtime.errors import InvalidRequest

NUL = "\0"


def check_storable(text: str, field: str) -> None:
    """Raises InvalidRequest naming `field` for a NUL character, which PostgreSQL's texts cannot hold (SQLite's can)."""
    if NUL in text:
        raise InvalidRequest(f"{field}: holds a NUL character (U+0000), which no database text can hold; remove it")
