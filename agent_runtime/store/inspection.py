"""Looks at a database without changing it: is it there, whose is it, may we write, is a commit durable."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_runtime.errors import StoreUnavailable
from agent_runtime.store.revision import VERSION_TABLE
from agent_runtime.store.sqlite import connect
from agent_runtime.store.url import parse_database_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}

_FULL = 2

_SERVER = """
SELECT current_setting('server_version') AS version, current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('fsync') AS fsync, has_schema_privilege(current_schema(), 'CREATE') AS may_create
"""
_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT EXISTS (
    SELECT FROM pg_depend WHERE objid = pg_class.oid AND classid = 'pg_class'::regclass AND deptype = 'e')
"""
"""But for those of extensions."""

_MAY_WRITE = """
SELECT bool_and(has_table_privilege('approvals', privilege))
FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. `revision` is None where the schema is yet to be created; `exists` is False for a SQLite file
    that is not there. `durability` names what decides it, with its values. `others` are tables of something else, where
    the database is not ours.
    """

    where: str
    exists: bool
    revision: str | None
    durable: bool
    durability: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()


async def inspect_database(database_url: str) -> Inspection:
    """Looks at `database_url`. Raises InvalidSetting, or StoreUnavailable where it can't be opened or written."""
    url = parse_database_url(database_url)
    if url.get_backend_name() == "sqlite":
        return await asyncio.to_thread(_inspect_file, Path(url.database or ""))
    return await _inspect_server(url)


def _inspect_file(path: Path) -> Inspection:
    path = path.absolute()
    if not path.exists():
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise StoreUnavailable(f"{path} does not exist, and its folder may not be written")
        return Inspection(str(path), exists=False, revision=None, durable=True)
    try:
        tables = _tables(path)
        if tables and VERSION_TABLE not in tables:
            return Inspection(str(path), exists=True, revision=None, durable=True, others=tuple(sorted(tables)))
        with closing(connect(path)) as connection:
            return _inspect_ours(path, connection, new=not tables)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path} cannot be opened and written: {error}") from error


def _tables(path: Path) -> set[str]:
    """What the file holds, found without our settings: they would change a file of somebody else's."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _inspect_ours(path: Path, connection: sqlite3.Connection, *, new: bool) -> Inspection:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreUnavailable(f"{path} is corrupt ({found}); restore it from a backup")
    revision = None
    if not new:
        revision = str(connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()[0])  # noqa: S608
    synchronous = int(connection.execute("PRAGMA synchronous").fetchone()[0])
    journal = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")
    return Inspection(
        str(path),
        exists=True,
        revision=revision,
        durable=synchronous >= _FULL,
        durability={"synchronous": _SYNCHRONOUS.get(synchronous, str(synchronous)), "journal_mode": journal},
    )


async def _inspect_server(url: URL) -> Inspection:
    from agent_runtime.store.postgres.connecting import READING, disconnect
    from agent_runtime.store.postgres.connecting import connect as connect_postgres
    from agent_runtime.store.postgres.faults import is_drivers

    connection = await connect_postgres(url, READING)
    try:
        return await _inspect_connected(url, connection)
    except Exception as error:
        if not is_drivers(error):
            raise
        raise StoreUnavailable(f"the database {url.database} cannot be looked at: {error}") from error
    finally:
        await disconnect(connection)


async def _inspect_connected(url: URL, connection: Any) -> Inspection:
    server = await connection.fetchrow(_SERVER)
    tables = {row["relname"] for row in await connection.fetch(_TABLES)}
    revision = None
    others: tuple[str, ...] = ()
    if VERSION_TABLE in tables:
        revision = str(await connection.fetchval(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
        if not await connection.fetchval(_MAY_WRITE):
            raise StoreUnavailable("this user may not write the tables; GRANT SELECT, INSERT, UPDATE, DELETE on them")
    elif tables:
        others = tuple(sorted(tables))
    elif not server["may_create"]:
        raise StoreUnavailable("this user may not create the tables; GRANT CREATE on the schema")
    durability = {"synchronous_commit": str(server["synchronous_commit"]), "fsync": str(server["fsync"])}
    return Inspection(
        f"PostgreSQL {server['version']} at {url.host or 'localhost'}, database {url.database}",
        exists=True,
        revision=revision,
        durable="off" not in durability.values(),
        durability=durability,
        others=others,
    )
