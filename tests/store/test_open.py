"""Opening a database: an empty one is set up, one that cannot be used is refused with the reason and the remedy."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from agent_runtime.errors import InvalidSetting, SchemaMismatch, StoreUnavailable
from agent_runtime.store.database import Database
from agent_runtime.store.migrate import upgrade_database
from agent_runtime.store.revision import HEAD, REVISION, VERSION_TABLE
from agent_runtime.store.sqlite import connect
from agent_runtime.store.url import parse_database_url
from tests.databases import run_sql
from tests.store.work import insert, keys

SECRET = "s3cret/p@ss"


async def execute(url: str, sql: str) -> None:
    """Runs SQL in a database of either kind."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(make_url(url).database or "")) as connection:
            connection.executescript(sql)
    else:
        await run_sql(url, sql)


async def test_several_empty_databases_are_set_up_at_once(empty_database_url: str, tmp_path: Path) -> None:
    """Programs may open several runtimes side by side; Alembic itself knows one migration at a time."""
    urls = [empty_database_url, *(f"sqlite+aiosqlite:///{tmp_path / f'{number}.db'}" for number in range(3))]
    for database in await asyncio.gather(*map(Database.open, urls)):
        async with database:
            assert await database.write(insert, "a") == "a"


async def test_an_empty_database_is_set_up(empty_database_url: str) -> None:
    async with await Database.open(empty_database_url) as database:
        assert await database.write(insert, "a") == "a"
        revision = await database.one(REVISION)
        assert revision is not None
        assert revision.version_num == HEAD
    async with await Database.open(empty_database_url) as database:
        assert await keys(database) == ["a"]


async def test_many_that_open_an_empty_database_at_once(empty_database_url: str) -> None:
    databases = await asyncio.gather(*(Database.open(empty_database_url) for _ in range(4)))
    for number, database in enumerate(databases):
        await database.write(insert, str(number))
    assert await keys(databases[0]) == ["0", "1", "2", "3"]
    for database in databases:
        await database.close()


async def test_upgrading(empty_database_url: str) -> None:
    for _ in range(2):  # safe to run again
        await asyncio.to_thread(upgrade_database, empty_database_url)
    async with await Database.open(empty_database_url) as database:
        assert await database.write(insert, "a") == "a"


async def test_a_database_of_something_else_is_left_alone(empty_database_url: str) -> None:
    await execute(empty_database_url, "CREATE TABLE customers (name text)")
    with pytest.raises(SchemaMismatch, match=r"customers .* name an empty database in COUNTERSIGN_DATABASE_URL"):
        await Database.open(empty_database_url)
    with pytest.raises(SchemaMismatch):
        await asyncio.to_thread(upgrade_database, empty_database_url)
    await execute(empty_database_url, "DROP TABLE customers")
    async with await Database.open(empty_database_url) as database:
        assert await keys(database) == []


