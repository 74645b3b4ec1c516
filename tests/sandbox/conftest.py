"""A local workspace for each test, served over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest

from bot.sandbox.app import running_sandbox
from bot.sandbox.config import SandboxConfig
from tests.sandbox.workspace import Workspace

StartWorkspace = Callable[..., Awaitable[Workspace]]


@pytest.fixture
async def start_workspace() -> AsyncIterator[StartWorkspace]:
    """Starts workspaces; keyword arguments are fields of SandboxConfig. They end with the test."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())

        async def start(**fields: object) -> Workspace:
            config = SandboxConfig.model_validate(fields)
            return Workspace(await stack.enter_async_context(running_sandbox(config)), http)

        yield start


@pytest.fixture
async def workspace(start_workspace: StartWorkspace) -> Workspace:
    """A workspace on its defaults, without rate limits."""
    return await start_workspace(rate_limits=False)
