"""What these tests stand on: the scripted model over real HTTP, and the environment that a user's program finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import structlog

import agent_runtime
from agent_runtime import AgentRuntime
from agent_runtime.sdk.loops import background
from agent_runtime.testing import ScriptedModel as InProcessModel
from bot.scripted_model import ScriptedModel, serve_scripted_model
from tests.sdk.agents import Ledger

ServeModel = Callable[..., ScriptedModel]


@pytest.fixture
def ledger() -> Ledger:
    """What the gated tools of this test's agent did."""
    return Ledger()


@pytest.fixture
def serve_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServeModel]:
    """`serve_model(replies)` serves a model (the sample agents' scripts without replies) to this process."""
    with ExitStack() as stack:

        def serve(replies: Any = None) -> ScriptedModel:
            served = stack.enter_context(_on_background(serve_scripted_model(replies)))
            monkeypatch.setenv("OPENAI_BASE_URL", served.base_url)
            monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted")
            return served

        yield serve


@pytest.fixture
def environment(serve_model: ServeModel, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database in the environment and no Slack; the default runtime is closed after the test. The database's URL."""
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "COUNTERSIGN_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COUNTERSIGN_DATABASE_URL", database_url)
    try:
        yield database_url
    finally:
        agent_runtime.shutdown()


class _on_background:
    """An async context manager, entered and left on the background loop."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def __enter__(self) -> Any:
        self._home = background.hold(self)
        return self._home.wait(lambda: self._manager.__aenter__())

    def __exit__(self, *error: Any) -> None:
        try:
            self._home.wait(lambda: self._manager.__aexit__(*error))
        finally:
            background.release(self)

    def close(self) -> None:
        self.__exit__(None, None, None)


@pytest.fixture
def model() -> InProcessModel:
    """What the model says in this test; see `agent_runtime.testing.ScriptedModel`."""
    return InProcessModel()


@pytest.fixture
def runtime(database_url: str, model: InProcessModel) -> Iterator[AgentRuntime]:
    """An open runtime on a background thread."""
    with AgentRuntime(database_url, model=model, surfaces=False) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The SDK sets up logs where nobody has; other tests find them as they were."""
    before = structlog.get_config() if structlog.is_configured() else None
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)
