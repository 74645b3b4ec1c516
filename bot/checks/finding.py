"""What a check has found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """`good`; `note` is worth knowing, and may be meant so; `bad` keeps something from working."""

    good = "good"
    note = "note"
    bad = "bad"


MARKS = {Level.good: "✓", Level.note: "!", Level.bad: "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's. `about` is what was looked at; neither text ever holds a secret."""

    level: Level
    about: str
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def good(about: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.good, about, text)


def note(about: str, text: str, remedy: str = "") -> Finding:
    """It may be meant so."""
    return Finding(Level.note, about, text, remedy)


def bad(about: str, text: str, remedy: str = "") -> Finding:
    """Something does not work like this."""
    return Finding(Level.bad, about, text, remedy)


def well(findings: Iterable[Finding]) -> bool:
    """Whether nothing is bad."""
    return all(finding.level is not Level.bad for finding in findings)
