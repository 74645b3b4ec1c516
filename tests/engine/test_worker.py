"""Workers: claims kept and given back, shutdown, several on one database, and that what waits costs nothing."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.agent import Agent
from agent_runtime.core.policy import Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.engine.conversation import Conversation
from agent_runtime.engine.liveness import WorkerLock, dead_workers, forget, lock_folder
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.claim import claim, take_over_from
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.store.executions import claim_queued
from agent_runtime.tools import Tool, tool
from tests.engine.conftest import Begin, OpenReplica
from tests.engine.replies import Replies, calls, says
from tests.engine.running import Run, until

DONE = says("Done.")


class Slow:
    """A tool that says when it begins, and ends when it may; `ended` says how."""

    def __init__(self, name: str = "act", **options: Any) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.ended: list[str] = []
        self.tool = Tool(self._act, name=name, **options)

    async def _act(self) -> str:
        self.begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("finished")
        return "acted"


ACT = calls(("act", {}))


# --- what waits costs nothing -------------------------------------------------------------------------------


async def test_a_parked_agent_holds_no_memory(open_replica: OpenReplica) -> None:
    replica = await open_replica(
        Replies(ACT, DONE), Agent("an_agent", tools=[Tool(lambda: "acted", name="act", approval_required=True)])
    )
    runs = [await Run.begun(replica, "an_agent") for _ in range(20)]
    for run in runs:
        await run.waits()
    await until(runs[0], lambda: nothing(replica))
    gc.collect()
    kept = [each for each in gc.get_objects() if isinstance(each, Conversation)]
    assert [each for each in kept if each.database is replica.database] == []
    assert not [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("exe_")]
    for run in runs:
        await run.resolve()
    for run in runs:
        assert await run.output() == "Done."


async def nothing(replica: Any) -> bool:
    return not replica.worker.running


# --- shutdown -----------------------------------------------------------------------------------------------


async def test_a_shutdown_lets_a_running_call_finish_and_its_execution_go_on(open_replica: OpenReplica) -> None:
    slow = Slow(approval_required=True)
    replica = await open_replica(Replies(ACT, DONE), Agent("an_agent", tools=[slow.tool]))
    run = await Run.begun(replica, "an_agent")
    await run.waits()
    await run.resolve()
    await slow.begun.wait()
    later = await Run.begun(replica, "an_agent")
    closing = asyncio.create_task(replica.close(20))
    await asyncio.sleep(0)
    slow.may_end.set()
    await closing
    assert slow.ended == ["finished"]
    other = await open_replica(Replies(ACT, DONE), Agent("an_agent", tools=[slow.tool]))
    assert await Run(other.database, run.execution_id).output() == "Done."
    assert (await Run(other.database, later.execution_id).waits())[0].tool_name == "act"


async def test_past_its_grace_it_hands_over_and_what_it_had_started_is_in_doubt(open_replica: OpenReplica) -> None:
    slow, free = Slow(approval_required=True), Slow()
    gated_agent = Agent("gated", tools=[slow.tool])
    free_agent = Agent("free", tools=[free.tool])
    replica = await open_replica(Replies(ACT, DONE), gated_agent, free_agent)
    one, two = await Run.begun(replica, "gated"), await Run.begun(replica, "free")
    await one.waits()
    await one.resolve()
    await slow.begun.wait()
    await free.begun.wait()
    await replica.close(0.05)
    assert (slow.ended, free.ended) == (["cancelled"], ["cancelled"])
    free.may_end.set()
    other = await open_replica(Replies(ACT, DONE), gated_agent, free_agent)
    assert await Run(other.database, two.execution_id).output() == "Done."
    [doubt] = await Run(other.database, one.execution_id).waits()
    assert doubt.kind == "in_doubt"
    assert "execution.taken_over" not in await Run(other.database, one.execution_id).types()
    assert slow.ended == ["cancelled"]


async def test_while_it_drains_nobody_takes_its_claims(open_replica: OpenReplica) -> None:
    slow = Slow()
    replica = await open_replica(Replies(ACT, DONE), Agent("an_agent", tools=[slow.tool]))
    run = await Run.begun(replica, "an_agent")
    await slow.begun.wait()
    other = await open_replica(Replies(ACT, DONE), Agent("an_agent", tools=[slow.tool]))
    before = (await run.execution()).lease_until or 0
    closing = asyncio.create_task(replica.close(60))
    here = Run(other.database, run.execution_id)

    async def extended() -> bool:
        return ((await here.execution()).lease_until or 0) > before

    await until(here, extended)
    slow.may_end.set()
    await closing
    assert await here.output() == "Done."
    assert (await here.types()).count("execution.claimed") == 1


# --- cancelled, taken over ----------------------------------------------------------------------------------


async def test_a_call_that_runs_when_its_execution_is_cancelled_finishes_and_is_recorded(begin: Begin) -> None:
    slow, other = Slow(approval_required=True), Slow("more", approval_required=True)
    model = Replies(calls(("act", {}), ("more", {})), DONE)
    run = await begin(model, slow.tool, other.tool)
    await run.waits()
    await run.resolve(position=1)
    await slow.begun.wait()
    await run.database.write(cancel, run.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    beats = asyncio.get_running_loop().time() + 4
    await until(run, lambda: past(beats))
    assert slow.ended == []
    slow.may_end.set()
    step = await run.has("succeeded")
    assert step.result == '{"value":"acted"}'
    assert (await run.execution()).status == "cancelled"
    assert slow.ended == ["finished"]
    assert len(model.requests) == 1
    assert not other.begun.is_set()


async def test_a_model_hears_nothing_of_the_only_call_of_an_execution_that_was_cancelled(begin: Begin) -> None:
    slow = Slow(approval_required=True)
    model = Replies(ACT, DONE)
    run = await begin(model, slow.tool)
    await run.waits()
    await run.resolve()
    await slow.begun.wait()
    await run.database.write(cancel, run.execution_id, by=LOCAL_OPERATOR, via=Via.cli)
    slow.may_end.set()
    await run.has("succeeded")
    await until(run, lambda: at_rest(run))
    assert len(model.requests) == 1


async def at_rest(run: Run) -> bool:
    """Whether no worker has a session of it any more."""
    return all(task.get_name() != run.execution_id for task in asyncio.all_tasks())


async def past(moment: float) -> bool:
    return asyncio.get_running_loop().time() > moment


async def test_a_lost_claim_cancels_what_runs(begin: Begin) -> None:
    slow = Slow(approval_required=True)
    run = await begin([ACT, DONE], slow.tool)
    await run.waits()
    await run.resolve()
    await slow.begun.wait()
    holder = (await run.execution()).worker_id or ""
    await run.database.write(steal, holder)
    await until(run, lambda: has_ended(slow))
    assert slow.ended == ["cancelled"]
    assert (await run.execution()).worker_id == "another-worker"
    assert (await run.step()).status == "started"


def steal(tx: Any, holder: str) -> None:
    """Another worker takes the claim over within one transaction, as after a lapsed lease."""
    take_over_from(tx, holder)
    claim(tx, claim_queued(["an_agent"]), "another-worker", 1, Defaults())


async def has_ended(slow: Slow) -> bool:
    return bool(slow.ended)


# --- several workers ----------------------------------------------------------------------------------------


async def test_two_workers_never_run_one_call_twice(open_replica: OpenReplica) -> None:
    ran: Counter[str] = Counter()

    @tool(approval_required=True)
    async def refund(order: str) -> None:
        ran[order] += 1

    def ask(request: Any) -> dict[str, Any]:
        prompt = request.messages[0]["content"]
        return calls(("refund", {"order": f"{prompt}-a"}), ("refund", {"order": f"{prompt}-b"}))

    agent = Agent("an_agent", tools=[refund])
    replicas = [await open_replica(Replies(ask, DONE), agent, concurrency=5) for _ in range(2)]
    begun = [await Run.begun(replicas[n % 2], "an_agent", f"ORD-{n}") for n in range(20)]
    views = [[Run(replica.database, run.execution_id) for run in begun] for replica in replicas]
    for run in views[0]:
        await run.asks(2)
    await asyncio.gather(
        *(run.resolve(position=position) for view in views for run in view for position in (1, 2)),
        return_exceptions=True,
    )
    for run in views[0]:
        assert await run.output() == "Done."
        types = await run.types()
        assert types.count("call.started") == types.count("call.succeeded") == 2
    assert len(ran) == 40
    assert set(ran.values()) == {1}
    workers = {event.data for run in views[0] for event in await run.events() if event.type == "execution.claimed"}
    assert len({worker.split('"worker_id":')[1] for worker in workers}) == 2


async def test_a_worker_claims_only_agents_that_it_has(open_replica: OpenReplica) -> None:
    one = await open_replica(Replies(DONE), Agent("one"))
    two = await open_replica(Replies(DONE), Agent("two"))
    runs = [await Run.begun(replica, name) for replica, name in ((one, "two"), (two, "one"))]
    assert [await run.output() for run in runs] == ["Done.", "Done."]


async def test_what_is_queued_here_is_claimed_in_the_same_transaction(open_replica: OpenReplica) -> None:
    act = Tool(lambda: "acted", name="act", approval_required=True)
    replica = await open_replica(Replies(ACT, DONE), Agent("an_agent", tools=[act]))
    await (await Run.begun(replica, "an_agent")).waits()  # by now it has looked for what was queued before
    run = await Run.begun(replica, "an_agent")
    await run.waits()
    await run.resolve()
    assert await run.output() == "Done."
    events = await replica.database.all(EVENTS_OF_STREAM, b_stream=run.execution_id, b_after=0, b_limit=100)
    when = {kind: [event.at for event in events if event.type == f"execution.{kind}"] for kind in ("queued", "claimed")}
    assert len(when["queued"]) == 2
    assert when["queued"] == when["claimed"]


async def test_no_more_at_once_than_it_may(open_replica: OpenReplica) -> None:
    slow = [Slow() for _ in range(3)]
    at_once: list[int] = []

    @tool
    async def act(n: int) -> None:
        at_once.append(sum(one.begun.is_set() and not one.ended for one in slow) + 1)
        await slow[n]._act()

    def ask(request: Any) -> dict[str, Any]:
        return calls(("act", {"n": int(request.messages[0]["content"])}))

    replica = await open_replica(Replies(ask, DONE), Agent("an_agent", tools=[act]), concurrency=2)
    runs = [await Run.begun(replica, "an_agent", str(n)) for n in range(3)]
    for one in slow[:2]:
        await asyncio.wait_for(one.begun.wait(), 10)
    for one in slow:
        one.may_end.set()
    for run in runs:
        assert await run.output() == "Done."
    assert max(at_once) == 2


# --- a database that is away --------------------------------------------------------------------------------


@pytest.mark.databases("sqlite")
async def test_a_result_is_kept_while_the_database_cannot_be_written(
    open_replica: OpenReplica, database_url: str
) -> None:
    slow = Slow(approval_required=True)
    replica = await open_replica(Replies(ACT, DONE), Agent("an_agent", tools=[slow.tool]))
    run = await Run.begun(replica, "an_agent")
    await run.waits()
    await run.resolve()
    await slow.begun.wait()
    blocker = sqlite3.connect(database_url.removeprefix("sqlite+aiosqlite:///"), isolation_level=None)
    try:
        blocker.execute("BEGIN IMMEDIATE")
        slow.may_end.set()
        beats = asyncio.get_running_loop().time() + 6
        await until(run, lambda: past(beats))
        assert (await run.step()).status == "started"
        blocker.execute("ROLLBACK")
    finally:
        blocker.close()
    assert await run.output() == "Done."
    assert slow.ended == ["finished"]
    assert await run.result() == {"value": "acted"}


# --- who is alive -------------------------------------------------------------------------------------------


def test_a_lock_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    folder = lock_folder(tmp_path / "countersign.db")
    assert dead_workers(folder) == []
    with WorkerLock(folder, "alive"):
        (folder / "dead").touch()
        assert dead_workers(folder) == ["dead"]
        forget(folder, "dead")
        forget(folder, "dead")
        assert [path.name for path in folder.iterdir()] == ["alive"]
    assert list(folder.iterdir()) == []


def test_a_lock_file_that_is_there_already_is_taken(tmp_path: Path) -> None:
    folder = lock_folder(tmp_path / "countersign.db")
    folder.mkdir()
    (folder / "mine").touch()
    with WorkerLock(folder, "mine"):
        assert dead_workers(folder) == []
