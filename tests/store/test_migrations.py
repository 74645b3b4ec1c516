"""The migrations add up to the schema that the statements are written for."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import asyncpg
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from agent_runtime.store import migrate
from agent_runtime.store.indexes import metadata
from agent_runtime.store.migrate import upgrade_database
from agent_runtime.store.revision import HEAD, VERSION_TABLE

_POSTGRES_TABLES = """
SELECT c.relname || ' ' || string_agg(
    a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END ||
    coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), ''), ', ' ORDER BY a.attnum)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
GROUP BY c.relname
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT viewname || ' ' || definition FROM pg_views WHERE schemaname = 'public'
UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
"""


async def shape(url: str) -> set[str]:
    """What the database holds, in words; but for the revision."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(make_url(url).database or "")) as connection:
            rows = connection.execute(
                "SELECT name || ' ON ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_master"
            )
            found = {" ".join(sql.split()) for (sql,) in rows}
    else:
        link = await asyncpg.connect(url.replace("+asyncpg", ""))
        found = {str(row[0]) for row in await link.fetch(_POSTGRES_TABLES)}
        await link.close()
    return {sql for sql in found if VERSION_TABLE not in sql}


async def drop_everything(url: str) -> None:
    if url.startswith("sqlite"):
        Path(make_url(url).database or "").unlink()
    else:
        link = await asyncpg.connect(url.replace("+asyncpg", ""))
        await link.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await link.close()


async def create_as_in_the_schema(url: str) -> None:
    if url.startswith("sqlite"):
        engine = create_engine(f"sqlite:///{make_url(url).database}", poolclass=NullPool)
        metadata.create_all(engine)
    else:
        asynchronous = create_async_engine(url, poolclass=NullPool)
        async with asynchronous.begin() as connection:
            await connection.run_sync(metadata.create_all)


async def test_the_migrations_add_up_to_the_schema(empty_database_url: str) -> None:
    await asyncio.to_thread(upgrade_database, empty_database_url)
    migrated = await shape(empty_database_url)
    assert len(migrated) > len(metadata.tables)
    await drop_everything(empty_database_url)
    await create_as_in_the_schema(empty_database_url)
    assert migrated == await shape(empty_database_url)


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]
