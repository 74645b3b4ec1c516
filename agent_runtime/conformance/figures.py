"""What was measured: one line a promise, with figures, and what spoke against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Figure = int | float | str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `promise` is its name in docs/reliability.md ("P1"); `violations` are empty where it
    held, and otherwise name what did not.
    """

    promise: str
    title: str
    figures: dict[str, Figure]
    violations: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        return {
            "promise": self.promise,
            "title": self.title,
            "held": self.held,
            "figures": self.figures,
            "violations": list(self.violations[:SHOWN]),
            "seconds": round(self.seconds, 1),
        }


SHOWN = 20
"""Violations that are told of one thing; there may be thousands of the same kind."""


def in_words(figures: dict[str, Figure]) -> str:
    """`200 kills, 0 lost`: figures as people read them."""
    return ", ".join(
        f"{name} {value}"
        if isinstance(value, str)
        else f"{value:,} {name}"
        if isinstance(value, int)
        else f"{value:g} {name}"
        for name, value in figures.items()
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not pass; 0.0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
