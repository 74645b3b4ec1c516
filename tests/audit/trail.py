"""A trail to tamper with: what a few executions leave, sealed; and a database administrator's way around the guards."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from agent_runtime.audit.export import Selection, export
from agent_runtime.audit.sealer import Sealer
from agent_runtime.core.audit import Head
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.store.audit import CHAINED
from agent_runtime.store.database import Database
from tests.flow import Flow

KEY = "a key that is used for nothing but these tests"


async def some_history(database: Database) -> Flow:
    """An execution whose gated call was approved and ran; sealed."""
    flow = await Flow.asked(database)
    await flow.resolve()
    await flow.claim()
    await flow.finish_call(await flow.start_call())
    await Sealer(database).seal_pending()
    return flow


async def exported(database: Database, key: str = KEY, **selection: object) -> list[bytes]:
    """The lines of an export."""
    wanted = Selection(**selection)  # type: ignore[arg-type]
    return [line async for line in export(database, wanted, key=key, by=LOCAL_OPERATOR, via=Via.cli)]


async def chain(database: Database) -> list[object]:
    """Every seal with its event."""
    return list(await database.all(CHAINED, b_after=0, b_until=1_000_000, b_limit=100_000))


async def head(database: Database) -> Head:
    return await Sealer(database).seal_pending()


async def as_administrator(url: str, *statements: str) -> None:
    """Runs SQL as somebody who drops the guards first."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(Path(make_url(url).database or ""))) as connection:
            for table in ("events", "seals"):
                for verb in ("update", "delete"):
                    connection.execute(f"DROP TRIGGER IF EXISTS {table}_no_{verb}")
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return
    link = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await link.execute("SET session_replication_role = replica")
        for statement in statements:
            await link.execute(statement)
    finally:
        await link.close()
