"""The functions without a runtime of one's own, and `configure`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import agent_runtime
from agent_runtime import Agent, AgentHandle, AgentRuntime, configure, deploy, run, run_async, serve, shutdown, start
from agent_runtime.errors import Conflict, InvalidSetting, NotFound
from agent_runtime.sdk.default import default_runtime
from agent_runtime.settings import Settings, load
from tests.sdk.conftest import ServeModel

GREETER = Agent("greeter", model="openai/scripted")


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    yield
    shutdown()
    configure(**dict.fromkeys(Settings.model_fields))


def test_every_public_name_is_there() -> None:
    for name in agent_runtime.__all__:
        assert getattr(agent_runtime, name) is not None
    assert callable(start)
    assert not hasattr(agent_runtime, "nothing_of_that_name")
    assert set(agent_runtime.__all__) <= set(dir(agent_runtime))


@pytest.mark.databases("sqlite")
def test_one_runtime_for_all_functions(environment: str, serve_model: ServeModel) -> None:
    serve_model(lambda messages: f"You said {messages[-1]['content']}")
    deploy(GREETER)
    serve(GREETER, blocking=False)
    handle = start("greeter", "hello")
    assert default_runtime() is default_runtime()
    assert AgentHandle(handle.execution_id).get_result().output["result"] == "You said hello"
    assert run(GREETER, "good day").output["result"] == "You said good day"
    shutdown()
    shutdown()
    assert AgentHandle(handle.execution_id).get_status().is_complete, "the next use opens another"


@pytest.mark.databases("sqlite")
async def test_from_coroutines(environment: str, serve_model: ServeModel) -> None:
    serve_model(lambda messages: "Hello.")
    assert (await run_async(GREETER, "hello")).output["result"] == "Hello."
    stream = await agent_runtime.stream_async(GREETER, "hello")
    assert [str(event.type) async for event in stream] == ["message", "done"]
    await agent_runtime.shutdown_async()


def test_configure_wins_over_the_environment_and_loses_to_arguments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COUNTERSIGN_DATABASE_URL", "sqlite+aiosqlite:///environment.db")
    monkeypatch.setenv("COUNTERSIGN_MODEL", "openai/environment")
    configured = f"sqlite+aiosqlite:///{tmp_path}/configured.db"
    configure(database_url=configured, model="openai/configured")
    settings: Settings = load(Settings)
    assert (settings.database_url, settings.model) == (configured, "openai/configured")
    assert AgentRuntime("sqlite+aiosqlite:///argument.db").settings.database_url.endswith("argument.db")
    configure(model=None)
    settings = load(Settings)
    assert (settings.database_url, settings.model) == (configured, "openai/environment")


def test_configure_refuses_what_it_does_not_know_and_changes_nothing() -> None:
    with pytest.raises(InvalidSetting, match="databse_url: unknown"):
        configure(databse_url="sqlite+aiosqlite:///x.db")
    with pytest.raises(InvalidSetting, match="COUNTERSIGN_PORT"):
        configure(model="openai/kept-out", port=70_000)
    settings: Settings = load(Settings)
    assert settings.model != "openai/kept-out"


@pytest.mark.databases("sqlite")
def test_configure_comes_first(environment: str) -> None:
    with pytest.raises(NotFound):
        start("nobody", "hello")
    with pytest.raises(Conflict, match="before the first"):
        configure(model="openai/too-late")
