"""Schema set-up and upgrades with Alembic. An empty database is created by itself; an upgrade is asked for."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from agent_runtime.errors import SchemaMismatch, StoreUnavailable
from agent_runtime.store.sqlite import connect

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

HEAD = "0001"
"""The revision that this version needs; a test holds it to the newest file in migrations/versions."""


def prepare_sqlite(path: Path) -> None:
    """Creates the schema in a new file; refuses a corrupt one and one of another revision."""
    try:
        connection = connect(path)
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise StoreUnavailable(f"the database {path.name} is corrupt ({found}); restore it from a backup")
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            revision = (
                connection.execute("SELECT version_num FROM alembic_version").fetchone()
                if "alembic_version" in tables
                else None
            )
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise StoreUnavailable(f"the database {path.name} cannot be opened: {error}") from error
    if revision is None and tables - {"alembic_version"}:
        raise SchemaMismatch(
            f"{path.name} holds tables of something else; name another file in COUNTERSIGN_DATABASE_URL"
        )
    if revision is None:
        upgrade_sqlite(path)
    elif revision[0] != HEAD:
        raise SchemaMismatch(
            f"the database is at revision {revision[0]}, this version needs {HEAD}; run `countersign db upgrade`"
        )


def upgrade_sqlite(path: Path) -> None:
    """Brings the file to `HEAD`, in one transaction (processes that start at once wait for each other)."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import NullPool

    engine = create_engine("sqlite://", creator=lambda: connect(path), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.connect() as connection, connection.begin():
        upgrade(connection)
    engine.dispose()


def upgrade(connection: Connection) -> None:
    """Runs every outstanding migration on `connection`, within its transaction."""
    from alembic import command

    command.upgrade(_config(connection), "head")


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
