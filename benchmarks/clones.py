"""Many parked executions in a SQLite file: copies of one that the product itself has parked, events, seals and all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from agent_runtime.audit.sealer import Sealer
from agent_runtime.store.database import Database
from benchmarks.product import Product

TABLES = {
    "executions": "execution_id",
    "steps": "execution_id",
    "approvals": "execution_id",
    "events": "execution_id",
    "receipts": "subject",
}
"""What a parked execution has, and the column that says whose it is."""

NAMED = frozenset({"execution_id", "approval_request_id", "stream", "subject", "idempotency_key"})
"""Columns that name an execution or an approval."""


def clone_id(number: int) -> str:
    """The id of copy `number`, from 1 on."""
    return f"exe_c{number:031d}"


async def parked_file(path: Path, count: int, kind: type[Product] = Product) -> None:
    """Makes `path` a database in which `count` executions, and the one they are copies of, wait for people."""
    product = await kind.open(f"sqlite+aiosqlite:///{path}")
    execution_id = await product.start(0)
    await product.settled()
    await product.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        [approval_id] = connection.execute("SELECT approval_request_id FROM approvals").fetchone()
        for table, whose in TABLES.items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "event_id"]
            values = ", ".join(_value(column, execution_id, approval_id) for column in columns)
            connection.execute(
                "WITH RECURSIVE numbers(number) AS"
                f" (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {count})"
                f" INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM numbers CROSS JOIN {table}"
                f" WHERE {table}.{whose} IN ('{execution_id}', '{approval_id}')"
            )
    async with await Database.open(f"sqlite+aiosqlite:///{path}") as database:
        await Sealer(database).seal_pending()


def _value(column: str, execution_id: str, approval_id: str) -> str:
    if column == "created_at":
        return "created_at + number"
    if column not in NAMED:
        return column
    copied = f"replace({column}, '{execution_id}', printf('exe_c%031d', number))"
    return f"replace({copied}, '{approval_id}', printf('apr_c%031d', number))"
