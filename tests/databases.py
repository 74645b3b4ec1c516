"""Databases for tests. The fixtures are in tests/conftest.py; any test may ask for them:

`database`
    An open, empty `agent_runtime.store.database.Database` on which time stands still until `clock` moves it. A test
    that asks for it (or for any of the fixtures below) runs once a database: on SQLite and on PostgreSQL.
`clock`
    Its time (`tests.clock.Clock`): `clock.now`, `await clock.advance(15 * MINUTE)`, `await clock.set(…)`. On both
    databases; every Database opened on the same URL sees it move. Pass `clock=clock` to what opens a URL itself.
`open_database`
    `await open_database()` opens one more Database on the same URL, as another process would; closed after the test.
`database_url`
    A database of the test's own with the schema in it, for what opens it itself (AgentRuntime, a process). Without
    `clock` its time is real.
`empty_database_url`
    The same without the schema.
`database_kind`
    "sqlite" or "postgresql".

`pytest --databases=sqlite` runs one kind only. `@pytest.mark.databases("sqlite")` holds a test to one kind, where the
other has nothing like what it tests. Tests may run in any order and in parallel: nothing is shared but the server.

How time is moved on PostgreSQL: the product asks the server for `clock_timestamp()`. A test's database holds a function
of that name, in front of PostgreSQL's own in the database's search_path, that answers with the time in a table of the
schema `tests` while there is one. The product knows nothing of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import uuid
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg

from agent_runtime.store.migrate import upgrade_postgres, upgrade_sqlite
from agent_runtime.store.revision import HEAD, VERSION_TABLE
from agent_runtime.store.schema import metadata
from agent_runtime.store.url import parse_database_url

KINDS = ("sqlite", "postgresql")

_MOVABLE_TIME = """
CREATE SCHEMA tests;
CREATE TABLE tests.time (now timestamptz NOT NULL);
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT coalesce((SELECT now FROM tests.time), pg_catalog.clock_timestamp())';
"""

_EMPTY = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid();
SET session_replication_role = replica;
{"".join(f"DELETE FROM {table};" for table in metadata.tables)}
SET session_replication_role = origin;
ALTER SEQUENCE events_event_id_seq RESTART;
ALTER SEQUENCE outbox_outbox_id_seq RESTART;
UPDATE {VERSION_TABLE} SET version_num = '{HEAD}';
DELETE FROM tests.time;
"""


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite+aiosqlite:///{path}"


def sqlite_template(folder: Path) -> Path:
    """A SQLite file that holds the schema and nothing else, to be copied."""
    path = folder / "template.db"
    upgrade_sqlite(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def copy_of_sqlite(template: Path, folder: Path) -> str:
    """The URL of a copy of `template` in `folder`."""
    path = folder / "countersign.db"
    shutil.copyfile(template, path)
    return sqlite_url(path)


class PostgresServer:
    """A server on which each test has a database of its own; one that is emptied again serves another test later."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._template = ""
        self._free: list[str] = []

    def create_template(self) -> None:
        """Makes the database that tests' databases are copies of."""
        self._template = name = _new_name("template")
        _apart(self._run(f'CREATE DATABASE "{name}"'))
        _apart(upgrade_postgres(parse_database_url(f"{self.url}/{name}")))
        _apart(run_sql(f"{self.url}/{name}", _MOVABLE_TIME))

    def drop_everything(self) -> None:
        for name in (*self._free, self._template):
            _apart(self._run(f'DROP DATABASE "{name}" WITH (FORCE)'))

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The URL of a database with the schema in it."""
        name = self._free.pop() if self._free else await self._copy()
        yield f"{self.url}/{name}"
        await run_sql(f"{self.url}/{name}", _EMPTY)
        self._free.append(name)

    @contextlib.asynccontextmanager
    async def empty_database(self) -> AsyncIterator[str]:
        """The URL of a database without a schema."""
        name = _new_name("test")
        await self._run(f'CREATE DATABASE "{name}"')
        try:
            yield f"{self.url}/{name}"
        finally:
            await self._run(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _copy(self) -> str:
        name = _new_name("test")
        await self._run(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}"')
        await self._run(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog')
        return name

    async def _run(self, sql: str) -> None:
        await run_sql(f"{self.url}/postgres", sql)


async def run_sql(url: str, sql: str, *arguments: object) -> None:
    """Runs SQL in a PostgreSQL database."""
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    try:
        await connection.execute(sql, *arguments)
    finally:
        await connection.close()


async def set_postgres_time(url: str, now: int) -> None:
    """Makes it `now` (epoch microseconds) in a test's database, until it is set again."""
    await run_sql(
        url,
        "WITH gone AS (DELETE FROM tests.time) "
        "INSERT INTO tests.time VALUES (timestamptz 'epoch' + $1::bigint * interval '1 microsecond')",
        now,
    )


def _new_name(purpose: str) -> str:
    return f"countersign_{purpose}_{uuid.uuid4().hex}"


def _apart(work: Coroutine[Any, Any, None]) -> None:
    """Runs `work` in a loop of its own, also where this thread has one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()
