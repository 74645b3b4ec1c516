"""Tools as they run: kinds of functions, how they fail, time limits, and what a dead worker left behind."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent_runtime.agent import Agent
from agent_runtime.core.approval import Outcome
from agent_runtime.core.canonical import digest
from agent_runtime.core.policy import Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.engine.calls import Calls
from agent_runtime.engine.functions import Functions
from agent_runtime.engine.starting import Starting
from agent_runtime.engine.switchboard import Switchboard
from agent_runtime.operations.calls import finish_call
from agent_runtime.operations.claim import take_over_from
from agent_runtime.operations.settle import settle
from agent_runtime.store.database import Database
from agent_runtime.store.faults import OutcomeUnknown
from agent_runtime.tools import Tool, tool
from tests.engine.conftest import Begin, OpenReplica
from tests.engine.replies import Replies, calls, says
from tests.engine.running import Run
from tests.flow import POLICY, REJECT, Flow, gated

DONE = says("Done.")


# --- kinds of functions -------------------------------------------------------------------------------------


async def test_plain_functions_run_beside_the_loop_and_coroutines_on_it(begin: Begin) -> None:
    loop_thread = threading.get_ident()
    both = threading.Barrier(2, timeout=10)

    @tool
    def plain(n: int) -> bool:
        both.wait()
        return threading.get_ident() != loop_thread

    @tool
    async def coroutine() -> bool:
        await asyncio.sleep(0)
        return threading.get_ident() == loop_thread

    @tool
    def returns_a_coroutine() -> Any:
        return coroutine()

    model = Replies(
        calls(("plain", {"n": 1}), ("plain", {"n": 2}), ("coroutine", {}), ("returns_a_coroutine", {})), DONE
    )
    run = await begin(model, plain, coroutine, returns_a_coroutine)
    assert await run.output() == "Done."
    assert model.heard == ["true"] * 4


async def test_a_keyed_tool_gets_its_key(begin: Begin) -> None:
    keys: list[str] = []

    @tool(effect="keyed")
    def charge(amount: int, idempotency_key: str) -> None:
        keys.append(idempotency_key)

    run = await begin([calls(("charge", {"amount": 1}), ("charge", {"amount": 1})), DONE], charge)
    assert await run.output() == "Done."
    assert keys == [f"{run.execution_id}:1", f"{run.execution_id}:2"]


# --- how they fail ------------------------------------------------------------------------------------------


def raises(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def cancels_itself() -> None:
    raise asyncio.CancelledError


async def exits() -> None:
    sys.exit(3)


def circle() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


FAILING: list[tuple[Callable[[], Any], str]] = [
    (raises(ValueError("no such order")), "ValueError: no such order"),
    (raises(KeyError()), "KeyError"),
    (raises(StopIteration()), "StopIteration"),
    (raises(OSError("/tmp/\udcff")), "OSError: /tmp/\\udcff"),
    (raises(SystemExit(2)), "tried to end the process"),
    (exits, "tried to end the process"),
    (cancels_itself, "cancelled itself"),
    (raises(TimeoutError("upstream")), "TimeoutError: upstream"),
    (object, "no JSON form"),
    (circle, "no JSON form"),
    (lambda: float("nan"), "finite"),
    (lambda: {"n": 2**60}, "pass it as a string"),
    (lambda: "a\ud800", "surrogate"),
]
"""Functions that fail, or whose result cannot be recorded, and what the model is told."""


@pytest.mark.parametrize("gate", [False, True], ids=["free", "gated"])
async def test_the_model_is_told_and_the_execution_goes_on(begin: Begin, gate: bool) -> None:
    tools = [Tool(function, name=f"act_{n}", approval_required=gate) for n, (function, _) in enumerate(FAILING)]
    fine = Tool(lambda: {1: "a"}, name="fine", approval_required=gate)
    model = Replies(calls(*((each.name, {}) for each in [*tools, fine])), DONE)
    run = await begin(model, *tools, fine)
    if gate:
        for approval in await run.waits():
            await run.resolve(position=approval.position or 0)
    assert await run.output() == "Done."
    for heard, (_, told) in zip(model.heard, FAILING, strict=False):
        assert heard.startswith("error: ")
        assert told in heard
    assert model.heard[-1] == '{"1":"a"}'
    assert [step.status for step in await run.journal()][1:-1] == [*["failed"] * len(FAILING), "succeeded"]


async def test_an_effect_whose_result_cannot_be_recorded_is_said_to_have_run(begin: Begin) -> None:
    model = Replies(calls(("act", {})), DONE)
    run = await begin(model, Tool(object, name="act"))
    await run.ends()
    assert "the call ran" in model.heard[0]


async def test_a_long_result_is_cut_and_says_so(open_replica: OpenReplica) -> None:
    whole = "x" * 2_000
    model = Replies(calls(("text", {}), ("rows", {}), ("fails", {}), ("short", {})), DONE)
    tools = [
        Tool(lambda: whole, name="text"),
        Tool(lambda: [whole], name="rows"),
        Tool(raises(ValueError(whole)), name="fails"),
        Tool(lambda: "x" * 1_000, name="short"),
    ]
    replica = await open_replica(model, Agent("an_agent", tools=tools), tool_result_limit=1_000)
    run = await Run.begun(replica, "an_agent")
    assert await run.output() == "Done."
    text, rows, failed, short = model.heard
    assert text == f"{whole[:1_000]}\n[truncated: the first 1,000 of 2,000 characters; {digest(whole)}]"
    assert rows == f'["{whole[:998]}\n[truncated: the first 1,000 of 2,004 characters; {digest([whole])}]'
    assert failed.startswith("error: ValueError: xxx")
    assert "[truncated: the first 1,000 of 2,012 characters" in failed
    assert short == "x" * 1_000
    recorded = json.loads((await run.step()).result or "{}")
    assert recorded == {"value": whole[:1_000], "truncated": {"characters": 2_000, "digest": digest(whole)}}


class LosesAnAnswer:
    """A database whose answer to the first write of an end is lost after COMMIT."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.lost = False

    async def write(self, operation: Any, *args: Any, **named: Any) -> Any:
        done = await self.database.write(operation, *args, **named)
        if operation is finish_call and not self.lost:
            self.lost = True
            raise OutcomeUnknown()
        return done

    async def one(self, *args: Any, **binds: Any) -> Any:
        return await self.database.one(*args, **binds)


