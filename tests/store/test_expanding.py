"""A schema only grows, so that the version before runs on it while others are deployed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from agent_runtime.core.execution import ExecutionStatus
from agent_runtime.errors import SchemaMismatch
from agent_runtime.operations.advance import complete
from agent_runtime.store.database import Database
from agent_runtime.store.migrate import _config, upgrade_database
from agent_runtime.store.revision import HEAD, VERSION_TABLE, is_newer, is_served
from tests.flow import Flow
from tests.store.test_open import execute

NEXT = f"{int(HEAD) + 1:04}"

Shape = dict[str, dict[str, tuple[str, bool]]]
"""Tables with their columns: type, and whether a row needs it."""


def shape(connection: Connection) -> tuple[Shape, set[Any]]:
    """Tables and columns, and what must be unique."""
    found = inspect(connection)
    tables: Shape = {}
    unique: set[Any] = set()
    for table in set(found.get_table_names()) - {VERSION_TABLE}:
        columns = found.get_columns(table)
        tables[table] = {
            column["name"]: (str(column["type"]), not column["nullable"] and column["default"] is None)
            for column in columns
        }
        unique |= {(table, tuple(index["column_names"])) for index in found.get_indexes(table) if index["unique"]}
        unique |= {(table, tuple(one["column_names"])) for one in found.get_unique_constraints(table)}
    return tables, unique


def breaks(before: tuple[Shape, set[Any]], after: tuple[Shape, set[Any]]) -> list[str]:
    """What the version before could not work with."""
    found = []
    for table, columns in before[0].items():
        now = after[0].get(table)
        if now is None:
            found.append(f"{table} is gone")
            continue
        found += [f"{table}.{name} is gone" for name in columns if name not in now]
        found += [f"{table}.{name} changed" for name, was in columns.items() if name in now and now[name] != was]
        found += [f"{table}.{name} is needed" for name in now if name not in columns and now[name][1]]
    found += [f"{table} {columns} must be unique" for table, columns in after[1] - before[1] if table in before[0]]
    return found


def test_every_migration_only_adds(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'growing.db'}", poolclass=NullPool)
    with engine.begin() as connection:
        config = _config(connection)
        revisions = [one.revision for one in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))]
        assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
        command.upgrade(config, revisions[0])
        for revision in revisions[1:]:
            before = shape(connection)
            command.upgrade(config, revision)
            assert breaks(before, shape(connection)) == []
    assert shape(engine.connect())[0]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("ALTER TABLE tokens ADD COLUMN note TEXT", []),
        ("ALTER TABLE tokens ADD COLUMN uses INTEGER NOT NULL DEFAULT 0", []),
        ("CREATE TABLE notes (id INTEGER NOT NULL)", []),
        ("CREATE INDEX ix_more ON tokens (principal)", []),
        ("ALTER TABLE tokens DROP COLUMN created_by", ["tokens.created_by is gone"]),
        (
            "ALTER TABLE tokens RENAME COLUMN created_by TO maker",
            ["tokens.created_by is gone", "tokens.maker is needed"],
        ),
        ("DROP TABLE inbox", ["inbox is gone"]),
        ("CREATE UNIQUE INDEX uq_more ON tokens (principal)", ["tokens ('principal',) must be unique"]),
    ],
)
def test_the_rule_finds_what_breaks_it(sqlite_schema: Path, tmp_path: Path, change: str, broken: list[str]) -> None:
    path = tmp_path / "changed.db"
    path.write_bytes(sqlite_schema.read_bytes())
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        before = shape(connection)
        connection.execute(text(change))
        assert breaks(before, shape(connection)) == broken


async def test_this_version_works_on_the_next_schema(database_url: str) -> None:
    """What the next version may add: tables, columns that may be left out, indexes."""
    for change in (
        "ALTER TABLE executions ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE approvals ADD COLUMN labels TEXT",
        "ALTER TABLE steps ADD COLUMN cost INTEGER",
        "ALTER TABLE events ADD COLUMN origin TEXT",
        "CREATE TABLE labels (name TEXT NOT NULL)",
        f"UPDATE {VERSION_TABLE} SET version_num = '{NEXT}'",
    ):
        await execute(database_url, change)
    async with await Database.open(database_url) as database:
        flow = await Flow.asked(database)
        await flow.resolve()
        await flow.claim()
        await flow.finish_call(await flow.start_call())
        await database.write(
            complete, flow.held, ExecutionStatus.succeeded, output={"result": "done"}, finish_reason="STOP"
        )
        assert (await flow.execution()).status == "succeeded"


@pytest.mark.databases("sqlite")
async def test_an_older_version_does_not_touch_a_newer_schema(database_url: str) -> None:
    await execute(database_url, f"UPDATE {VERSION_TABLE} SET version_num = '{NEXT}'")
    with pytest.raises(SchemaMismatch, match="nothing was changed"):
        upgrade_database(database_url)


def test_which_revisions_are_served() -> None:
    assert [is_served(one) for one in (HEAD, NEXT, "0000", f"{int(HEAD) + 2:04}", "x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert [is_newer(one) for one in (HEAD, NEXT, f"{int(HEAD) + 2:04}")] == [False, False, True]


def test_a_large_file_is_looked_at_for_a_bounded_time(
    sqlite_schema: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent_runtime.errors import StoreUnavailable
    from agent_runtime.store import damage
    from agent_runtime.store.migrate import prepare_sqlite

    monkeypatch.setattr(damage, "WHOLE", 0)
    path = tmp_path / "large.db"
    path.write_bytes(sqlite_schema.read_bytes())
    prepare_sqlite(path)
    with closing(sqlite3.connect(path)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'tokens'").fetchone()[0]
    whole = bytearray(path.read_bytes())
    whole[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(whole)
    with pytest.raises(StoreUnavailable, match=r"corrupt|malformed"):
        prepare_sqlite(path)
    monkeypatch.setattr(damage, "SECONDS", 0)
    prepare_sqlite(path)
