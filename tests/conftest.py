"""Fixtures for every test: databases (see tests/databases.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import structlog

from agent_runtime.store.database import Database
from tests.clock import Clock
from tests.databases import (
    KINDS,
    PostgresServer,
    copy_of_sqlite,
    set_postgres_time,
    sqlite_template,
    sqlite_url,
)
from tests.postgres import server_url

OpenDatabase = Callable[[], Awaitable[Database]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--databases",
        default=",".join(KINDS),
        help="comma-separated kinds of database to run on: sqlite, postgresql (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "databases(*kinds): runs on these kinds of database only")
    unknown = set(_wanted(config)) - set(KINDS)
    if unknown:
        raise pytest.UsageError(f"--databases: {', '.join(sorted(unknown))} is unknown; write {','.join(KINDS)}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("databases")
        kinds = [kind for kind in _wanted(metafunc.config) if marker is None or kind in marker.args]
        metafunc.parametrize("database_kind", kinds)


def _wanted(config: pytest.Config) -> list[str]:
    return [kind.strip() for kind in str(config.getoption("--databases")).split(",") if kind.strip()]


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    """What a test configures (the SDK quietens a script's logs) ends with it."""
    before = structlog.get_config() if structlog.is_configured() else None
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


@pytest.fixture(scope="session")
def sqlite_schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that holds the schema, to be copied."""
    return sqlite_template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server of this pytest process's own, or the one that COUNTERSIGN_TEST_POSTGRES_URL names."""
    with server_url() as url:
        server = PostgresServer(url)
        server.create_template()
        yield server
        server.drop_everything()


@pytest.fixture
async def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A database of this test's own, with the schema in it."""
    if database_kind == "sqlite":
        yield copy_of_sqlite(request.getfixturevalue("sqlite_schema"), tmp_path)
    else:
        async with request.getfixturevalue("postgres_server").database() as url:
            yield url


@pytest.fixture
async def empty_database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A database of this test's own, without a schema."""
    if database_kind == "sqlite":
        yield sqlite_url(tmp_path / "empty.db")
    else:
        async with request.getfixturevalue("postgres_server").empty_database() as url:
            yield url


@pytest.fixture
async def clock(database_kind: str, database_url: str) -> Clock:
    """The time of this test's database."""
    clock = Clock(partial(set_postgres_time, database_url) if database_kind == "postgresql" else None)
    await clock.advance(0)
    return clock


@pytest.fixture
async def open_database(database_url: str, clock: Clock) -> AsyncIterator[OpenDatabase]:
    """Opens one more Database on this test's database, as another process would."""
    async with AsyncExitStack() as stack:

        async def open_one() -> Database:
            return await stack.enter_async_context(await Database.open(database_url, clock=clock))

        yield open_one


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """An open, empty database whose time is `clock`."""
    return await open_database()
