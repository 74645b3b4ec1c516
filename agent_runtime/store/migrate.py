"""Schema set-up and upgrades with Alembic. An empty database is created by itself; an upgrade is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from agent_runtime.errors import SchemaMismatch, StoreUnavailable
from agent_runtime.store.damage import find_damage
from agent_runtime.store.revision import HEAD, VERSION_TABLE, is_served
from agent_runtime.store.sqlite import connect, create_private
from agent_runtime.store.url import parse_database_url

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import URL, Connection

__all__ = ["HEAD", "prepare_postgres", "prepare_sqlite", "upgrade_database", "upgrade_postgres", "upgrade_sqlite"]

_ALEMBIC = threading.Lock()
"""Alembic keeps the migration that it runs in globals: one at a time in a process."""

_ONE_AT_A_TIME = 0x436F756E74657273
"""The advisory lock under which a PostgreSQL schema is changed ("Counters" in ASCII)."""

_TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
"""
"""Tables of the schema that is written to, but for those of extensions."""


def upgrade_database(database_url: str) -> None:
    """Brings the schema of `database_url` to `HEAD`; safe to run again, and while others start.

    Raises InvalidSetting, SchemaMismatch where the database holds something else, StoreUnavailable.
    """
    url = parse_database_url(database_url)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        _refuse_newer(_found_in_file(path))
        upgrade_sqlite(path)
    else:
        asyncio.run(_upgrade_found(url))


def prepare_sqlite(path: Path) -> None:
    """Creates the schema in a new file; refuses a corrupt one and one of another revision."""
    if _needs_schema(_found_in_file(path)):
        upgrade_sqlite(path)


async def prepare_postgres(url: URL) -> None:
    """Creates the schema in an empty database; refuses one of another revision."""
    if _needs_schema(await _found_on_server(url)):
        await upgrade_postgres(url)


def upgrade_sqlite(path: Path) -> None:
    """Brings the file to `HEAD`, in one transaction (processes that start at once wait for each other)."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine("sqlite://", creator=lambda: connect(path), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with _ALEMBIC, engine.begin() as connection:
            _upgrade(connection)
    except DBAPIError as error:
        raise StoreUnavailable(f"the schema of {path.name} cannot be brought to {HEAD}: {error.orig}") from error
    finally:
        engine.dispose()


async def upgrade_postgres(url: URL) -> None:
    """Brings the database to `HEAD`, in one transaction under an advisory lock."""
    await asyncio.to_thread(_upgrade_postgres_apart, url)


def _upgrade_postgres_apart(url: URL) -> None:
    """In a thread with a loop of its own: one that waits for its turn is not to stop the loop of the one before."""
    with _ALEMBIC:
        asyncio.run(_upgrade_on_server(url))


async def _upgrade_on_server(url: URL) -> None:
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    from agent_runtime.store.postgres.connecting import MIGRATING
    from agent_runtime.store.postgres.connecting import connect as connect_postgres

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect_postgres(url, MIGRATING),
        poolclass=NullPool,
    )
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
            await connection.run_sync(_upgrade)
    except DBAPIError as error:
        raise StoreUnavailable(f"the schema cannot be brought to {HEAD}: {error.orig}") from error
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    """Runs every outstanding migration on `connection`, within its transaction."""
    from alembic import command

    command.upgrade(_config(connection), "head")


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _needs_schema(found: str | None) -> bool:
    """Whether the schema is to be created; raises SchemaMismatch for one that this version cannot work with.

    The next revision is no hindrance: it only adds, so that servers of this version go on while others are deployed.
    """
    if found is not None and is_served(found):
        return False
    if found is not None and found < HEAD:
        raise SchemaMismatch(
            f"the database is at revision {found}, this version needs {HEAD}; run `countersign db upgrade`"
        )
    if found is not None:
        raise SchemaMismatch(
            f"the database is at revision {found}, which is newer than this version's {HEAD} by more than one step; "
            "run the version that upgraded it"
        )
    return True


def _refuse_newer(found: str | None) -> None:
    """A newer version's migrations are not known here."""
    if found is not None and found > HEAD:
        raise SchemaMismatch(
            f"the database is at revision {found}, newer than this version's {HEAD}; nothing was changed"
        )


async def _upgrade_found(url: URL) -> None:
    _refuse_newer(await _found_on_server(url))
    await upgrade_postgres(url)


async def _found_on_server(url: URL) -> str | None:
    """The revision; None for an empty database. Raises SchemaMismatch where it holds something else."""
    from agent_runtime.store.postgres.connecting import MIGRATING
    from agent_runtime.store.postgres.connecting import connect as connect_postgres

    connection = await connect_postgres(url, MIGRATING)
    try:
        tables = {row["relname"] for row in await connection.fetch(_TABLES)}
        if VERSION_TABLE in tables:
            return str(await connection.fetchval(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    finally:
        await connection.close()
    _refuse_others(tables, f"the database {url.database!r}")
    return None


def _found_in_file(path: Path) -> str | None:
    """The revision; None for a new file. Raises SchemaMismatch, or StoreUnavailable where the file is corrupt.

    Looks without our settings: they would change a file of somebody else's.
    """
    create_private(path)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection:
            if damage := find_damage(connection, path.stat().st_size):
                raise StoreUnavailable(f"the database {path.name} is corrupt ({damage}); restore it from a backup")
            named = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            tables = {name for (name,) in named}
            if VERSION_TABLE in tables:
                return str(connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()[0])  # noqa: S608
    except sqlite3.DatabaseError as error:
        raise StoreUnavailable(f"the database {path.name} cannot be opened: {error}") from error
    _refuse_others(tables, path.name)
    return None


def _refuse_others(tables: set[str], where: str) -> None:
    if tables:
        raise SchemaMismatch(
            f"{where} holds tables of something else ({', '.join(sorted(tables)[:3])} …); "
            "name an empty database in COUNTERSIGN_DATABASE_URL"
        )
