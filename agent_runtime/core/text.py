"""Text as every database holds it. Pure."""

from __future__ import annotations

from agent_runtime.errors import InvalidRequest

NUL = "\0"

LONGEST_WORDS = 10_000
"""Characters of what a person says about a decision, at every door."""


def check_storable(text: str, field: str) -> None:
    """Raises InvalidRequest naming `field` for a NUL character, which PostgreSQL's texts cannot hold (SQLite's can)."""
    if NUL in text:
        raise InvalidRequest(f"{field}: holds a NUL character (U+0000), which no database text can hold; remove it")


def check_words(text: str, field: str) -> None:
    """The same for what a person says, and raises InvalidRequest where that is too long."""
    check_storable(text, field)
    if len(text) > LONGEST_WORDS:
        raise InvalidRequest(f"{field}: has {len(text):,} characters; at most {LONGEST_WORDS:,} are taken")
