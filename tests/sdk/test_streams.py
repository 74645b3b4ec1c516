"""Streams: the same events for who watches and for who comes late; decisions inside the loop."""

from __future__ import annotations

import threading

import pytest

from agent_runtime import Agent, AgentEvent, AgentHandle, AgentRuntime, EventType, tool
from agent_runtime.errors import AlreadyResolved, Conflict
from agent_runtime.testing import ScriptedModel, call
from tests.sdk.agents import Ledger, refund_agent

ORDER = call("get_order", order_id="ORD-1")
REFUND = call("process_refund", order_id="ORD-1", amount=10)
DELETE = call("delete_account", customer_id="cust_001")


def told(events: list[AgentEvent]) -> list[tuple[str, str | None]]:
    return [(str(event.type), event.tool_name) for event in events]


def test_events_equal_their_strings() -> None:
    assert EventType.TOOL_CALL == "tool_call"
    assert f"{EventType.DONE}" == "done"
    assert {"thinking", "tool_call", "tool_result", "waiting", "message", "error", "done"} <= set(EventType)


def test_one_event_a_call_and_one_an_approval(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says([ORDER, REFUND, DELETE], "All done.")
    stream = runtime.stream(refund_agent(ledger), "Refund ORD-1 and delete cust_001")
    for event in stream:
        if event.type == "waiting":
            stream.approve()
    assert told(stream.events)[:3] == [
        ("tool_call", "get_order"),
        ("tool_call", "process_refund"),
        ("tool_call", "delete_account"),
    ]
    assert told(stream.events).count(("waiting", "process_refund")) == 1
    assert told(stream.events).count(("waiting", "delete_account")) == 1
    assert told(stream.events)[-2:] == [("message", None), ("done", None)]
    assert sorted(ledger) == [("delete", "cust_001"), ("refund", "ORD-1", 10)]
    results = {event.tool_name: event.result for event in stream.events if event.type == "tool_result"}
    assert results["get_order"] == {"order_id": "ORD-1", "amount": 29.99}
    assert results["delete_account"] == {"deleted": "cust_001"}
    done = stream.events[-1]
    assert done.output == {"result": "All done.", "finishReason": "STOP"}
    assert {event.execution_id for event in stream.events} == {stream.execution_id}
    assert next(stream, None) is None


def test_who_comes_late_gets_the_same_events(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says([ORDER, REFUND], "Paid.")
    stream = runtime.stream(refund_agent(ledger), "Refund ORD-1")
    for event in stream:
        if event.type == "waiting":
            assert event.args == {"order_id": "ORD-1", "amount": 10}
            stream.approve("go ahead")
    late = list(AgentHandle(stream.execution_id, runtime).stream())
    assert {event.event_id for event in late} == {event.event_id for event in stream.events}
    assert told(late) == told(stream.events)
    resolved = next(event for event in late if event.type == "resolved")
    assert (resolved.content, resolved.result) == ("approved", "go ahead")
    assert resolved.approval is not None
    assert resolved.approval["decided_by"] == "local:operator"
    assert late == stream.handle.get_result().events


def test_rejected_inside_the_loop(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says(REFUND, "Then not.")
    stream = runtime.stream(refund_agent(ledger), "Refund ORD-1")
    for event in stream:
        if event.type == EventType.WAITING:
            stream.reject("too late for it")
        elif event.type == EventType.TOOL_RESULT:
            assert event.result == 'rejected by the reviewer: "too late for it". The call did not run.'
        elif event.type == EventType.DONE:
            assert event.output is not None
            assert event.output["result"] == "Then not."
            break
    assert stream.get_result().is_rejected
    assert ledger == []


def test_left_and_taken_up_again(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says(REFUND, DELETE, "Both.")
    stream = runtime.stream(refund_agent(ledger), "Refund, then delete")
    for event in stream:
        if event.type == "waiting":
            break
    stream.approve()
    second = next(event for event in stream if event.type == "waiting")
    assert second.tool_name == "delete_account"
    stream.request_changes("another customer")
    result = stream.get_result()
    assert result.output == {"result": "Both.", "finishReason": "STOP"}
    assert ledger == [("refund", "ORD-1", 10)]


def test_answers_what_was_yielded_last_and_nothing_else(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    model.says(REFUND, DELETE, "Both.")
    stream = runtime.stream(refund_agent(ledger), "Refund, then delete")
    with pytest.raises(Conflict, match="no `waiting` yet"):
        stream.approve()
    next(event for event in stream if event.type == "waiting")
    elsewhere = AgentHandle(stream.execution_id, runtime)
    elsewhere.reject("no")
    [waits] = elsewhere.get_status().pending_approvals
    with pytest.raises(AlreadyResolved):
        stream.approve()
    assert [one["approval_request_id"] for one in elsewhere.get_status(0).pending_approvals] == [
        waits["approval_request_id"]
    ]
    assert ledger == []


def test_ends_with_an_error_event(runtime: AgentRuntime, model: ScriptedModel) -> None:
    stream = runtime.stream(Agent("mute"), "say something")
    events = list(stream)
    assert told(events) == [("error", None)]
    assert "no reply is left" in events[0].content
    assert stream.get_result().error == f"ModelRefused: {events[0].content}"


async def test_async_for_on_the_callers_own_loop(database_url: str, model: ScriptedModel, ledger: Ledger) -> None:
    model.says(REFUND, "Paid.")
    async with AgentRuntime(database_url, model=model, surfaces=False) as runtime:
        stream = await runtime.stream_async(refund_agent(ledger), "Refund ORD-1")
        async for event in stream:
            if event.type == "waiting":
                await stream.approve_async()
        again = await stream.handle.stream_async()
        assert [event async for event in again] == [event async for event in stream.handle.stream_async()]
        assert (await stream.get_result_async()).turns == 2
    assert ledger == [("refund", "ORD-1", 10)]


def test_a_call_is_told_while_it_runs(runtime: AgentRuntime, model: ScriptedModel) -> None:
    released = threading.Event()

    @tool
    def slow() -> str:
        """Takes its time."""
        assert released.wait(20)
        return "at last"

    model.says(call("slow"), "Done.")
    stream = runtime.stream(Agent("patient", tools=[slow]), "go")
    assert told([next(stream)]) == [("tool_call", "slow")]
    released.set()
    assert told(list(stream)) == [("tool_result", "slow"), ("message", None), ("done", None)]