@pytest.mark.parametrize(("revision", "remedy"), [("0000", "run `countersign db upgrade`"), ("9999", "newer than")])
async def test_another_revision_is_refused(database_url: str, revision: str, remedy: str) -> None:
    await execute(database_url, f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")
    with pytest.raises(SchemaMismatch, match=f"at revision {revision}.*{remedy}"):
        await Database.open(database_url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "no database URL"),
        ("postgresql://u:pw@h:port/db", "no database URL"),
        ("mysql://u:pw@h/db", "'mysql' is not supported"),
        ("postgresql+psycopg://u:pw@h/db", "'postgresql\\+psycopg' is not supported"),
        ("postgresql://u:pw@h", "names no database"),
        ("sqlite://", "needs a file"),
        ("sqlite+aiosqlite:///:memory:", "needs a file"),
        ("sqlite:////nowhere/at/all/x.db", "the folder /nowhere/at/all does not exist"),
    ],
)
def test_a_url_that_cannot_be_used(url: str, says: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^COUNTERSIGN_DATABASE_URL: .*{says}") as refused:
        parse_database_url(url)
    assert "pw" not in refused.value.message


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_every_spelling_of_postgresql(scheme: str) -> None:
    assert parse_database_url(f"{scheme}://h/db").drivername == "postgresql+asyncpg"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def refused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def refusal(url: str) -> str:
    """Why `url` cannot be opened."""
    with pytest.raises(StoreUnavailable) as refused:
        await Database.open(url)
    assert refused.value.message.startswith("COUNTERSIGN_DATABASE_URL: ")
    assert SECRET not in refused.value.message
    return refused.value.message


async def test_nothing_listens(refused_port: int) -> None:
    said = await refusal(f"postgresql://u:s3cret%2Fp%40ss@127.0.0.1:{refused_port}/db")
    assert f"127.0.0.1:{refused_port} cannot be reached" in said
    assert "is PostgreSQL running there?" in said


async def test_the_host_is_unknown() -> None:
    assert "the host is unknown" in await refusal("postgresql://u:s3cret%2Fp%40ss@nowhere.invalid/db")


async def test_the_server_says_nothing(silent_port: int) -> None:
    assert "did not answer within 5 s" in await refusal(f"postgresql://u:pw@127.0.0.1:{silent_port}/db")


@pytest.mark.databases("postgresql")
async def test_the_database_does_not_exist(database_url: str) -> None:
    url = make_url(database_url).set(database="not_there").render_as_string(hide_password=False)
    assert "has no database 'not_there'; create it" in await refusal(url)


@pytest.mark.databases("postgresql")
async def test_the_password_is_wrong(database_url: str) -> None:
    role = make_url(database_url).database  # as unique as the database
    await run_sql(database_url, f"CREATE ROLE \"with_password_{role}\" LOGIN PASSWORD 'right'")
    try:
        url = make_url(database_url).set(username=f"with_password_{role}", password=SECRET)
        said = await refusal(url.render_as_string(hide_password=False))
        assert "refused the user" in said
        assert "check user and password" in said
    finally:
        await run_sql(database_url, f'DROP ROLE "with_password_{role}"')


@pytest.mark.databases("postgresql")
async def test_a_user_who_may_not_create_tables(empty_database_url: str) -> None:
    role = make_url(empty_database_url).database
    await run_sql(empty_database_url, f'CREATE ROLE "{role}" LOGIN')
    try:
        url = make_url(empty_database_url).set(username=role).render_as_string(hide_password=False)
        with pytest.raises(StoreUnavailable, match="permission denied for schema public"):
            await Database.open(url)
    finally:
        await run_sql(empty_database_url, f'DROP ROLE "{role}"')


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    "damage", [lambda whole: b"x" * 100 + whole[100:], lambda whole: whole[:4096] + b"\xff" * 8192]
)
async def test_a_corrupt_file_is_refused(database_url: str, damage: object) -> None:
    path = Path(make_url(database_url).database or "")
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match=r"countersign\.db (is corrupt|cannot be opened)"):
        await Database.open(database_url)
    assert path.read_bytes() == before


@pytest.mark.databases("sqlite")
async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Remember the milk.\n" * 1000)
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        await Database.open(f"sqlite:///{path}")
    assert path.read_text() == "Remember the milk.\n" * 1000


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """What a shell gives its programs: others may read what they write."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.db*") if path.is_file()}


@pytest.mark.databases("sqlite")
@pytest.mark.usefixtures("usual_umask")
async def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "linked.db").symlink_to(tmp_path / "elsewhere.db")
    async with await Database.open(f"sqlite:///{tmp_path / 'new.db'}") as database:
        await database.write(insert, "a")
        assert modes(tmp_path) == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}
    await asyncio.to_thread(upgrade_database, f"sqlite:///{tmp_path / 'linked.db'}")
    assert modes(tmp_path)["elsewhere.db"] == 0o600


@pytest.mark.databases("sqlite")
@pytest.mark.usefixtures("usual_umask")
async def test_a_file_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    path.touch(0o640)
    async with await Database.open(f"sqlite:///{path}") as database:
        await database.write(insert, "a")
        assert modes(tmp_path) == {"shared.db": 0o640, "shared.db-wal": 0o640, "shared.db-shm": 0o640}


@pytest.mark.databases("sqlite")
async def test_where_no_file_can_be_made(tmp_path: Path) -> None:
    missing = tmp_path / "linked.db"
    missing.symlink_to(tmp_path / "nowhere" / "countersign.db")
    with pytest.raises(StoreUnavailable, match=r"linked\.db cannot be opened: unable to open database file"):
        await Database.open(f"sqlite:///{missing}")


class ToldThatItIsLocked(sqlite3.Connection):
    """As SQLite tells, at once and whatever the timeout, one of two that switch a new file to WAL at one moment."""

    told = 0

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if "journal_mode" in sql and self.told < 2:
            self.told += 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        return super().execute(sql, *args)


def test_a_new_file_that_another_process_switches_to_wal_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=ToldThatItIsLocked))
    with contextlib.closing(connect(tmp_path / "new.db")) as connection:
        assert isinstance(connection, ToldThatItIsLocked)
        assert connection.told == 2
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
