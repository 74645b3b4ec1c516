"""What is none of the code's business: the model or the database is away, the claim is lost. The code never hears of
it; it waits, or a new copy of it goes on from the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from agent_runtime.agent import Agent
from agent_runtime.errors import ModelUnavailable
from agent_runtime.operations.claim import take_over_from
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from tests.engine.conftest import OpenReplica
from tests.engine.running import Run, until
from tests.proxy import Proxy, proxy_to
from tests.reasoners.running import AGENT, Answers, asked, begin, decide, recorded
from tests.store.test_outage import through


class Steps:
    """A reasoner of two steps that would swallow any exception; `ran` and `swallowed` say what happened."""

    def __init__(self) -> None:
        self.app = Agent(AGENT)
        self.ran: list[str] = []
        self.swallowed: list[str] = []
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

        @self.app.step
        async def effect(name: str) -> str:
            self.ran.append(name)
            self.begun.set()
            await self.may_end.wait()
            return f"did {name}"

        @self.app.reasoner()
        async def claim() -> list[str]:
            done = []
            for name in ("one", "two"):
                try:
                    done.append(await effect(name))
                except Exception as error:  # noqa: BLE001 - what is tested
                    self.swallowed.append(repr(error))
                    done.append("swallowed")
            return done


# --- the model ------------------------------------------------------------------------------------------------


@pytest.mark.databases("sqlite")
async def test_a_model_that_is_away_is_waited_for_and_the_code_does_not_hear_of_it(open_replica: OpenReplica) -> None:
    """Three tries in one life, then a new copy of the code after a pause."""
    app = Agent(AGENT)
    lives: list[int] = []
    swallowed: list[str] = []
    model = Answers(lambda _: ModelUnavailable("openai: 503") if len(model.asked) < 4 else "here again")

    @app.reasoner()
    async def claim() -> str:
        lives.append(1)
        try:
            return str(await app.ai(user="x"))
        except Exception as error:  # noqa: BLE001 - what is tested
            swallowed.append(repr(error))
            return "swallowed"

    run = await begin(await open_replica(model, app))
    assert await run.output() == "here again"
    assert (len(model.asked), len(lives), swallowed) == (4, 2, [])
    assert (await run.types()).count("execution.postponed") == 1


# --- the claim ------------------------------------------------------------------------------------------------


async def test_a_copy_that_lost_its_claim_ends_where_it_would_write(
    live_database: Database, open_replica: OpenReplica
) -> None:
    """As after its process had slept past its lease; the code of the old copy hears nothing and does nothing more."""
    here, there = Steps(), Steps()
    there.may_end.set()
    first = await open_replica(Answers(), here.app)
    run = Run(live_database, (await begin(first)).execution_id)
    await here.begun.wait()
    first.worker._stopping = True
    await live_database.write(take_over_from, first.worker.worker_id)
    await open_replica(Answers(), there.app)
    assert await run.output() == ["did one", "did two"]
    here.may_end.set()

    async def dropped() -> bool:
        return not first.worker.running

    await until(run, dropped)
    assert (here.ran, here.swallowed) == (["one"], [])
    assert there.ran == ["one", "two"]


# --- the database ---------------------------------------------------------------------------------------------


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    url = make_url(database_url)
    async with proxy_to(str(url.host), url.port or 5432) as proxy:
        yield proxy


@pytest.mark.databases("postgresql")
async def test_a_database_that_is_away_is_waited_for_with_what_a_step_did(
    live_database: Database, database_url: str, proxy: Proxy
) -> None:
    steps = Steps()
    settings = Settings(database_url=through(proxy, database_url))
    async with Replica(settings, model=Answers(), surfaces=False) as replica:
        await replica.deploy(steps.app)
        run = Run(live_database, (await begin(replica)).execution_id)
        await steps.begun.wait()
        await proxy.vanish()
        steps.may_end.set()
        await asyncio.sleep(0.3)
        await proxy.listen()
        assert await run.output() == ["did one", "did two"]
    assert (steps.ran, steps.swallowed) == (["one", "two"], [])


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("cut", ["cut_after", "cut_before"])
async def test_where_nobody_knows_whether_it_is_recorded_the_journal_is_asked(
    live_database: Database, database_url: str, proxy: Proxy, cut: str
) -> None:
    steps = Steps()
    settings = Settings(database_url=through(proxy, database_url))
    async with Replica(settings, model=Answers(), surfaces=False) as replica:
        await replica.deploy(steps.app)
        run = Run(live_database, (await begin(replica)).execution_id)
        await steps.begun.wait()
        setattr(proxy, cut, b"COMMIT;")
        steps.may_end.set()
        assert await run.output() == ["did one", "did two"]
    assert steps.swallowed == []
    again = ["one"] if cut == "cut_before" else []
    assert steps.ran in (["one", "two"], ["one", *again, "two"])


@pytest.mark.databases("postgresql")
async def test_parked_and_taken_back_over_an_outage(live_database: Database, database_url: str, proxy: Proxy) -> None:
    app = Agent(AGENT)
    outside = asyncio.Event()
    lives: list[int] = []

    @app.step
    async def work() -> str:
        return "worked"

    @app.reasoner()
    async def claim() -> list[Any]:
        lives.append(1)

        async def other() -> str:
            await outside.wait()
            return str(await work())

        result, worked = await asyncio.gather(app.pause(approval_request_id="claim-1"), other())
        return [result.decision, worked]

    settings = Settings(database_url=through(proxy, database_url))
    async with Replica(settings, model=Answers(), surfaces=False) as replica:
        await replica.deploy(app)
        run = Run(live_database, (await begin(replica)).execution_id)
        await asked(run, "claim-1")
        await run.waits()
        await proxy.vanish()
        outside.set()
        await asyncio.sleep(0.2)
        await proxy.listen()
        await recorded(run, 2)
        await decide(live_database, "claim-1")
        assert await run.output() == ["approved", "worked"]
    assert lives == [1]
