"""kill -9 at each stage of an execution: it finishes or is asked about, and a gated effect happens once at most."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_runtime.core.approval import Outcome
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.settle import settle
from agent_runtime.operations.start import Start, start
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from tests.databases import copy_of_sqlite
from tests.e2e.process import ProductProcess, environment
from tests.engine.child import agent
from tests.engine.running import Run, until
from tests.flow import APPROVE


@dataclass
class Deployment:
    """A database and a ledger of effects that processes come and go on."""

    database_url: str
    ledger: Path
    database: Database

    @asynccontextmanager
    async def child(self, stage: str = "") -> AsyncIterator[ProductProcess]:
        """A server process that is ready, and is killed at the end of the block at the latest."""
        command = [sys.executable, "-m", "tests.engine.child", self.database_url, str(self.ledger), stage]
        process = ProductProcess.start(command, environment(), self.ledger.parent, "child")
        try:
            await process.says("ready")
            yield process
            await process.kill()
        finally:
            process.abandon()

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator[None]:
        """The next server, in this process."""
        defined, model = agent(self.ledger)
        async with Replica(Settings(database_url=self.database_url), model=model, surfaces=False) as replica:
            await replica.deploy(defined)
            yield

    async def begin(self, prompt: str = "ORD-8821") -> Run:
        begun = await self.database.write(start, Start("an_agent", {"prompt": prompt}), by=LOCAL_OPERATOR, via=Via.cli)
        return Run(self.database, begun.execution.execution_id)

    @property
    def effects(self) -> list[str]:
        """What happened, as the outside world knows it."""
        return self.ledger.read_text().splitlines()


@pytest.fixture
async def deployment(sqlite_schema: Path, tmp_path: Path) -> AsyncIterator[Deployment]:
    ledger = tmp_path / "ledger"
    ledger.touch()
    database_url = copy_of_sqlite(sqlite_schema, tmp_path)
    async with await Database.open(database_url) as database:
        defined, _ = agent(ledger)
        await database.write(deploy, defined.name, defined.version, defined.definition(), by=LOCAL_OPERATOR)
        yield Deployment(database_url, ledger, database)


async def decide(run: Run, *positions: int) -> None:
    for position in positions:
        await run.resolve(APPROVE, position=position)


async def settle_all(run: Run, outcome: Outcome) -> None:
    for doubt in [one for one in await run.pending() if one.kind == "in_doubt"]:
        await run.database.write(
            settle, doubt.approval_request_id, outcome, result="settled", by=LOCAL_OPERATOR, via=Via.cli
        )


async def approve_everything(database: Database, runs: list[Run]) -> None:
    """People who approve whatever is asked, until cancelled."""
    with database.wakes.listen("approvals") as woken:
        while True:
            woken.clear()
            for run in runs:
                for approval in await run.pending():
                    if approval.kind == "tool":
                        await database.write(
                            resolve, approval.approval_request_id, APPROVE, by=LOCAL_OPERATOR, via=Via.cli
                        )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), 0.02)


# --- each stage ---------------------------------------------------------------------------------------------


async def test_before_the_request_is_committed(deployment: Deployment) -> None:
    async with deployment.child("first reply") as process:
        run = await deployment.begin()
        await process.says("first reply")
    assert await run.approvals() == []
    async with deployment.restarted():
        await run.waits()
        await decide(run, 1, 2)
        assert await run.output() == "Done."
    assert len(deployment.effects) == 2


async def test_while_it_waits(deployment: Deployment) -> None:
    async with deployment.child():
        run = await deployment.begin()
        await run.waits()
    await decide(run, 1, 2)
    async with deployment.restarted():
        assert await run.output() == "Done."
    assert len(deployment.effects) == 2
    assert (await run.types()).count("approval.requested") == 2


async def test_between_the_decision_and_the_resumption(deployment: Deployment) -> None:
    async with deployment.child() as process:
        run = await deployment.begin()
        await run.waits()
        await process.freeze(run.database)
        await decide(run, 1, 2)
        assert (await run.execution()).status == "queued"
    assert deployment.effects == []
    async with deployment.restarted():
        assert await run.output() == "Done."
    assert len(deployment.effects) == 2


@pytest.mark.parametrize(
    ("stage", "position", "before"),
    [("before the effect", 1, 0), ("after the effect", 1, 1), ("before the effect", 2, 0), ("after the effect", 2, 1)],
)
async def test_around_the_effect(deployment: Deployment, stage: str, position: int, before: int) -> None:
    async with deployment.child(stage) as process:
        run = await deployment.begin()
        await run.waits()
        await decide(run, position)
        await process.says(stage)
    assert len(deployment.effects) == before
    assert (await run.step(position)).status == "started"
    async with deployment.restarted():
        if position == 1:  # unsafe: never again by the machine
            await run.has("in_doubt", 1)
            assert len(deployment.effects) == before
            await settle_all(run, Outcome.happened if before else Outcome.not_happened)
            if not before:
                await run.asks(2)
                await decide(run, 1)
        else:  # keyed: again, with the same key
            await run.has("succeeded", 2)
        await decide(run, 3 - position)
        assert await run.output() == "Done."
    effects = Counter(deployment.effects)
    assert [count for effect, count in effects.items() if effect.startswith("unsafe")] == [1]
    keyed = [effect for effect in effects if effect.startswith("keyed")]
    assert keyed == [f"keyed ORD-8821 {run.execution_id}:2"]


async def test_after_the_result(deployment: Deployment) -> None:
    async with deployment.child("second reply") as process:
        run = await deployment.begin()
        await run.waits()
        await decide(run, 1, 2)
        await process.says("second reply")
    async with deployment.restarted():
        assert await run.output() == "Done."
    assert len(deployment.effects) == 2
    assert await run.result(1) == {"value": "unsafe done"}


# --- anywhere -----------------------------------------------------------------------------------------------


async def test_at_any_moment(deployment: Deployment) -> None:
    """Several executions at once, the server killed at random moments, people deciding all the while."""
    runs = [await deployment.begin(f"ORD-{number}") for number in range(12)]
    deciding = asyncio.create_task(approve_everything(deployment.database, runs))
    try:
        for _ in range(3):
            async with deployment.child():
                await asyncio.sleep(random.uniform(0, 0.25))
        async with deployment.restarted():
            for run in runs:
                await until(run, run.is_settled)
    finally:
        deciding.cancel()
        await asyncio.gather(deciding, return_exceptions=True)
    effects = Counter(deployment.effects)
    for run in runs:
        prompt = (await run.execution()).input
        order = prompt.split('"')[3]
        assert effects[f"unsafe {order}"] <= 1
        if (await run.execution()).status == "succeeded":
            assert effects[f"unsafe {order}"] == 1
            assert {effect for effect in effects if effect.startswith(f"keyed {order} ")} == {
                f"keyed {order} {run.execution_id}:2"
            }
        else:
            assert [approval.kind for approval in await run.pending()] == ["in_doubt"]
