"""The bot against the local workspace, on a real database, without the engine: tests move executions themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from bot.sandbox.app import Sandbox, running_sandbox
from bot.sandbox.config import SandboxConfig
from bot.slack import directory
from tests.bot.desk import Desk, open_desk

OpenDesk: TypeAlias = Callable[..., AbstractAsyncContextManager[Desk]]


BUDGET = directory.LOOK_UP_BUDGET
"""The product's own, for tests of it."""


@pytest.fixture(autouse=True)
def _patient_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stood still for a moment is no slow Slack."""
    monkeypatch.setattr(directory, "LOOK_UP_BUDGET", 8.0)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with running_sandbox(SandboxConfig(time_scale=0.01)) as running:
        yield running


@pytest.fixture
def desk_for(sandbox: Sandbox, tmp_path: Path) -> OpenDesk:
    """Opens a desk on the workspace, with any Slack settings."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[Desk]:
        async with open_desk(sandbox, tmp_path / "countersign.db", **settings) as desk:
            yield desk

    return opened


@pytest.fixture
async def desk(desk_for: OpenDesk) -> AsyncIterator[Desk]:
    """With an approvals channel and both reviewers."""
    async with desk_for() as desk:
        yield desk
