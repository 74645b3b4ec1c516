"""What is printed: one JSON line for machines, then a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def show(benchmark: str, figures: Mapping[str, Any], *, floor: str = "", **about: Any) -> None:
    """`figures` by subject, and, where one is the `floor`, the ratio of every other to it."""
    print(json.dumps({"benchmark": benchmark, **about, "figures": figures}), flush=True)
    print(f"\n{benchmark}" + "".join(f", {name} {value}" for name, value in about.items()))
    width = max(len(name) for name in figures) + 2
    columns = list(next(iter(figures.values())))
    print(" " * width + "".join(f"{column:>26}" for column in columns))
    for name, row in figures.items():
        cells = (_cell(row[column], figures.get(floor, {}).get(column), name == floor) for column in columns)
        print(f"{name:{width}}" + "".join(f"{cell:>26}" for cell in cells))
    print(flush=True)


def _cell(value: float, floor: float | None, is_floor: bool) -> str:
    shown = f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return shown if floor is None or is_floor else f"{shown} ({value / floor:.2f}×)"
