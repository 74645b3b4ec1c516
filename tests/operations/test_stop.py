"""The stop switch: checked at every claim and before every start of a call, recorded, and nothing fails for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.core.policy import Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import NotFound, Stopped
from agent_runtime.operations.claim import claim, hold_back
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.stop import resume, stop
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.store.switches import SWITCHES
from tests.clock import Clock
from tests.flow import AGENT, CLAIMABLE, Flow, gated

BY: dict[str, Any] = {"by": LOCAL_OPERATOR, "via": Via.cli}


async def claims(database: Database) -> list[str]:
    claimed = await database.write(claim, CLAIMABLE, "worker-1", 64, Defaults())
    return [one.execution.execution_id for one in claimed]


@pytest.mark.parametrize("name", ["", AGENT.name])
async def test_nothing_that_is_stopped_is_claimed(database: Database, open_database: Any, name: str) -> None:
    flow = await Flow.started(database)
    await database.write(stop, name, **BY, reason="they refund twice")
    assert await claims(await open_database()) == []
    assert (await flow.execution()).status == "queued"
    await database.write(resume, name, **BY)
    assert await claims(database) == [flow.execution_id]


async def test_another_agent_goes_on(database: Database) -> None:
    flow = await Flow.started(database)
    await database.write(deploy, "another", "1", {"name": "another"}, by=LOCAL_OPERATOR)
    await database.write(stop, "another", **BY)
    assert await claims(database) == [flow.execution_id]


@pytest.mark.parametrize(("name", "kind"), [("", ""), (AGENT.name, "agent"), ("refund", "tool")])
async def test_an_approved_call_waits_and_then_runs(database: Database, clock: Clock, name: str, kind: Any) -> None:
    flow = await Flow.asked(database)
    await flow.resolve()
    await flow.claim()
    await database.write(stop, name, kind=kind, **BY)
    with pytest.raises(Stopped) as stopped:
        await flow.start_call()
    assert (await flow.step()).status == "approved"
    await database.write(hold_back, flow.held, scope=stopped.value.details["scope"])
    assert await claims(database) == []
    execution = await flow.execution()
    assert (execution.status, execution.attempts) == ("queued", 0)
    assert (await flow.types())[-1] == "execution.held"
    await database.write(resume, name, kind=kind, **BY)
    await flow.claim()
    assert (await flow.start_call()).status == "started"


async def test_other_calls_of_the_execution_go_on_while_one_tool_is_stopped(database: Database) -> None:
    flow = await Flow.asked(database, gated("refund"), gated("credit"))
    await flow.resolve(position=1)
    await flow.claim()
    await database.write(stop, "refund", kind="tool", **BY)
    with pytest.raises(Stopped):
        await flow.start_call(1)
    await database.write(hold_back, flow.held, scope="tool:refund")
    assert await claims(database) == []
    await flow.resolve(position=2)
    await flow.claim()
    assert (await flow.start_call(2)).status == "started"


async def test_it_is_recorded_who_stopped_and_resumed_and_why(database: Database, clock: Clock) -> None:
    first = await database.write(stop, "", **BY, reason="an incident")
    await clock.advance(60_000_000)
    assert await database.write(stop, "", **BY, reason="again") == first
    await database.write(resume, "", **BY, reason="it is over")
    assert await database.all(SWITCHES) == []
    events = await database.all(EVENTS_OF_STREAM, b_stream="switches", b_after=0, b_limit=9)
    assert [(one.type, one.principal, one.via) for one in events] == [
        ("switch.stopped", "local:operator", "cli"),
        ("switch.resumed", "local:operator", "cli"),
    ]
    assert json.loads(events[0].data) == {"scope": "all", "reason": "an incident"}
    assert json.loads(events[1].data) == {"scope": "all", "reason": "it is over", "stopped_seconds": 60}


async def test_unknown_names_are_refused(database: Database) -> None:
    await Flow.started(database)
    with pytest.raises(NotFound, match=r"no agent or tool is called 'refnd_agent'; known are: refund_agent"):
        await database.write(stop, "refnd_agent", **BY)
    with pytest.raises(NotFound, match="everything at once is not stopped"):
        await database.write(resume, "", **BY)
