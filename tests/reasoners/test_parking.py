"""Coroutines that wait: in memory up to a bound, dropped and replayed past it, and only ever moved by a won claim."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import pytest

from agent_runtime.agent import Agent
from agent_runtime.core.duration import SECOND
from agent_runtime.core.execution import LEASE
from agent_runtime.core.policy import Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.engine.reasoning import Reasoning
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.claim import GONE, claim, park, release_one, release_parked
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.agents import BEAT, LIVE_WORKERS
from agent_runtime.store.database import Database
from agent_runtime.store.executions import claim_queued
from agent_runtime.store.tx import Tx
from tests.clock import Clock
from tests.engine.conftest import OpenReplica
from tests.engine.running import Run, until
from tests.flow import CLAIMABLE, Flow
from tests.reasoners.running import AGENT, Answers, asked, begin, decide, recorded


class Claims:
    """Reasoners that say what they do: `began`, and `left` where their `finally` block ran."""

    def __init__(self) -> None:
        self.app = Agent(AGENT)
        self.began: list[str] = []
        self.left: list[str] = []

        @self.app.step
        async def assess(claim_id: str) -> str:
            return f"assessed {claim_id}"

        @self.app.reasoner()
        async def claim(claim_id: str) -> list[str]:
            self.began.append(claim_id)
            assessed = await assess(claim_id)
            try:
                result = await self.app.pause(approval_request_id=f"claim-{claim_id}")
            finally:
                self.left.append(claim_id)
            return [assessed, result.decision]


async def gone(run: Run, claims: Claims, claim_id: str) -> None:
    async def left() -> bool:
        return claim_id in claims.left

    await until(run, left)


# --- the bound ----------------------------------------------------------------------------------------------


async def test_past_the_bound_the_oldest_is_dropped_and_later_replayed(open_replica: OpenReplica) -> None:
    claims = Claims()
    replica = await open_replica(Answers(), claims.app, parked_at_most=2)
    runs = []
    for claim_id in "abc":
        runs.append(await begin(replica, claim_id=claim_id))
        await runs[-1].waits()
    await gone(runs[0], claims, "a")
    assert claims.left == ["a"]
    for run, claim_id in zip(runs, "abc", strict=True):
        assert (await run.execution()).status == "waiting"
        await decide(run.database, f"claim-{claim_id}")
        assert await run.output() == [f"assessed {claim_id}", "approved"]
    assert claims.began == ["a", "b", "c", "a"]


async def test_dropped_at_once_everything_is_replayed(open_replica: OpenReplica) -> None:
    claims = Claims()
    replica = await open_replica(Answers(), claims.app, parked_at_most=0)
    run = await begin(replica, claim_id="a")
    await run.waits()
    await gone(run, claims, "a")
    await decide(run.database, "claim-a")
    assert await run.output() == ["assessed a", "approved"]
    assert claims.began == ["a", "a"]
    assert len(await run.journal()) == 2


async def test_what_waits_with_a_time_limit_is_kept(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    began = []
    timed = asyncio.Event()

    @app.reasoner()
    async def claim() -> str:
        began.append(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await app.pause(approval_request_id="claim-1")
        timed.set()
        result = await app.wait_for_resume(approval_request_id="claim-1", timeout=3600)
        return result.decision if result else "nothing"

    @app.reasoner()
    async def other() -> None:
        await app.pause()

    replica = await open_replica(Answers(), app, parked_at_most=1)
    run = await begin(replica, "claim")
    await timed.wait()
    await run.waits()
    for _ in range(3):
        await (await begin(replica, "other")).waits()
    await decide(run.database, "claim-1")
    assert await run.output() == "approved"
    assert began == [1]


async def test_dropping_runs_finally_blocks_which_can_change_nothing_durable(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    effects: list[str] = []
    refused = asyncio.Event()

    @app.step
    async def release(claim_id: str) -> None:
        effects.append(claim_id)

    @app.reasoner()
    async def claim() -> str:
        try:
            result = await app.pause(approval_request_id="claim-1")
        finally:
            try:
                await release("claim-1")
            except BaseException:
                refused.set()
                raise
        return result.decision

    run = await begin(await open_replica(Answers(), app, parked_at_most=0))
    async with asyncio.timeout(20):
        await refused.wait()
    assert effects == []
    assert len(await run.journal()) == 1
    await decide(run.database, "claim-1")
    assert await run.output() == "approved"
    assert effects == ["claim-1"]


async def test_code_that_swallows_its_end_ends_nothing_durably(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    swallowed = []

    @app.reasoner()
    async def claim() -> str:
        try:
            return (await app.pause(approval_request_id="claim-1")).decision
        except BaseException:  # noqa: BLE001 - what is tested
            swallowed.append(1)
            return "swallowed"

    run = await begin(await open_replica(Answers(), app, parked_at_most=0))

    async def dropped() -> bool:
        return bool(swallowed)

    await until(run, dropped)
    await decide(run.database, "claim-1")
    assert await run.output() == "approved"


async def test_branches_of_a_dropped_coroutine_end_too(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    left: list[asyncio.Task[Any]] = []

    @app.reasoner()
    async def claim() -> str:
        if not left:
            left.append(asyncio.create_task(app.pause(approval_request_id="side", name="side")))
        return (await app.pause(approval_request_id="claim-1", name="claim")).decision

    run = await begin(await open_replica(Answers(), app, parked_at_most=0))
    await run.asks(2)
    async with asyncio.timeout(20):
        await asyncio.wait(left)
    assert left[0].cancelled()
    await decide(run.database, "claim-1")
    assert await run.output() == "approved"


# --- branches that go on while others wait --------------------------------------------------------------------


async def test_a_branch_takes_the_claim_back_to_go_on(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    outside = asyncio.Event()

    @app.step
    async def work(number: int) -> int:
        return number

    @app.reasoner()
    async def claim() -> list[Any]:
        async def other() -> list[int]:
            await outside.wait()
            return [await work(1), await work(2)]

        result, worked = await asyncio.gather(app.pause(approval_request_id="claim-1"), other())
        return [result.decision, worked]

    run = await begin(await open_replica(Answers(), app))
    await run.waits()
    outside.set()
    await recorded(run, 3)
    [approval] = await run.waits()
    await decide(run.database, approval.approval_request_id)
    assert await run.output() == ["approved", [1, 2]]


async def test_it_ends_although_people_are_still_asked(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    outside = asyncio.Event()

    @app.reasoner()
    async def claim() -> str:
        asking = asyncio.create_task(app.pause(approval_request_id="claim-1"))
        await outside.wait()
        asking.cancel()
        return "ended"

    run = await begin(await open_replica(Answers(), app))
    await run.waits()
    outside.set()
    assert await run.output() == "ended"
    [approval] = await run.approvals()
    assert (approval.status, approval.feedback) == ("cancelled", "the execution has ended")


async def test_a_branch_is_cancelled_while_it_takes_the_claim_back(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    outside = asyncio.Event()

    @app.step
    async def work() -> None: ...

    @app.reasoner()
    async def claim() -> str:
        asking = asyncio.create_task(app.pause(approval_request_id="claim-1"))
        await outside.wait()
        for _ in range(5):
            working = asyncio.create_task(work())
            await asyncio.sleep(0)
            working.cancel()
            await asyncio.wait([working])
        return (await asking).decision

    run = await begin(await open_replica(Answers(), app))
    await run.waits()
    outside.set()
    await run.waits()
    await decide(run.database, "claim-1")
    assert await run.output() == "approved"


# --- cancelled from outside -----------------------------------------------------------------------------------


async def test_cancelled_while_it_waits(open_replica: OpenReplica) -> None:
    claims = Claims()
    replica = await open_replica(Answers(), claims.app)
    run = await begin(replica, claim_id="a")
    await run.waits()
    await replica.database.write(cancel, run.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    await replica.worker._beat_once()
    assert claims.left == ["a"]
    assert (await run.execution()).status == "cancelled"
    [approval] = await run.approvals()
    assert approval.status == "cancelled"


async def test_cancelled_while_it_works(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    working, left = asyncio.Event(), asyncio.Event()

    @app.step
    async def work() -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    @app.reasoner()
    async def claim() -> None:
        await work()

    replica = await open_replica(Answers(), app)
    run = await begin(replica)
    await working.wait()
    await replica.database.write(cancel, run.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    await replica.worker._beat_once()
    async with asyncio.timeout(20):
        await left.wait()
    assert await run.journal() == []


# --- several workers ------------------------------------------------------------------------------------------


async def test_the_parker_goes_on_although_others_could(open_replica: OpenReplica) -> None:
    claims = Claims()
    first = await open_replica(Answers(), claims.app)
    run = await begin(first, claim_id="a")
    await run.waits()
    second = await open_replica(Answers(), Claims().app)
    await decide(second.database, "claim-a")
    assert await run.output() == ["assessed a", "approved"]
    assert claims.began == ["a"]


async def test_one_that_another_worker_has_claimed_is_dropped(
    live_database: Database, open_replica: OpenReplica
) -> None:
    """As after its lease ran out: the other goes on from the journal, and the first copy is cancelled."""
    here, there = Claims(), Claims()
    first = await open_replica(Answers(), here.app)
    run = await begin(first, claim_id="a")
    await run.waits()
    second = await open_replica(Answers(), there.app)
    await live_database.write(release_parked, first.worker.worker_id)
    first.worker._stopping = True
    await decide(second.database, "claim-a")
    assert await run.output() == ["assessed a", "approved"]
    await first.worker._beat_once()
    assert (here.began, here.left, there.began) == (["a"], ["a"], ["a"])


@pytest.mark.parametrize("parked_when", ["waiting", "queued"])
async def test_what_a_worker_had_parked_is_released_when_it_is_gone(
    live_database: Database, open_replica: OpenReplica, parked_when: str
) -> None:
    """Whoever decides later waits for nobody. One that was taken for dead says that it is alive."""
    here, there = Claims(), Claims()
    first = await open_replica(Answers(), here.app)
    run = await begin(first, claim_id="a")
    await run.waits()
    worker_id = first.worker.worker_id
    assert (await run.execution()).worker_id == worker_id
    first.worker._stopping = True  # it claims nothing any more, as if it had died
    if parked_when == "queued":
        await decide(live_database, "claim-a")
    await live_database.write(_has_been_silent, worker_id, GONE)
    second = await open_replica(Answers(), there.app)
    assert await live_database.all(LIVE_WORKERS, b_since=0) != []
    while (await run.execution()).worker_id == worker_id:
        await live_database.write(sweep, Defaults())
    if parked_when == "waiting":
        await decide(second.database, "claim-a")
    assert await run.output() == ["assessed a", "approved"]
    assert there.began == ["a"]
    assert {row.worker_id for row in await live_database.all(LIVE_WORKERS, b_since=0)} == {second.worker.worker_id}
    await first.worker._beat_once()
    assert worker_id in {row.worker_id for row in await live_database.all(LIVE_WORKERS, b_since=0)}
    assert here.left == ["a"]


async def test_what_a_living_worker_has_parked_stays_with_it(
    live_database: Database, open_replica: OpenReplica
) -> None:
    here = Claims()
    first = await open_replica(Answers(), here.app)
    run = await begin(first, claim_id="a")
    await run.waits()
    await live_database.write(_has_been_silent, first.worker.worker_id, GONE - SECOND)
    assert (await live_database.write(sweep, Defaults())).gone == 0
    assert (await run.execution()).worker_id == first.worker.worker_id


def _has_been_silent(tx: Tx, worker_id: str, microseconds: int) -> None:
    assert tx.run(BEAT, b_worker=worker_id, b_now=tx.now - microseconds, b_agents="[]") is not None


async def test_a_graceful_stop_releases_what_is_parked(live_database: Database, open_replica: OpenReplica) -> None:
    here, there = Claims(), Claims()
    first = await open_replica(Answers(), here.app)
    run = Run(live_database, (await begin(first, claim_id="a")).execution_id)
    await run.waits()
    await first.close()
    execution = await run.execution()
    assert (execution.status, execution.worker_id, here.left) == ("waiting", None, ["a"])
    await open_replica(Answers(), there.app)
    await decide(live_database, "claim-a")
    assert await run.output() == ["assessed a", "approved"]


async def test_a_stop_drops_what_works_and_hands_it_over(live_database: Database, open_replica: OpenReplica) -> None:
    app = Agent(AGENT)
    begun: list[int] = []
    left: list[str] = []

    @app.step
    async def work() -> str:
        begun.append(1)
        if len(begun) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                left.append((await run.execution()).status)
        return "worked"

    @app.reasoner()
    async def claim() -> str:
        return str(await work())

    first = await open_replica(Answers(), app)
    run = Run(live_database, (await begin(first)).execution_id)

    async def works() -> bool:
        return bool(begun)

    await until(run, works)
    await first.close(0)
    assert left == ["running"], "the claim is given back once the code has ended, not before"
    execution = await run.execution()
    assert (execution.status, execution.attempts) == ("queued", 0)
    await open_replica(Answers(), app)
    assert await run.output() == "worked"
    assert len(begun) == 2


async def test_one_that_is_parked_with_news_is_claimed_by_others_once_its_parker_is_silent(
    database: Database, clock: Clock
) -> None:
    flow = await Flow.asked(database, waiting=False)
    await flow.resolve()
    assert await database.write(park, flow.held, 0, keep="worker-1") == "queued"
    assert await database.write(claim, CLAIMABLE, "worker-2", 64, Defaults()) == []
    await clock.advance(LEASE)
    [claimed] = await database.write(claim, CLAIMABLE, "worker-2", 64, Defaults())
    assert claimed.execution.execution_id == flow.execution_id


async def test_releasing_a_dropped_one_does_not_touch_a_newer_claim(database: Database) -> None:
    flow = await Flow.asked(database, waiting=False)
    dropped = flow.held
    assert dropped is not None
    await database.write(park, dropped, 0, keep="worker-1")
    await flow.resolve()
    await flow.claim("worker-1")
    await database.write(park, flow.held, flow.held.signals if flow.held else 0, keep="worker-1")
    await database.write(release_one, dropped, "worker-1")
    assert (await flow.execution()).worker_id == "worker-1"
    await database.write(release_one, flow.held, "worker-1")
    assert (await flow.execution()).worker_id is None


async def test_a_claim_whose_answer_was_lost_is_given_back(open_replica: OpenReplica) -> None:
    claims = Claims()
    replica = await open_replica(Answers(), claims.app)
    worker = replica.worker
    worker._stopping = True
    run = await begin(replica, claim_id="a")
    claimable = claim_queued([AGENT])
    assert len(await replica.database.write(claim, claimable, worker.worker_id, 64, Defaults())) == 1
    for _ in range(2):
        await worker._beat_once()
    assert (await run.execution()).status == "queued"


# --- what waits costs little ----------------------------------------------------------------------------------


def copies(execution_ids: set[str]) -> int:
    """Coroutines of these executions in memory."""
    here = [thing for thing in gc.get_objects() if isinstance(thing, Reasoning)]
    return sum(reasoning.execution.execution_id in execution_ids for reasoning in here)


@pytest.mark.databases("sqlite")
async def test_a_parked_reasoner_takes_less_than_20_KiB(open_replica: OpenReplica) -> None:
    claims = Claims()
    replica = await open_replica(Answers(), claims.app)

    begun: set[str] = set()

    async def park(ids: range) -> None:
        runs = await asyncio.gather(*(begin(replica, claim_id=str(number)) for number in ids))
        for run in runs:
            await run.waits()
            begun.add(run.execution_id)

    await park(range(20))
    gc.collect()
    tracemalloc.start()
    try:
        await park(range(20, 120))
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert copies(begun) == 120
    assert taken / 100 < 20 * 1024


async def test_nothing_is_left_of_one_that_ended(open_replica: OpenReplica) -> None:
    claims = Claims()
    replica = await open_replica(Answers(), claims.app)
    run = await begin(replica, claim_id="a")
    await asked(run, "claim-a")
    await decide(run.database, "claim-a")
    await run.ends()

    async def nothing_left() -> bool:
        gc.collect()
        return copies({run.execution_id}) == 0

    await until(run, nothing_left)
