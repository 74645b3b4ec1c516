"""Programs as their users run them: in a process of their own on 0.0.0.0, or their agent in the test's process."""

from __future__ import annotations

import contextlib
import runpy
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import Agent
from agent_runtime.core.execution import LEASE
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings
from bot.scripted_model import Data, ScriptedModel, serve_scripted_model
from tests.clock import Clock
from tests.e2e.process import ProductProcess
from tests.e2e.process import environment as product_environment
from tests.engine.conftest import live_database
from tests.sdk.conftest import ServeModel, environment, ledger, serve_model
from tests.seeds.outside import SECRET, Outside
from tests.seeds.supplied import DURABLE, LEDGER, STAGE, supplied

__all__ = ["ServeModel", "environment", "ledger", "live_database", "serve_model"]

PROGRAMS = Path(__file__).parent / "programs"


def run_program(name: str, **supplied: Any) -> dict[str, Any]:
    """Runs a program in the test's process; its names afterwards. `supplied` are those that it leaves undefined."""
    return runpy.run_path(str(PROGRAMS / f"{name}.py"), init_globals=supplied, run_name=name)


@dataclass
class Model:
    """What the scripted model answers: a value, or what a function of the messages gives; `asked` counts them."""

    answers: dict[str, Any] | Callable[[Any], Any] = field(default_factory=dict)
    served: ScriptedModel | None = None

    @property
    def asked(self) -> int:
        assert self.served is not None
        return len(self.served.requests)


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    """A scripted model, served over HTTP; set what it answers in `answers`."""
    model = Model()

    def answer(messages: Any) -> Any:
        return model.answers(messages) if callable(model.answers) else Data(model.answers)

    async with serve_scripted_model(answer) as model.served:
        yield model


@dataclass
class Deployment:
    """A program on a database: processes of it come and go, its ledger tells what happened."""

    program: str
    database_url: str
    folder: Path
    model: Model
    clock: Clock
    settings: dict[str, str]

    @asynccontextmanager
    async def process(self, stage: str = "", **settings: str) -> AsyncIterator[tuple[ProductProcess, Outside]]:
        """The program served by a process of its own, which is killed (-9) at the end of the block."""
        command = [sys.executable, "-m", "tests.seeds.serve", str(PROGRAMS / f"{self.program}.py")]
        process = ProductProcess.start(command, self.settings | settings | {STAGE: stage}, self.folder)
        try:
            url = (await process.says(r"API and dashboard: (\S+)"))[1]
            yield process, Outside(url, process.tail)
            await process.kill()
        finally:
            process.abandon()
        await self.lease_runs_out()

    async def lease_runs_out(self) -> None:
        """On PostgreSQL nothing else tells that a worker is dead."""
        if self.database_url.startswith("postgresql"):
            await self.clock.advance(LEASE)

    @property
    def happened(self) -> Counter[str]:
        return Counter(Path(self.settings[LEDGER]).read_text().splitlines())


Deploy = Callable[..., Deployment]


@pytest.fixture
def deploy(database_url: str, clock: Clock, model: Model, tmp_path: Path) -> Deploy:
    """`deploy("refund_agent")` is a deployment of that program; `durable`: what it is supplied with are steps."""

    def deployed(program: str, *, durable: bool = False) -> Deployment:
        ledger = tmp_path / "ledger"
        ledger.touch()
        assert model.served is not None
        settings = product_environment(
            COUNTERSIGN_DATABASE_URL=database_url,
            COUNTERSIGN_APPROVAL_WEBHOOK_SECRET=SECRET,
            OPENAI_BASE_URL=model.served.base_url,
            OPENAI_API_KEY="sk-scripted",
            PORT="0",
        )
        settings |= {LEDGER: str(ledger), DURABLE: "1" if durable else ""}
        return Deployment(program, database_url, tmp_path, model, clock, settings)

    return deployed


Load = Callable[[str], Agent]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """`load("claim_processor")` is the agent that the program defines."""
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))

    def loaded(program: str) -> Agent:
        app: Agent = run_program(program, **supplied())["app"]
        return app

    return loaded


OpenHere = Callable[[Agent], Awaitable[Replica]]


@pytest.fixture
async def open_here(
    database_url: str, clock: Clock, model: Model, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenHere]:
    """`await open_here(agent)` runs it in this process, where `clock` is the time."""
    assert model.served is not None
    monkeypatch.setenv("OPENAI_BASE_URL", model.served.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted")
    async with contextlib.AsyncExitStack() as stack:

        async def opened(agent: Agent) -> Replica:
            replica = Replica(Settings(database_url=database_url), surfaces=False, clock=clock)
            await stack.enter_async_context(replica)
            await replica.deploy(agent)
            return replica

        yield opened
