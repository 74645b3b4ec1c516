"""After a crash the code runs again from the top: the journal answers, and code that asks for something else fails."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from pydantic import BaseModel

from agent_runtime.agent import Agent
from agent_runtime.errors import ModelRefused, StepFailed
from agent_runtime.store.database import Database
from tests.engine.conftest import OpenReplica
from tests.engine.running import Run, until
from tests.reasoners.running import AGENT, Answers, asked, begin, decide, notes, recorded


@pytest.fixture
async def crash(live_database: Database, open_replica: OpenReplica) -> Any:
    """`await crash(app, model)` starts the only reasoner, waits until it parks, and closes its replica; the run."""

    async def crashed(app: Agent, model: Answers | None = None, **given: Any) -> Run:
        replica = await open_replica(model or Answers("text"), app)
        run = Run(live_database, (await begin(replica, **given)).execution_id)
        await asked(run, "claim-1")
        await run.waits()
        await replica.close()
        return run

    return crashed


async def test_everything_recorded_is_answered_by_the_journal(crash: Any, open_replica: OpenReplica) -> None:
    ran: list[str] = []

    def claims() -> Agent:
        app = Agent(AGENT)

        @app.step
        async def effect(name: str) -> str:
            ran.append(name)
            if name == "fails":
                raise ValueError("not this one")
            return f"did {name}"

        @app.reasoner(tags=["entry"])
        async def claim() -> list[Any]:
            said = [await app.ai(user="a"), await effect("one"), await app.call(f"{AGENT}.child", n=2)]
            try:
                await effect("fails")
            except StepFailed as failed:
                said.append(str(failed))
            said.append((await app.pause(approval_request_id="claim-1")).decision)
            said.append(await effect("two"))
            return said

        @app.reasoner()
        async def child(n: int) -> int:
            ran.append("child")
            return 2 * n

        return app

    model = Answers("text")
    run = await crash(claims(), model)
    await decide(run.database, "claim-1")
    await open_replica(model, claims())
    assert await run.output() == ["text", "did one", 4, "effect: ValueError: not this one", "approved", "did two"]
    assert ran == ["one", "child", "fails", "two"]
    assert model.asked == ["a"]


async def test_a_refusal_of_the_model_is_the_same_in_a_replay(crash: Any, open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def claim() -> str:
        try:
            await app.ai(user="x")
        except ModelRefused as refused:
            said = refused.message
        await app.pause(approval_request_id="claim-1")
        return said

    run = await crash(app, Answers(ModelRefused("too long")))
    await decide(run.database, "claim-1")
    await open_replica(Answers("fits now"), app)
    assert await run.output() == "too long"


# --- what differs ---------------------------------------------------------------------------------------------


class Score(BaseModel):
    score: int


class Other(BaseModel):
    label: str


def asking(*, system: str = "Assess.", step: str = "effect", given: Any = 1, pause: str = "claim-1") -> Agent:
    app = Agent(AGENT)

    @app.step(name=step)
    async def effect(n: Any) -> Any:
        return n

    @app.reasoner()
    async def claim() -> str:
        await app.ai(system=system, user="x", schema=Score)
        await effect(given)
        return (await app.pause(approval_request_id=pause)).decision

    return app


@pytest.mark.parametrize(
    ("changes", "both"),
    [
        ({"system": "Assess it."}, ["at position 0 the journal holds ai() with ", "the code asks for ai() with "]),
        ({"step": "another"}, ["at position 1 the journal holds the step effect()", "asks for the step another()"]),
        ({"given": 2}, ["at position 1 the journal holds the step effect() with ", "the step effect() with "]),
        ({"pause": "claim-2"}, ["at position 2 the journal holds pause('claim-1')", "asks for pause('claim-2')"]),
    ],
)
async def test_a_replay_that_asks_for_something_else_fails_naming_both_sides(
    crash: Any, open_replica: OpenReplica, changes: dict[str, Any], both: list[str]
) -> None:
    model = Answers({"score": 1})
    run = await crash(asking(), model)
    await decide(run.database, "claim-1")
    await open_replica(model, asking(**changes))
    error = await run.output()
    assert error["type"] == "NonDeterminism"
    for side in both:
        assert side in error["message"]
    assert model.asked == ["x"]
    assert len(await run.journal()) == 3


async def test_an_answer_that_does_not_fit_the_new_schema(crash: Any, open_replica: OpenReplica) -> None:
    def scoring(schema: Any) -> Agent:
        app = Agent(AGENT)

        @app.reasoner()
        async def claim() -> Any:
            await app.ai(user="x", schema=schema)
            return (await app.pause(approval_request_id="claim-1")).decision

        return app

    run = await crash(scoring(Score), Answers({"score": 1}))
    await decide(run.database, "claim-1")
    await open_replica(Answers({"score": 1}), scoring(Other))
    error = await run.output()
    assert error["type"] == "NonDeterminism"
    assert "does not fit the schema" in error["message"]


async def test_what_may_change_under_a_waiting_execution(crash: Any, open_replica: OpenReplica) -> None:
    """The model, the page where people look, what follows, and things with names of their own."""

    def changed(model: str, url: str, more: bool) -> Agent:
        app = Agent(AGENT, model=model)

        @app.reasoner()
        async def claim() -> list[str]:
            said = [await app.ai(user="x", model=model)]
            if more:
                said.append(await app.ai(user="y", name="a second opinion"))
            result = await app.pause(approval_request_id="claim-1", approval_request_url=url, title=url)
            return [*said, result.decision]

        return app

    run = await crash(changed("openai/a", "https://a", False), Answers("one"))
    await decide(run.database, "claim-1")
    await open_replica(Answers("two"), changed("openai/b", "https://b", True))
    assert await run.output() == ["one", "two", "approved"]


async def test_a_reasoner_that_is_gone_is_not_lost(crash: Any, open_replica: OpenReplica) -> None:
    """In a rolling deployment another worker may still have it."""
    run = await crash(asking(), Answers({"score": 1}))
    await decide(run.database, "claim-1")
    without = Agent(AGENT)
    without.reasoner(name="another")(asking().reasoners["claim"].function)
    replica = await open_replica(Answers({"score": 1}), without)

    async def postponed() -> bool:
        return "execution.postponed" in await run.types()

    await until(run, postponed)
    assert (await run.execution()).status == "queued"
    await replica.close()
    await open_replica(Answers({"score": 1}), asking())
    assert await run.output() == "approved"


# --- races ------------------------------------------------------------------------------------------------------


async def test_what_races_goes_by_its_name(crash: Any, open_replica: OpenReplica) -> None:
    ran: list[str] = []

    def racing(order: list[str]) -> Agent:
        app = Agent(AGENT)

        @app.step
        async def effect(name: str) -> str:
            ran.append(name)
            return f"did {name}"

        @app.reasoner()
        async def claim() -> dict[str, str]:
            did = {name: await effect.named(name)(name) for name in order}
            result = await app.pause(approval_request_id="claim-1", name="claim")
            return {**did, "decision": result.decision}

        return app

    run = await crash(racing(["a", "b", "c"]))
    await decide(run.database, "claim-1")
    await open_replica(Answers(), racing(["c", "a", "b"]))
    assert await run.output() == {"a": "did a", "b": "did b", "c": "did c", "decision": "approved"}
    assert ran == ["a", "b", "c"]


async def test_branches_that_begin_in_order_need_no_names(crash: Any, open_replica: OpenReplica) -> None:
    ran: list[int] = []
    app = Agent(AGENT)

    @app.step
    async def effect(n: int) -> int:
        for _ in range(random.randint(0, 20)):
            await asyncio.sleep(0)
        ran.append(n)
        return n

    @app.reasoner()
    async def claim() -> Any:
        did = await asyncio.gather(*(effect(n) for n in range(20)))
        return [sum(did), (await app.pause(approval_request_id="claim-1")).decision]

    run = await crash(app)
    await decide(run.database, "claim-1")
    await open_replica(Answers(), app)
    assert await run.output() == [190, "approved"]
    assert sorted(ran) == list(range(20))


# --- notes ------------------------------------------------------------------------------------------------------


async def test_notes_are_written_once(crash: Any, open_replica: OpenReplica) -> None:
    lives: list[int] = []

    def noting() -> Agent:
        app = Agent(AGENT)

        @app.step
        async def effect(name: str) -> None:
            app.note(f"in {name}")

        @app.reasoner()
        async def claim() -> None:
            lives.append(1)
            app.note("same words")
            app.note(f"in life {len(lives)}")
            await effect("one")
            app.note("same words")

            async def branch(name: str) -> None:
                app.note(f"branch {name}")
                await effect(name)

            await asyncio.gather(branch("two"), branch("three"))
            await app.pause(approval_request_id="claim-1")
            app.note("after")

        return app

    run = await crash(noting())
    before = await notes(run)
    await decide(run.database, "claim-1")
    await open_replica(Answers(), noting())
    await run.ends()
    assert await notes(run) == [*before, "after"]
    assert sorted(before) == sorted(
        ["same words", "in life 1", "in one", "same words", "branch two", "branch three", "in two", "in three"]
    )
    assert lives == [1, 1]


async def test_notes_that_no_record_held_are_said_again(live_database: Database, open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    working, lives = asyncio.Event(), []

    @app.step
    async def effect() -> None:
        working.set()
        if len(lives) == 1:
            await asyncio.Event().wait()

    @app.reasoner()
    async def claim() -> None:
        lives.append(1)
        app.note("before")
        await effect()

    first = await open_replica(Answers(), app)
    run = Run(live_database, (await begin(first)).execution_id)
    await working.wait()
    await first.close(0)
    assert await notes(run) == []
    await open_replica(Answers(), app)
    await run.ends()
    assert await notes(run) == ["before"]


# --- long journals ----------------------------------------------------------------------------------------------


async def test_a_long_journal_is_replayed_in_a_moment(crash: Any, open_replica: OpenReplica) -> None:
    ran: list[int] = []
    app = Agent(AGENT)

    @app.step
    async def effect(n: int) -> int:
        ran.append(n)
        return n

    @app.reasoner()
    async def claim(count: int) -> int:
        total = 0
        for n in range(count):
            total += await effect(n)
        await app.pause(approval_request_id="claim-1")
        return total

    run = await crash(app, count=1000)
    await decide(run.database, "claim-1")
    await open_replica(Answers(), app)
    async with asyncio.timeout(5):
        assert await run.output() == 499_500
    assert len(ran) == 1000
    assert len(await recorded(run, 1001)) == 1001
