"""What every command on the database shares: settings, an open database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agent_runtime.errors import NotFound

if TYPE_CHECKING:
    from agent_runtime.settings import Settings
    from agent_runtime.store.database import Database

R = TypeVar("R")
E = TypeVar("E", bound=StrEnum)

ENV_FILE = ".env"

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def word_of(known: type[E], word: str, hint: str) -> E:
    """`word` as one of `known`. Raises BadParameter; Typer's own refusal of an enumeration's words begins oddly."""
    try:
        return known(word)
    except ValueError:
        raise typer.BadParameter(f"{word!r} is none of {', '.join(known)}", param_hint=hint) from None


def on_database(work: Callable[[Database], Awaitable[R]], *, create: bool = False, database_url: str = "") -> R:
    """Runs `work` on `database_url`, or the database of the settings. Only with `create` is a SQLite file made that is
    not there: a command in the wrong folder is to say so, not to find nothing in a new, empty database.
    """
    from agent_runtime.sdk.logs import keep_quiet
    from agent_runtime.store.database import Database

    keep_quiet()
    url = database_url or runtime_settings().database_url
    if not create:
        _require_file(url)

    async def run() -> R:
        async with await Database.open(url) as database:
            return await work(database)

    return asyncio.run(run())


def runtime_settings() -> Settings:
    """The runtime's settings, from the environment and `.env`. Raises InvalidSetting."""
    from agent_runtime.settings import Settings, load

    settings: Settings = load(Settings, env_file=ENV_FILE)
    return settings


def _require_file(database_url: str) -> None:
    from agent_runtime.store.url import parse_database_url

    url = parse_database_url(database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise NotFound(
            f"there is no database {url.database}; run this where the server runs, or set COUNTERSIGN_DATABASE_URL "
            "(`countersign serve` creates it)"
        )
