"""How answers are printed. Nothing that an agent or a person wrote reaches the terminal as it is: what could not be
seen there, or would move its cursor, is written out.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from agent_runtime.core.display import visible
from bot.checks.finding import MARKS, Finding, Level

PIPED_WIDTH = 200
"""Columns of a table where nobody's window limits it."""

_COLOURS = {Level.good: "green", Level.note: "yellow", Level.bad: "red"}

_UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e01ef]"
)


def show_json(value: Any) -> None:
    """One JSON document on standard output; characters that a terminal obeys are escaped, as JSON may."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    sys.stdout.write(_UNSEEN.sub(_escaped, text) + "\n")


def _escaped(unseen: re.Match[str]) -> str:
    units = unseen[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Rows for people; `empty` where there are none. The last column takes what room is left."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        typer.echo(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)


def show_fields(fields: Mapping[str, str]) -> None:
    """One thing for people: a name and a text a line, later lines below the first; empty texts are left out."""
    width = max((len(name) for name, text in fields.items() if text), default=0)
    for name, text in fields.items():
        if text:
            first, *others = visible(text, multiline=True).split("\n")
            typer.echo("\n".join([f"{name:<{width}}  {first}", *(" " * (width + 2) + line for line in others)]))


def show_block(title: str, lines: str) -> None:
    """A heading with lines below it that are safe to show already (`core.display`)."""
    typer.echo(f"\n{title}")
    typer.echo("\n".join(f"  {line}" for line in lines.split("\n")))


def warn(text: str) -> None:
    """A sentence beside the answer, on standard error."""
    typer.echo(f"countersign: {visible(text, multiline=True)}", err=True)


def show_findings(findings: Sequence[Finding]) -> None:
    """A line a finding, its remedy below it, and a sentence at the end."""
    width = max(len(finding.about) for finding in findings)
    for finding in findings:
        mark = typer.style(MARKS[finding.level], fg=_COLOURS[finding.level], bold=True)
        typer.echo(f"{mark} {finding.about:<{width}}  {visible(finding.text)}")
        if finding.remedy:
            typer.echo(f"  {'':<{width}}  → {visible(finding.remedy)}")
    wrong = sum(finding.level is Level.bad for finding in findings)
    typer.echo(f"\n{wrong} to put right." if wrong else "\nNothing stands in the way.")