@pytest.mark.databases("sqlite")
async def test_an_end_that_was_recorded_although_its_answer_was_lost(live_database: Database) -> None:
    act = Tool(lambda order: "done", name="refund", version="1")
    flow = await Flow.asked(live_database, gated(version=act.version))
    await flow.resolve()
    await flow.claim()
    functions = Functions()
    database: Any = LosesAnAnswer(live_database)
    switchboard = Switchboard(database)
    calls = Calls(database, Defaults(), functions, switchboard, Starting(database, switchboard, "", {}))
    ended = await calls.run(flow.held, act, await flow.step())
    functions.close()
    assert database.lost
    assert (ended.status, json.loads(ended.result or "{}")) == ("succeeded", {"value": "done"})
    assert (await flow.types()).count("call.succeeded") == 1


# --- time limits --------------------------------------------------------------------------------------------


async def slow() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("effect", ["unsafe", "keyed", "checkable"])
async def test_out_of_time_is_in_doubt(begin: Begin, effect: Any) -> None:
    lookup = {"lookup": lambda: None} if effect == "checkable" else {}
    tool_ = Tool(slow, name="act", approval_required=True, effect=effect, timeout_seconds=0.05, **lookup)
    run = await begin([calls(("act", {})), DONE], tool_)
    await run.waits()
    await run.resolve()
    await run.has("in_doubt")
    [doubt] = await run.waits()
    assert (doubt.kind, doubt.expires_at) == ("in_doubt", None)
    assert "longer than 0.05 s" in (doubt.context or "")
    await run.database.write(
        settle, doubt.approval_request_id, Outcome.happened, by=LOCAL_OPERATOR, via=Via.cli, result="seen"
    )
    assert await run.output() == "Done."


