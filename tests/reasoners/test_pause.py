"""Pauses: people end them, the code continues from the exact line, and time that people take is theirs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agent_runtime.agent import Agent
from agent_runtime.core.duration import HOUR
from agent_runtime.core.policy import DEFAULT_VALID_FOR
from agent_runtime.errors import Conflict
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings
from tests.clock import Clock
from tests.engine.conftest import OpenReplica
from tests.reasoners.running import AGENT, Answers, asked, begin, decide, notes, recorded


def pausing(agent: str = AGENT, **options: Any) -> Agent:
    """An agent whose reasoner pauses once and returns how that ended."""
    app = Agent(agent)

    @app.reasoner()
    async def claim(claim_id: str = "1") -> dict[str, Any]:
        app.note(f"risk of {claim_id}", tags=["assessment"])
        result = await app.pause(
            approval_request_id=f"claim-{claim_id}", approval_request_url="https://example.com/claims/1", **options
        )
        return {
            "decision": result.decision,
            "feedback": result.feedback,
            "approved": result.approved,
            "changes": result.changes_requested,
            "by": result.decided_by,
            "ids": [result.approval_request_id, result.execution_id],
        }

    return app


@pytest.mark.parametrize("verdict", ["approved", "rejected", "request_changes"])
async def test_the_decision_is_the_result(open_replica: OpenReplica, verdict: str) -> None:
    run = await begin(await open_replica(Answers(), pausing()))
    [approval] = await run.waits()
    await decide(run.database, "claim-1", verdict, "As we said.")
    assert await run.output() == {
        "decision": verdict,
        "feedback": "As we said.",
        "approved": verdict == "approved",
        "changes": verdict == "request_changes",
        "by": "local:operator",
        "ids": ["claim-1", run.execution_id],
    }
    assert approval.approval_request_id == "claim-1"


async def test_what_people_see(open_replica: OpenReplica) -> None:
    run = await begin(
        await open_replica(Answers(), pausing(reviewers=["U123"], quorum=2, title="Pay it?")), claim_id="7"
    )
    [approval] = await run.waits()
    assert (approval.kind, approval.title, approval.url) == ("pause", "Pay it?", "https://example.com/claims/1")
    assert (approval.tool_name, json.loads(approval.arguments)) == ("claims.claim", {"claim_id": "7"})
    assert json.loads(approval.context or "") == {"notes": ["risk of 7"]}
    assert (approval.policy.reviewers, approval.policy.quorum) == (("U123",), 2)
    assert approval.policy.rules == ("pause:claims.claim",)
    assert approval.policy.valid_for == DEFAULT_VALID_FOR
    assert await notes(run) == ["risk of 7"]


@pytest.mark.parametrize(
    ("options", "hours"), [({}, 72), ({"expires_in_hours": 48}, 48), ({"expires_in_hours": 0.5}, 0.5)]
)
async def test_expiry_is_a_result_to_branch_on(
    database_url: str, clock: Clock, options: dict[str, Any], hours: float
) -> None:
    async with Replica(Settings(database_url=database_url), model=Answers(), surfaces=False, clock=clock) as replica:
        await replica.deploy(pausing(**options))
        run = await begin(replica)
        [approval] = await run.waits()
        assert approval.expires_at == approval.created_at + round(hours * HOUR)
        await clock.set(approval.expires_at - 1)
        await replica.clockwork.tick()
        assert (await run.execution()).status == "waiting"
        await clock.advance(1)
        await replica.clockwork.tick()
        output = await run.output()
        assert (output["decision"], output["feedback"], output["approved"]) == ("expired", "", False)


async def test_the_code_continues_from_the_line_and_nothing_runs_again(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    lines = []

    @app.reasoner()
    async def claim() -> list[str]:
        lines.append("before")
        local = object()
        first = await app.pause()
        lines.append("between")
        second = await app.pause()
        lines.append("after")
        assert local is not None
        return [first.decision, second.decision]

    run = await begin(await open_replica(Answers(), app))
    for verdict in ("approved", "rejected"):
        [approval] = await run.waits()
        await decide(run.database, approval.approval_request_id, verdict)
        if verdict == "approved":
            await recorded(run, 2)
    assert await run.output() == ["approved", "rejected"]
    assert lines == ["before", "between", "after"]


async def test_pauses_at_once_are_posted_together_and_answered_in_any_order(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    heard = []

    @app.reasoner()
    async def claims() -> list[str]:
        async def one(name: str) -> str:
            result = await app.pause(approval_request_id=name)
            heard.append(name)
            return result.decision

        return list(await asyncio.gather(one("a"), one("b"), one("c")))

    run = await begin(await open_replica(Answers(), app))
    assert [approval.approval_request_id for approval in await run.waits()] == ["a", "b", "c"]
    await asyncio.gather(
        decide(run.database, "c", "rejected"), decide(run.database, "a"), decide(run.database, "b", "request_changes")
    )
    assert await run.output() == ["approved", "request_changes", "rejected"]
    assert sorted(heard) == ["a", "b", "c"]


async def test_many_decided_at_once(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def claims(count: int) -> int:
        results = await asyncio.gather(*(app.pause(approval_request_id=f"c-{n}") for n in range(count)))
        return sum(result.approved for result in results)

    run = await begin(await open_replica(Answers(), app), count=100)
    await run.waits()
    await asyncio.gather(*(decide(run.database, f"c-{n}") for n in range(100)))
    assert await run.output() == 100
    execution = await run.execution()
    assert (execution.open_approvals, execution.signals) == (0, 100)


async def test_an_answer_comes_while_another_branch_is_at_work(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    may_end = asyncio.Event()
    heard = asyncio.Event()

    @app.step
    async def work() -> str:
        await may_end.wait()
        return "worked"

    @app.reasoner()
    async def claim() -> list[str]:
        async def pause() -> str:
            result = await app.pause(approval_request_id="claim-1")
            heard.set()
            return result.decision

        return list(await asyncio.gather(pause(), work()))

    run = await begin(await open_replica(Answers(), app))
    await asked(run, "claim-1")
    assert (await run.execution()).status == "running"
    await decide(run.database, "claim-1")
    async with asyncio.timeout(10):
        await heard.wait()
    may_end.set()
    assert await run.output() == ["approved", "worked"]


async def test_a_decision_between_the_question_and_the_parking_is_not_lost(open_replica: OpenReplica) -> None:
    replica = await open_replica(Answers(), pausing())

    async def decided_at_once(number: int) -> Any:
        run = await begin(replica, claim_id=str(number))
        await asked(run, f"claim-{number}")
        await decide(run.database, f"claim-{number}")
        return await run.output()

    outputs = await asyncio.gather(*(decided_at_once(number) for number in range(30)))
    assert {output["decision"] for output in outputs} == {"approved"}


async def test_no_answer_is_lost_while_others_are_still_asked(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.step
    async def effect(n: int) -> int:
        for _ in range(n % 7):
            await asyncio.sleep(0)
        return n

    @app.reasoner()
    async def claims(count: int) -> int:
        async def one(n: int) -> int:
            await effect(n)
            first = await app.pause(approval_request_id=f"c-{n}.1", name=f"{n}.1")
            await effect.named(f"between {n}")(n)
            second = await app.pause(approval_request_id=f"c-{n}.2", name=f"{n}.2")
            return int(first.approved) + int(second.approved)

        return sum(await asyncio.gather(*(one(n) for n in range(count))))

    run = await begin(await open_replica(Answers(), app), count=40)

    async def approve(name: str) -> None:
        await asked(run, name)
        await decide(run.database, name)

    await asyncio.gather(*(approve(f"c-{n}.{turn}") for n in range(40) for turn in (1, 2)))
    assert await run.output() == 80


# --- ids ----------------------------------------------------------------------------------------------------


async def test_an_id_is_minted_where_none_is_given(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def claim() -> str:
        return (await app.pause(title="Pay?")).approval_request_id

    run = await begin(await open_replica(Answers(), app))
    [approval] = await run.waits()
    assert approval.approval_request_id.startswith("apr_")
    await decide(run.database, approval.approval_request_id)
    assert await run.output() == approval.approval_request_id


async def test_an_id_belongs_to_one_execution_for_ever(open_replica: OpenReplica) -> None:
    replica = await open_replica(Answers(), pausing())
    first = await begin(replica)
    await first.waits()
    second = await begin(replica)
    error = await second.output()
    assert (error["type"], first.execution_id in error["message"]) == ("Conflict", True)
    assert (await first.execution()).status == "waiting"
    await decide(replica.database, "claim-1")
    await first.ends()
    third = await (await begin(replica)).output()
    assert (third["type"], first.execution_id in third["message"]) == ("Conflict", True)


async def test_the_code_may_ask_under_another_id(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def claim() -> str:
        rounds = 0
        while True:
            rounds += 1
            app.note(f"round {rounds}")
            try:
                result = await app.pause(approval_request_id="claim-1" if rounds < 3 else f"claim-1.{rounds}")
            except Conflict:
                continue
            if not result.changes_requested:
                return f"{result.decision} in round {rounds}"

    run = await begin(await open_replica(Answers(), app))
    await run.waits()
    await decide(run.database, "claim-1", "request_changes")
    await asked(run, "claim-1.3")
    await decide(run.database, "claim-1.3")
    assert await run.output() == "approved in round 3"
    assert await notes(run) == ["round 1", "round 2", "round 3"]


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "x" * 201])
async def test_an_id_that_cannot_be_one_is_named(open_replica: OpenReplica, name: str) -> None:
    app = Agent(AGENT)

    @app.reasoner()
    async def claim() -> None:
        await app.pause(approval_request_id=name)

    error = await (await begin(await open_replica(Answers(), app))).output()
    assert error["type"] == "InvalidRequest"
    assert error["message"].startswith("approval_request_id: ")


@pytest.mark.parametrize("options", [{"expires_in_hours": 0}, {"expires_in_hours": "soon"}, {"quorum": 0}])
async def test_options_that_cannot_be_used_are_named(open_replica: OpenReplica, options: dict[str, Any]) -> None:
    error = await (await begin(await open_replica(Answers(), pausing(**options)))).output()
    assert error["type"] in {"InvalidDefinition", "InvalidRequest"}
    assert next(iter(options)) in error["message"]


# --- whose time it is ---------------------------------------------------------------------------------------


async def test_the_time_of_people_does_not_count_against_the_code(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner(timeout_seconds=0.5)
    async def claim() -> str:
        return (await app.pause(approval_request_id="claim-1")).decision

    @app.reasoner(timeout_seconds=0.2)
    async def slow() -> None:
        await app.pause(approval_request_id="slow-1")
        await asyncio.Event().wait()

    replica = await open_replica(Answers(), app)
    run, other = await begin(replica, "claim"), await begin(replica, "slow")
    await run.waits()
    await other.waits()
    await asyncio.sleep(0.7)  # longer than both limits: what is tested is that this time does not count
    assert (await run.execution()).status == "waiting"
    await decide(run.database, "claim-1")
    await decide(run.database, "slow-1")
    assert await run.output() == "approved"
    assert await other.output() == {"type": "ReasonerTimedOut", "message": "ran longer than 0.2 s"}


async def test_a_time_limit_of_the_codes_own_is_its_own_matter(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner(timeout_seconds=60)
    async def claim() -> str:
        try:
            async with asyncio.timeout(0.05):
                await app.pause(approval_request_id="claim-1")
        except TimeoutError:
            return "went on without people"
        return "not reached"

    run = await begin(await open_replica(Answers(), app))
    assert await run.output() == "went on without people"
    [approval] = await run.approvals()
    assert approval.status == "cancelled"
