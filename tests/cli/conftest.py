"""`python -m bot …` as processes, in a folder and with settings of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.store.database import Database
from bot.sandbox.app import Sandbox, running_sandbox
from bot.sandbox.config import SandboxConfig
from tests.cli.command import Command
from tests.databases import copy_of_sqlite

StartSandbox = Callable[..., Awaitable[Sandbox]]


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Command]:
    """Commands in an empty folder, without any settings."""
    command = Command(tmp_path)
    yield command
    await command.close()


@pytest.fixture
def countersign(bare: Command, sqlite_schema: Path, tmp_path: Path) -> Command:
    """Commands on a new database."""
    bare.settings["COUNTERSIGN_DATABASE_URL"] = copy_of_sqlite(sqlite_schema, tmp_path)
    return bare


@pytest.fixture
async def open_rows(countersign: Command) -> AsyncIterator[Database]:
    """The same database, for operations of the test's own."""
    async with await Database.open(countersign.settings["COUNTERSIGN_DATABASE_URL"]) as database:
        yield database


@pytest.fixture
async def start_sandbox() -> AsyncIterator[StartSandbox]:
    """Starts local workspaces; keyword arguments are fields of SandboxConfig."""
    async with AsyncExitStack() as stack:

        async def start(**fields: Any) -> Sandbox:
            return await stack.enter_async_context(running_sandbox(SandboxConfig(**fields)))

        yield start
