"""`countersign db …`"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_runtime.core.duration import rfc3339
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import Conflict, SchemaMismatch
from bot.cli.printing import warn
from bot.cli.session import on_database, runtime_settings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from agent_runtime.operations.restore import Opened
    from agent_runtime.store.database import Database

app = typer.Typer(no_args_is_help=True, help="The database: its schema, backups and restores.")

SAY_EVERY = 1.0
"""Seconds between words about how far it is."""

File = Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why; it is recorded.")]


@app.callback()
def group() -> None:
    """The database: its schema, backups and restores."""


@app.command()
def upgrade() -> None:
    """Bring the schema to this version; safe to run again, and while others start."""
    from agent_runtime.store.migrate import HEAD, upgrade_database

    upgrade_database(runtime_settings().database_url)
    typer.echo(f"the schema is at revision {HEAD}")


@app.command()
def backup(file: File) -> None:
    """Write the database, as it is at one moment, to a new file; servers go on meanwhile.

    On PostgreSQL this runs pg_dump. For little loss and large databases use its continuous archiving instead, and
    `countersign db restored` after a recovery.
    """
    url = _url()
    if file.exists():
        raise Conflict(f"{file} is there already; name a new file")
    if url.get_backend_name() == "sqlite":
        from agent_runtime.store.backup import back_up

        back_up(Path(url.database or ""), file, _progress("copied"))
    else:
        from agent_runtime.store.postgres.dump import dump

        typer.echo("pg_dump is writing", err=True)
        dump(url, file)
    typer.echo(f"{file}: {file.stat().st_size:,} bytes")


@app.command()
def restore(
    file: File,
    force: Annotated[bool, typer.Option("--force", help="Put away what the database holds now.")] = False,
    reason: Reason = "",
) -> None:
    """Put a backup back, with no server running. What had not ended is held: the next server asks how it goes on.

    Nothing runs a second time by itself: where a call may have run after the backup, people are asked whether it did.
    """
    url = _url()
    opened = (
        _restore_file(url, file, force, reason)
        if url.get_backend_name() == "sqlite"
        else _restore_server(url, file, force, reason)
    )
    _say(opened)


@app.command()
def restored(
    force: Annotated[bool, typer.Option("--force", help="Also where workers seem to be running.")] = False,
    reason: Reason = "",
) -> None:
    """Say that the database was restored by other means (PostgreSQL's recovery, a snapshot), before a server starts."""

    async def open_it(database: Database) -> Opened:
        await _refuse_while_served(database, force)
        return await _open_epoch(database, reason)

    _say(on_database(open_it))


def _restore_file(url: URL, file: Path, force: bool, reason: str) -> Opened:
    from agent_runtime.engine.liveness import live_workers, lock_folder
    from agent_runtime.store.backup import check_backup, is_used, put_away, restored_beside
    from agent_runtime.store.database import Database
    from agent_runtime.store.revision import is_newer

    target = Path(url.database or "")
    revision = check_backup(file)
    if is_newer(revision):
        raise SchemaMismatch(
            f"{file} is of revision {revision}, which this version does not know; use the one that made it"
        )
    if live_workers(lock_folder(target)):
        raise Conflict(f"a server is running on {target}; stop it first")
    if is_used(target) and not force:
        raise Conflict(f"{target} holds a deployment; with --force it is put away beside the restored one")
    with restored_beside(file, target, _progress("copied")) as beside:
        _upgrade(url.set(database=str(beside)))

        async def work() -> Opened:
            async with await Database.open(f"sqlite+aiosqlite:///{beside}") as database:
                return await _open_epoch(database, reason)

        opened = asyncio.run(work())
        if live_workers(lock_folder(target)):
            raise Conflict(f"a server was started on {target} meanwhile; stop it first")
        away = put_away(target, f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    if away is not None:
        typer.echo(f"what was there is in {away}")
    return opened


def _restore_server(url: URL, file: Path, force: bool, reason: str) -> Opened:
    from agent_runtime.store.inspection import inspect_database
    from agent_runtime.store.postgres.dump import restore as restore_dump

    found = asyncio.run(inspect_database(runtime_settings().database_url))
    if found.others:
        raise SchemaMismatch(f"{found.where} holds tables of something else; name an empty database")
    if found.revision is not None:
        if not force:
            raise Conflict(f"{found.where} is in use; name an empty database, or give --force to overwrite it")
        on_database(lambda database: _refuse_while_served(database, force=False))
    restore_dump(url, file, overwrite=found.revision is not None)
    _upgrade(url)
    return on_database(lambda database: _open_epoch(database, reason))


def _upgrade(url: URL) -> None:
    """A backup of an older version is brought to this one's schema."""
    from agent_runtime.store.migrate import upgrade_database

    upgrade_database(url.render_as_string(hide_password=False))


async def _refuse_while_served(database: Database, force: bool) -> None:
    from agent_runtime.store.agents import LIVE_WORKERS
    from agent_runtime.store.serving import WORKER_HORIZON

    workers = await database.all(LIVE_WORKERS, b_since=database.clock() - WORKER_HORIZON)
    if workers and not force:
        names = ", ".join(f"{row.host} (process {row.pid})" for row in workers[:3])
        raise Conflict(
            f"workers gave a sign of life within {WORKER_HORIZON // 1_000_000} s: {names}; stop them, or give --force "
            "where that is what the backup says"
        )


async def _open_epoch(database: Database, reason: str) -> Opened:
    from agent_runtime.operations.restore import open_epoch
    from agent_runtime.store.epochs import VALID_TOKENS

    opened = await database.write(open_epoch, by=LOCAL_OPERATOR, via=Via.cli, reason=reason)
    tokens = await database.one(VALID_TOKENS)
    if tokens is not None and tokens.n:
        warn(
            f"{tokens.n} API tokens are valid, also those that were revoked after the backup; look at `countersign "
            "tokens list`. Stop switches are as they were then, too"
        )
    return opened


def _say(opened: Opened) -> None:
    epoch = opened.epoch
    typer.echo(f"epoch {epoch.epoch}: restored to the state of {rfc3339(epoch.restored_to)}")
    typer.echo(f"{opened.held:,} executions are held; the next `countersign serve` asks people how each goes on")


def _url() -> URL:
    from agent_runtime.store.url import parse_database_url

    return parse_database_url(runtime_settings().database_url)


def _progress(verb: str) -> Callable[[int, int], None]:
    """Says on standard error how far a long one is."""
    said = time.monotonic()

    def say(done: int, of: int) -> None:
        nonlocal said
        if time.monotonic() - said >= SAY_EVERY:
            said = time.monotonic()
            typer.echo(f"{verb} {done * 100 // max(1, of)} % of {of * 4096 / 1e6:,.0f} MB", err=True)

    return say