async def test_out_of_time_of_what_may_be_repeated_is_told(begin: Begin) -> None:
    model = Replies(calls(("act", {})), DONE)
    run = await begin(model, Tool(slow, name="act", timeout_seconds=0.05))
    assert await run.output() == "Done."
    assert model.heard == ["error: act ran longer than 0.05 s"]


async def test_a_plain_function_out_of_time_does_not_hold_the_loop(begin: Begin) -> None:
    release = threading.Event()
    model = Replies(calls(("act", {})), DONE)
    run = await begin(model, Tool(lambda: release.wait(10) and None, name="act", timeout_seconds=0.05))
    try:
        assert await run.output() == "Done."
        assert "ran longer" in model.heard[0]
    finally:
        release.set()


# --- what a dead worker left started ------------------------------------------------------------------------


async def left_started(database: Database, tool_: Tool) -> str:
    """The id of a queued execution with an approved call of `tool_` that a dead worker had started."""
    flow = await Flow.asked(database, gated(tool_.name, effect=tool_.effect, version=tool_.version))
    await flow.resolve()
    await flow.claim("dead-worker")
    await flow.start_call(tool_version=tool_.version)
    await database.write(take_over_from, "dead-worker")
    return flow.execution_id


class Refunds:
    """A refund tool and what it did, with the keys that it got."""

    def __init__(self, effect: Any, lookup: Callable[..., Any] | None = None) -> None:
        self.made: list[tuple[str, str]] = []
        self.looked_up: list[tuple[str, str]] = []

        @tool(name="refund", approval_required=True, effect=effect, lookup=self._look if lookup else None)
        def refund(order: str, idempotency_key: str) -> str:
            self.made.append((order, idempotency_key))
            return "refunded now"

        self.tool = refund
        self._lookup = lookup

    def _look(self, order: str, idempotency_key: str) -> Any:
        self.looked_up.append((order, idempotency_key))
        assert self._lookup is not None
        return self._lookup()


async def recovered(database: Database, open_replica: OpenReplica, tool_: Tool, *tools: Tool) -> tuple[Run, Replies]:
    execution_id = await left_started(database, tool_)
    model = Replies(DONE, DONE)
    replica = await open_replica(model, Agent("refund_agent", tools=tools or [tool_]))
    return Run(replica.database, execution_id), model


async def test_an_unsafe_one_is_never_run_again_but_asked_about(
    live_database: Database, open_replica: OpenReplica
) -> None:
    refunds = Refunds("unsafe")
    run, model = await recovered(live_database, open_replica, refunds.tool)
    [doubt] = await run.waits()
    assert doubt.kind == "in_doubt"
    assert json.loads(doubt.context or "{}")["idempotency_key"] == f"{run.execution_id}:1"
    assert refunds.made == []
    by = {"by": LOCAL_OPERATOR, "via": Via.cli}
    await run.database.write(settle, doubt.approval_request_id, Outcome.not_happened, **by)
    [fresh] = await run.waits()
    assert (fresh.kind, refunds.made) == ("tool", [])
    await run.resolve()
    assert await run.output() == "Done."
    assert refunds.made == [("ORD-8821", f"{run.execution_id}:1")]
    assert model.heard == ["refunded now"]


@pytest.mark.parametrize("effect", ["keyed", "idempotent"])
async def test_a_keyed_one_is_run_again_with_its_key(
    live_database: Database, open_replica: OpenReplica, effect: str
) -> None:
    refunds = Refunds(effect)
    run, _ = await recovered(live_database, open_replica, refunds.tool)
    assert await run.output() == "Done."
    assert refunds.made == [("ORD-8821", f"{run.execution_id}:1")]
    assert (await run.step()).attempt == 2
    assert len(await run.approvals()) == 1


async def test_a_checkable_one_that_happened_is_not_run_again(
    live_database: Database, open_replica: OpenReplica
) -> None:
    refunds = Refunds("checkable", lambda: {"refund": "re_1"})
    run, model = await recovered(live_database, open_replica, refunds.tool)
    assert await run.output() == "Done."
    assert (refunds.made, refunds.looked_up) == ([], [("ORD-8821", f"{run.execution_id}:1")])
    assert model.heard == ['{"refund":"re_1"}']


