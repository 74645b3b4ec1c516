"""Executions that a reasoner calls: their results, how they fail, and what becomes of them with their parent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agent_runtime.agent import Agent
from agent_runtime.core.execution import Execution
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.errors import StepFailed
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.start import Start
from agent_runtime.sdk.local import LocalExecutions
from agent_runtime.store.database import Database
from agent_runtime.store.executions import CHILDREN
from tests.engine.conftest import OpenReplica
from tests.engine.running import Run, until
from tests.reasoners.running import AGENT, Answers, asked, begin, decide, recorded


def calling(target: str, **given: Any) -> Agent:
    """A parent that calls `target`, and children that give, fail and pause."""
    app = Agent(AGENT)

    @app.reasoner(tags=["entry"])
    async def parent() -> Any:
        try:
            return {"value": await app.call(target, **given)}
        except StepFailed as failed:
            return {"failed": str(failed), **failed.details}

    @app.reasoner()
    async def doubles(n: int) -> int:
        return 2 * n

    @app.reasoner()
    async def fails() -> None:
        raise LookupError("no such claim")

    @app.reasoner()
    async def asks(name: str = "child-1") -> str:
        return (await app.pause(approval_request_id=name)).decision

    @app.reasoner()
    async def nests(name: str) -> str:
        return f"nested {await app.call(f'{AGENT}.asks', name=name)}"

    return app


async def children(database: Database, run: Run) -> list[Run]:
    rows = await database.all(CHILDREN, b_parent=run.execution_id)
    return [Run(database, row.execution_id) for row in rows]


async def child(run: Run) -> Run:
    """Its only child, once it has one."""

    async def there() -> Run | None:
        found = await children(run.database, run)
        return found[0] if found else None

    return await until(run, there)  # type: ignore[return-value]


async def test_its_value(open_replica: OpenReplica) -> None:
    run = await begin(await open_replica(Answers(), calling(f"{AGENT}.doubles", n=4)))
    assert await run.output() == {"value": 8}
    [step] = await run.journal()
    assert (step.kind, step.name, json.loads(step.arguments)) == ("call", f"{AGENT}.doubles", {"n": 4})
    called = await (await child(run)).execution()
    assert (called.parent_execution_id, called.parent_position, called.via) == (run.execution_id, 0, "system")
    assert called.requested_by == "local:operator"


async def test_an_agent_without_reasoners_gets_a_prompt(open_replica: OpenReplica) -> None:
    loop = Agent("helper", instructions="Help.")
    run = await begin(
        await open_replica(Answers(lambda question: f"heard: {question}"), calling("helper", prompt="Hi"), loop)
    )
    assert await run.output() == {"value": "heard: Hi"}


async def test_how_it_fails(open_replica: OpenReplica) -> None:
    run = await begin(await open_replica(Answers(), calling(f"{AGENT}.fails")))
    assert await run.output() == {
        "failed": "claims.fails failed: LookupError: no such claim",
        "type": "LookupError",
        "message": "no such claim",
    }


@pytest.mark.parametrize(
    ("target", "given", "kind", "message"),
    [
        ("nobody.child", {}, "NotFound", "no agent is called 'nobody'"),
        (f"{AGENT}.nobody", {}, "NotFound", "claims has no reasoner called 'nobody'"),
        (f"{AGENT}.doubles", {}, "InvalidRequest", "input: doubles needs n"),
        (f"{AGENT}.doubles", {"m": 1}, "InvalidRequest", "input: doubles "),
    ],
)
async def test_what_cannot_be_called(
    open_replica: OpenReplica, target: str, given: dict[str, Any], kind: str, message: str
) -> None:
    run = await begin(await open_replica(Answers(), calling(target, **given)))
    error = await run.output()
    assert error["type"] == kind
    assert error["message"].startswith(message)
    assert await children(run.database, run) == []


async def test_what_it_asks_goes_up_and_the_answer_down(open_replica: OpenReplica) -> None:
    run = await begin(await open_replica(Answers(), calling(f"{AGENT}.nests", name="claim-1")))
    grandchild = await child(await child(run))
    await asked(grandchild, "claim-1")
    await decide(run.database, "claim-1", "rejected")
    assert await run.output() == {"value": "nested rejected"}


async def test_the_requester_stays_the_same(open_replica: OpenReplica) -> None:
    replica = await open_replica(Answers(), calling(f"{AGENT}.asks"))
    by = Actor("slack:T1:U9", frozenset({"U9"}))
    begun = await replica.start_execution(Start(AGENT, {"input": {}}), by=by)
    called = await child(Run(replica.database, begun.execution.execution_id))
    assert (await asked(called, "child-1")).requested_by == "slack:T1:U9"


async def test_it_asks_where_its_parent_was_asked_for(open_replica: OpenReplica) -> None:
    replica = await open_replica(Answers(), calling(f"{AGENT}.nests", name="claim-1"))
    origin = {"channel": "C1", "thread_ts": "1.2"}
    begun = await replica.start_execution(Start(AGENT, {"input": {}}, origin=origin))
    grandchild = await child(await child(Run(replica.database, begun.execution.execution_id)))
    assert json.loads((await asked(grandchild, "claim-1")).origin or "") == origin
    assert (await grandchild.execution()).origin is None


async def test_who_waits_for_it_waits_for_people_only_where_it_asks(open_replica: OpenReplica) -> None:
    app = calling(f"{AGENT}.slow")
    begun, may_ask = asyncio.Event(), asyncio.Event()

    @app.reasoner()
    async def slow() -> str:
        begun.set()
        await may_ask.wait()
        return (await app.pause(approval_request_id="child-1")).decision

    replica = await open_replica(Answers(), app)
    run = await begin(replica)
    await begun.wait()
    await run.waits()
    executions = LocalExecutions(replica)
    snapshot = await executions.look(run.execution_id)
    assert (snapshot.status, snapshot.running, snapshot.waiting) == ("waiting", True, False)
    may_ask.set()
    snapshot = await executions.settled(run.execution_id, 30)
    assert (snapshot.running, snapshot.waiting) == (False, True)
    assert [approval["approval_request_id"] for approval in snapshot.pending] == ["child-1"]
    await decide(run.database, "child-1")
    assert await run.output() == {"value": "approved"}


# --- the parent ends ------------------------------------------------------------------------------------------


async def ended(run: Run, status: str) -> Execution:
    async def there() -> Execution | None:
        execution = await run.execution()
        return execution if execution.status == status else None

    return await until(run, there)  # type: ignore[return-value]


async def test_it_is_cancelled_with_its_parent(open_replica: OpenReplica) -> None:
    run = await begin(await open_replica(Answers(), calling(f"{AGENT}.nests", name="claim-1")))
    called = await child(run)
    grandchild = await child(called)
    await asked(grandchild, "claim-1")
    await run.database.write(cancel, run.execution_id, by=LOCAL_OPERATOR, via=Via.cli, reason="enough")
    for descendant in (called, grandchild):
        execution = await descendant.execution()
        assert execution.status == "cancelled"
        assert json.loads(execution.error or "")["message"] == "the execution that called it has ended"
    [approval] = await grandchild.approvals()
    assert (approval.status, approval.decided_by) == ("cancelled", "local:operator")


async def test_a_parent_that_fails_leaves_nobody_behind(open_replica: OpenReplica) -> None:
    app = calling(f"{AGENT}.doubles", n=1)
    called = asyncio.Event()

    @app.reasoner()
    async def hasty() -> None:
        async def fail() -> None:
            await called.wait()
            raise RuntimeError("enough")

        await asyncio.gather(app.call(f"{AGENT}.asks"), fail())

    run = await begin(await open_replica(Answers(), app), "hasty")
    slow = await child(run)
    await asked(slow, "child-1")
    called.set()
    assert (await run.output())["type"] == "RuntimeError"
    await ended(slow, "cancelled")


async def test_a_child_that_is_cancelled_is_a_failure_of_the_call(open_replica: OpenReplica) -> None:
    run = await begin(await open_replica(Answers(), calling(f"{AGENT}.asks")))
    called = await child(run)
    await asked(called, "child-1")
    await run.database.write(cancel, called.execution_id, by=LOCAL_OPERATOR, via=Via.cli, reason="not needed")
    assert await run.output() == {
        "failed": "claims.asks cancelled: Cancelled: not needed",
        "type": "Cancelled",
        "message": "not needed",
    }


# --- crashes --------------------------------------------------------------------------------------------------


async def test_a_child_is_called_once_over_a_crash(live_database: Database, open_replica: OpenReplica) -> None:
    first = await open_replica(Answers(), calling(f"{AGENT}.asks"))
    run = Run(live_database, (await begin(first)).execution_id)
    await asked(await child(run), "child-1")
    await first.close()
    await open_replica(Answers(), calling(f"{AGENT}.asks"))
    await decide(live_database, "child-1")
    assert await run.output() == {"value": "approved"}
    assert len(await children(live_database, run)) == 1


async def test_children_at_once(open_replica: OpenReplica) -> None:
    app = Agent(AGENT)

    @app.reasoner(tags=["entry"])
    async def parent(count: int) -> int:
        return sum(await asyncio.gather(*(app.call(f"{AGENT}.child", n=n) for n in range(count))))

    @app.reasoner()
    async def child(n: int) -> int:
        return n

    replica = await open_replica(Answers(), app, concurrency=2)
    run = await begin(replica, count=20)
    assert await run.output() == 190
    assert len(await recorded(run, 20)) == 20
