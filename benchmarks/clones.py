"""Many parked executions in a SQLite file: copies of one that the product itself has parked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.product import Product

TABLES = ("executions", "steps", "approvals")
_NEW = {
    "execution_id": "'exe_c' || printf('%031d', number)",
    "approval_request_id": "iif(approval_request_id IS NULL, NULL, 'apr_c' || printf('%031d', number))",
    "created_at": "created_at + number",
}


def clone_id(number: int) -> str:
    """The id of copy `number`, from 1 on."""
    return f"exe_c{number:031d}"


async def parked_file(path: Path, count: int) -> None:
    """Makes `path` a database in which `count` executions wait for people."""
    product = await Product.open(f"sqlite+aiosqlite:///{path}")
    await product.start(0)
    await product.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in TABLES:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(_NEW.get(column, column) for column in columns)
            connection.execute(
                "WITH RECURSIVE numbers(number) AS"
                f" (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {count})"
                f" INSERT INTO {table} SELECT {values} FROM {table} CROSS JOIN numbers"
            )
        connection.execute("ANALYZE")
