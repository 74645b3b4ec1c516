"""What every command on the database shares: settings, an open database, the operator, and how answers are printed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer

from agent_runtime.settings import Settings, load
from agent_runtime.store.database import Database

R = TypeVar("R")

ENV_FILE = ".env"

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def on_database(work: Callable[[Database], Awaitable[R]]) -> R:
    """Runs `work` on the database of the settings."""

    async def run() -> R:
        settings: Settings = load(Settings, env_file=ENV_FILE)
        async with await Database.open(settings.database_url) as database:
            return await work(database)

    return asyncio.run(run())


def show_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Rows for people; `empty` where there are none."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        typer.echo(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def show_fields(fields: Mapping[str, Any]) -> None:
    """One thing for people, a field a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        typer.echo(f"{name:<{width}}  {text}")
