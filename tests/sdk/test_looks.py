"""What a look at an execution costs the database, and that it is one picture."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from agent_runtime import AgentResult, AgentRuntime, tool
from agent_runtime.agent import Agent
from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.resolve import resolve
from agent_runtime.sdk import local
from agent_runtime.sdk.local import LocalExecutions
from agent_runtime.store.approvals import OF_EXECUTION, VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.executions import SHOWN, STANDING
from agent_runtime.store.statement import Q
from agent_runtime.store.steps import JOURNAL
from agent_runtime.testing import ScriptedModel, call
from tests.clock import Clock
from tests.flow import Flow
from tests.sdk.agents import Ledger, refund_agent

NAMES = {STANDING: "standing", SHOWN: "shown", JOURNAL: "journal", OF_EXECUTION: "approvals", VOTES: "votes"}
REFUND = call("process_refund", order_id="ORD-1", amount=10)


class Reads(list[str]):
    """The reads for looks at executions, by name, in order."""

    def taken(self) -> list[str]:
        taken = list(self)
        self.clear()
        return taken


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    made, reading, one = Reads(), Database.all, Database.one

    async def all_counted(self: Database, q: Q[Any], /, **binds: Any) -> Any:
        made.extend([NAMES[q]] if q in NAMES else [])
        return await reading(self, q, **binds)

    async def one_counted(self: Database, q: Q[Any], /, **binds: Any) -> Any:
        made.extend([NAMES[q]] if q in NAMES else [])
        return await one(self, q, **binds)

    with monkeypatch.context() as patched:
        patched.setattr(Database, "all", all_counted)
        patched.setattr(Database, "one", one_counted)
        yield made


async def test_how_often_status_and_result_read(
    database_url: str, database_kind: str, model: ScriptedModel, ledger: Ledger, reads: Reads
) -> None:
    again = ["standing"] if database_kind == "postgresql" else []  # there each read has a moment of its own
    model.says([call("get_order", order_id="ORD-1"), REFUND], "Paid.")
    async with AgentRuntime(database_url, model=model, surfaces=False) as runtime:
        handle = await runtime.start_async(refund_agent(ledger), "Refund ORD-1")
        await handle.get_status_async()
        reads.clear()  # the engine has read too
        status = await handle.get_status_async()
        assert reads.taken() == ["standing", "shown", "journal", "approvals", *again]
        await handle.approve_async()
        await handle.get_result_async()
        reads.clear()
        result = await handle.get_result_async()
        assert reads.taken() == ["standing", "shown", "journal", "approvals", "votes"]
        assert (status.is_waiting, len(status.pending_approvals), len(status.messages)) == (True, 1, 3)
        assert (result.is_success, result.turns, len(result.tool_calls), len(result.approvals)) == (True, 2, 2, 1)
        assert reads == [], "status and result are as they were looked at"


async def test_who_waits_for_people_reads_little(
    database_url: str, model: ScriptedModel, ledger: Ledger, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LOOK_EVERY", 0.01)
    model.says(REFUND, "Paid.")
    async with AgentRuntime(database_url, model=model, surfaces=False) as runtime:
        handle = await runtime.start_async(refund_agent(ledger), "Refund ORD-1")
        await handle.get_status_async()
        reads.clear()
        waits: asyncio.Task[AgentResult] = asyncio.create_task(handle.get_result_async())
        while len(reads) < 5:
            await asyncio.sleep(0.01)
        assert set(reads) == {"standing"}
        await handle.approve_async()
        assert (await waits).is_success


async def test_a_status_comes_when_its_time_is_up(database_url: str, model: ScriptedModel) -> None:
    released = asyncio.Event()

    @tool
    async def slow() -> str:
        """Takes its time."""
        await released.wait()
        return "at last"

    model.says(call("slow"), "Done.")
    async with AgentRuntime(database_url, model=model, surfaces=False) as runtime:
        handle = await runtime.start_async(Agent("patient", tools=[slow]), "go")
        async with asyncio.timeout(20):
            for seconds in (0, 0.05):
                assert (await handle.get_status_async(seconds)).is_running
        released.set()
        assert (await handle.get_status_async()).is_complete


async def test_a_look_is_one_picture(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that another process makes while it is read shows in all of it or in nothing."""
    flow = await Flow.asked(database)
    [approval] = await flow.pending()
    url, decided, reading = database.url.render_as_string(hide_password=False), False, Database.all

    async def decide() -> None:
        nonlocal decided
        decided = True
        async with await Database.open(url, clock=lambda: clock.now) as other:
            approve = Decision(Verdict.approved, "as agreed")
            await other.write(resolve, approval.approval_request_id, approve, by=LOCAL_OPERATOR, via=Via.sdk)

    async def interrupted(self: Database, q: Q[Any], /, **binds: Any) -> Any:
        if q is JOURNAL and not decided:
            with ThreadPoolExecutor(1) as apart:
                apart.submit(asyncio.run, decide()).result()
        return await reading(self, q, **binds)

    monkeypatch.setattr(Database, "all", interrupted)
    executions = LocalExecutions(SimpleNamespace(database=database, agents={}))  # type: ignore[arg-type]
    seen = await executions.look(flow.execution_id)
    assert decided
    picture = (seen.status, seen.journal[1].status, seen.approvals[0]["status"])
    assert picture in {("waiting", "gated", "pending"), ("queued", "approved", "approved")}
    now = await executions.look(flow.execution_id)
    assert (now.status, now.journal[1].status, now.approvals[0]["status"]) == ("queued", "approved", "approved")
