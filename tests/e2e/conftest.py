"""Stacks for the end-to-end tests: one that walks share, and new ones for tests that break them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.databases import sqlite_url
from tests.e2e.process import ProductProcess, environment
from tests.e2e.room import Room
from tests.e2e.stack import VARIANTS, Stack, Variant, open_stack

NewStack = Callable[..., Awaitable[Stack]]
StartDemo = Callable[..., ProductProcess]

TEMPORARY = "temporary"
"""Where a demo's own folder is made, below the one in which it was started."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "variants(*names): end to end, runs on these only, such as sqlite-socket")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What asks for `variant` runs once a database and transport, as `--databases` and its marker allow."""
    if "variant" in metafunc.fixturenames:
        databases = str(metafunc.config.getoption("--databases")).replace(" ", "").split(",")
        marker = metafunc.definition.get_closest_marker("variants")
        named = set(map(str, VARIANTS)) if marker is None else set(marker.args)
        assert named <= set(map(str, VARIANTS)), named
        variants = [each for each in VARIANTS if each.database in databases and str(each) in named]
        metafunc.parametrize("variant", variants, ids=str, scope="package")


@asynccontextmanager
async def _database(variant: Variant, folder: Path, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """An empty database: the server makes the schema, as at anybody's first start."""
    if variant.database == "sqlite":
        yield sqlite_url(folder / "countersign.db")
    else:
        async with request.getfixturevalue("postgres_server").empty_database() as url:
            yield url


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def stack(
    variant: Variant, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """A stack that many walks share, each in a room of its own."""
    folder = tmp_path_factory.mktemp("stack")
    async with _database(variant, folder, request) as url, open_stack(variant, url, folder) as opened:
        yield opened


@pytest.fixture
def room(stack: Stack) -> Room:
    """A channel of the test's own."""
    return Room(stack, stack.new_room())


@pytest.fixture
async def new_stack(variant: Variant, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NewStack]:
    """Opens stacks of the test's own; keyword arguments as `open_stack` takes them."""
    async with AsyncExitStack() as opening:

        async def opened(**settings: Any) -> Stack:
            url = await opening.enter_async_context(_database(variant, tmp_path, request))
            return await opening.enter_async_context(open_stack(variant, url, tmp_path, **settings))

        yield opened


@pytest.fixture
async def start_demo(tmp_path: Path) -> AsyncIterator[StartDemo]:
    """Starts demos in an empty folder; settings by keyword."""
    started: list[ProductProcess] = []
    (tmp_path / TEMPORARY).mkdir()

    def demo(**settings: str) -> ProductProcess:
        ports = {"COUNTERSIGN_PORT": "0", "COUNTERSIGN_SANDBOX_PORT": "0", "TMPDIR": str(tmp_path / TEMPORARY)}
        given = environment(**ports | settings)
        started.append(ProductProcess.start([sys.executable, "-m", "bot", "demo"], given, tmp_path, "demo"))
        return started[-1]

    yield demo
    for each in started:
        await asyncio.to_thread(each.abandon)
