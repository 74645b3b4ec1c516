"""`countersign db`."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from agent_runtime.store.revision import HEAD, VERSION_TABLE
from tests.cli.command import Command
from tests.databases import sqlite_url


async def test_upgrade_creates_the_schema_and_may_be_run_again(bare: Command) -> None:
    first, second = await asyncio.gather(bare.done("db", "upgrade"), bare.done("db", "upgrade"))
    assert first.out == second.out == f"the schema is at revision {HEAD}\n"
    assert (bare.folder / "countersign.db").exists()
    assert (await bare.done("executions", "list")).out == "no executions\n"


async def test_an_older_schema_is_refused_by_name_until_it_is_upgraded(countersign: Command) -> None:
    set_revision(countersign.folder / "countersign.db", "0000")
    answer = await countersign("executions", "list")
    assert answer.status == 1
    assert "revision 0000" in answer.err
    assert "countersign db upgrade" in answer.err


async def test_somebody_elses_database_is_left_alone(bare: Command) -> None:
    path = bare.folder / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (id)")
    answer = await bare("db", "upgrade", COUNTERSIGN_DATABASE_URL=sqlite_url(path))
    assert answer.status == 1
    assert "customers" in answer.err
    assert tables(path) == {"customers"}


async def test_a_file_that_is_no_database(bare: Command) -> None:
    (bare.folder / "countersign.db").write_text("this is a text, and long enough to be none of SQLite's headers")
    answer = await bare("executions", "list")
    assert answer.status == 1
    assert "countersign.db" in answer.err
    assert "Traceback" not in answer.err


def set_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", [revision])
        connection.commit()


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