async def test_a_checkable_one_that_did_not_happen_is_run(live_database: Database, open_replica: OpenReplica) -> None:
    refunds = Refunds("checkable", lambda: None)
    run, model = await recovered(live_database, open_replica, refunds.tool)
    assert await run.output() == "Done."
    assert len(refunds.looked_up) == len(refunds.made) == 1
    assert model.heard == ["refunded now"]


async def test_a_checkable_one_of_which_nobody_can_tell_is_asked_about(
    live_database: Database, open_replica: OpenReplica
) -> None:
    refunds = Refunds("checkable", raises(ConnectionError("the bank is away")))
    run, _ = await recovered(live_database, open_replica, refunds.tool)
    [doubt] = await run.waits()
    assert (doubt.kind, refunds.made) == ("in_doubt", [])
    assert "the bank is away" in (doubt.context or "")


@pytest.mark.parametrize("effect", ["unsafe", "keyed", "checkable", "idempotent"])
async def test_one_whose_tool_is_gone_is_asked_about(
    live_database: Database, open_replica: OpenReplica, effect: str
) -> None:
    refunds = Refunds(effect, (lambda: None) if effect == "checkable" else None)
    other = Tool(lambda: None, name="other")
    run, _ = await recovered(live_database, open_replica, refunds.tool, other)
    [doubt] = await run.waits()
    assert doubt.kind == "in_doubt"
    assert "no tool called 'refund'" in (doubt.context or "")


async def test_a_keyed_one_that_changed_meanwhile_is_asked_about(
    live_database: Database, open_replica: OpenReplica
) -> None:
    refunds = Refunds("keyed")
    changed = tool(name="refund", approval_required=True, effect="keyed", version="2")(refunds.tool.function)
    run, _ = await recovered(live_database, open_replica, refunds.tool, changed)
    [doubt] = await run.waits()
    assert (doubt.kind, refunds.made) == ("in_doubt", [])


async def test_an_approved_one_whose_tool_changed_is_asked_again(
    live_database: Database, open_replica: OpenReplica
) -> None:
    refunds = Refunds("unsafe")
    changed = tool(name="refund", approval_required=True, version="2")(refunds.tool.function)
    flow = await Flow.asked(live_database, gated(version=refunds.tool.version))
    await flow.resolve()
    replica = await open_replica(Replies(DONE, DONE), Agent("refund_agent", tools=[changed]))
    run = Run(replica.database, flow.execution_id)
    [fresh] = await run.asks()
    assert (fresh.tool_version, refunds.made) == (changed.version, [])
    await run.waits()
    await run.resolve()
    assert await run.output() == "Done."
    assert len(refunds.made) == 1


async def test_an_approved_one_whose_tool_is_gone_is_told(live_database: Database, open_replica: OpenReplica) -> None:
    flow = await Flow.asked(live_database)
    await flow.resolve()
    model = Replies(DONE, DONE)
    replica = await open_replica(model, Agent("refund_agent"))
    assert await Run(replica.database, flow.execution_id).output() == "Done."
    assert model.heard == ["error: this agent has no tool called 'refund'"]


async def test_with_stop_beside_it_the_unknown_outcome_is_asked_before_the_end(
    live_database: Database, open_replica: OpenReplica
) -> None:
    refunds = Refunds("unsafe")
    stop = replace(POLICY, on_reject="stop")
    version = refunds.tool.version
    flow = await Flow.asked(live_database, gated(version=version), gated("refund", policy=stop, version=version))
    await flow.resolve(position=1)
    await flow.claim("dead-worker")
    await flow.start_call(tool_version=version)
    await flow.resolve(REJECT, position=2)
    await live_database.write(take_over_from, "dead-worker")
    replica = await open_replica(Replies(DONE), Agent("refund_agent", tools=[refunds.tool]))
    run = Run(replica.database, flow.execution_id)
    [doubt] = await run.waits()
    assert doubt.kind == "in_doubt"
    by = {"by": LOCAL_OPERATOR, "via": Via.cli}
    await run.database.write(settle, doubt.approval_request_id, Outcome.happened, result=1, **by)
    assert (await run.output())["type"] == "CollaborationError"
