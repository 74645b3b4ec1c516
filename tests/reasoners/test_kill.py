"""kill -9 at each stage of a reasoner: it goes on, what is recorded is not done again, and each note is there once."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.core.execution import LEASE
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.start import Start, start
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from tests.clock import Clock
from tests.e2e.process import ProductProcess, environment
from tests.engine.running import Run
from tests.reasoners.child import claims
from tests.reasoners.running import AGENT, asked, decide, notes


@dataclass
class Deployment:
    """A database and a ledger that processes come and go on."""

    database_url: str
    ledger: Path
    database: Database
    clock: Clock

    @asynccontextmanager
    async def child(self, stage: str = "") -> AsyncIterator[ProductProcess]:
        """A server process that is ready, and is killed at the end of the block at the latest."""
        command = [sys.executable, "-m", "tests.reasoners.child", self.database_url, str(self.ledger), stage]
        process = ProductProcess.start(command, environment(), self.ledger.parent, "child")
        try:
            await process.says("ready")
            yield process
            await process.kill()
        finally:
            process.abandon()
        await self.lease_runs_out()

    async def lease_runs_out(self) -> None:
        """On PostgreSQL nothing else tells that a worker is dead."""
        if self.database.url.get_backend_name() == "postgresql":
            await self.clock.advance(LEASE)

    async def decide(self, verdict: str = "approved", feedback: str = "Go.") -> None:
        """Somebody decides on claim-1, whose parker is dead."""
        await decide(self.database, "claim-1", verdict, feedback)
        await self.lease_runs_out()

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator[None]:
        """The next server, in this process."""
        app, model = claims(self.ledger)
        async with Replica(Settings(database_url=self.database_url), model=model, surfaces=False) as replica:
            await replica.deploy(app)
            yield

    async def begin(self, claim_id: str = "1") -> Run:
        wanted = Start(AGENT, {"input": {"claim_id": claim_id}})
        begun = await self.database.write(start, wanted, by=LOCAL_OPERATOR, via=Via.cli)
        return Run(self.database, begun.execution.execution_id)

    @property
    def happened(self) -> Counter[str]:
        """What happened outside of the journal, and how often."""
        return Counter(self.ledger.read_text().splitlines())


@pytest.fixture
async def deployment(database_url: str, live_database: Database, clock: Clock, tmp_path: Path) -> Deployment:
    ledger = tmp_path / "ledger"
    ledger.touch()
    app, _ = claims(ledger)
    await live_database.write(deploy, app.name, app.version, app.definition(), by=LOCAL_OPERATOR)
    return Deployment(database_url, ledger, live_database, clock)


APPROVED = {"risk": "risky", "decision": "approved", "feedback": "Go.", "pay": "paid"}
SAID = ["risk of 1: risky", "1 was approved"]


async def finished(deployment: Deployment, run: Run) -> dict[str, Any]:
    async with deployment.restarted():
        output: dict[str, Any] = await run.output()
    return output


async def test_while_it_waits(deployment: Deployment) -> None:
    async with deployment.child():
        run = await deployment.begin()
        await asked(run, "claim-1")
        await run.waits()
    assert (await run.execution()).status == "waiting"
    await deployment.decide()
    assert await finished(deployment, run) == APPROVED
    assert deployment.happened == {"began 1": 2, "asked 1": 1, "paid 1": 1}
    assert await notes(run) == SAID
    assert (await run.types()).count("approval.requested") == 1


async def test_while_it_waits_and_decided_after_the_next_start(deployment: Deployment) -> None:
    async with deployment.child():
        run = await deployment.begin()
        await asked(run, "claim-1")
        await run.waits()
    async with deployment.restarted():
        await deployment.decide("rejected", "No.")
        assert await run.output() == {**APPROVED, "decision": "rejected", "feedback": "No.", "pay": "not paid"}


async def test_between_the_decision_and_the_resumption(deployment: Deployment) -> None:
    async with deployment.child() as process:
        run = await deployment.begin()
        await asked(run, "claim-1")
        await run.waits()
        await process.freeze(run.database)
        await decide(run.database, "claim-1", feedback="Go.")
        assert (await run.execution()).status == "queued"
    assert await finished(deployment, run) == APPROVED
    assert deployment.happened == {"began 1": 2, "asked 1": 1, "paid 1": 1}
    assert await notes(run) == SAID


@pytest.mark.parametrize(
    ("stage", "again"),
    [
        ("in ai", {"asked 1": 1, "paid 1": 1}),
        ("before the effect", {"asked 1": 1, "paid 1": 1}),
        ("after the effect", {"asked 1": 1, "paid 1": 2}),
        ("at the end", {"asked 1": 1, "paid 1": 1}),
    ],
)
async def test_at_each_stage(deployment: Deployment, stage: str, again: dict[str, int]) -> None:
    """A step that was not recorded runs again; one that was does not."""
    async with deployment.child(stage) as process:
        run = await deployment.begin()
        if stage != "in ai":
            await asked(run, "claim-1")
            await run.waits()
            await decide(run.database, "claim-1", feedback="Go.")
        await process.says(stage)
    async with deployment.restarted():
        if stage == "in ai":
            await asked(run, "claim-1")
            await decide(run.database, "claim-1", feedback="Go.")
        assert await run.output() == APPROVED
    assert deployment.happened == {"began 1": 2, **again}
    assert await notes(run) == SAID


@pytest.mark.databases("sqlite")
async def test_at_any_moment(deployment: Deployment) -> None:
    """Several executions, the server killed at random moments, people deciding all the while."""
    runs = [await deployment.begin(str(number)) for number in range(10)]

    async def approve(run: Run, claim_id: str) -> None:
        await asked(run, f"claim-{claim_id}")
        await decide(run.database, f"claim-{claim_id}", feedback="Go.")

    deciding = asyncio.gather(*(approve(run, str(number)) for number, run in enumerate(runs)))
    for _ in range(4):
        async with deployment.child():
            await asyncio.sleep(random.uniform(0, 0.2))
    async with deployment.restarted():
        assert [await run.output() for run in runs] == [APPROVED] * 10
    await deciding
    for number, run in enumerate(runs):
        assert await notes(run) == [f"risk of {number}: risky", f"{number} was approved"]
        steps = [(step.kind, step.status) for step in await run.journal()]
        assert steps == [("model", "succeeded"), ("pause", "succeeded"), ("tool", "succeeded")]
