"""`expect`: every assertion holds where it should, and fails naming what was there instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime import Agent, AgentResult, EventType, tool
from agent_runtime.testing import Expectation, MockEvent, expect, mock_run


@tool
def get_order(order_id: str) -> str:
    return "delivered"


@tool(approval_required=True)
def process_refund(order_id: str, amount: float) -> str:
    raise AssertionError("a gated tool ran")


AGENT = Agent("refund_agent", tools=[get_order, process_refund])


@pytest.fixture(scope="module")
def good() -> AgentResult:
    return mock_run(
        AGENT,
        "Refund ORD-1",
        events=[
            MockEvent.thinking("Let me see."),
            MockEvent.tool_call("get_order", {"order_id": "ORD-1"}),
            MockEvent.tool_call("process_refund", {"order_id": "ORD-1", "amount": 10}),
            MockEvent.waiting(),
            MockEvent.approved(by="slack:T1:U123"),
            MockEvent.tool_result("process_refund", "refunded"),
            MockEvent.message("Refunded $10.00."),
            MockEvent.done("Refunded $10.00."),
        ],
    )


@pytest.fixture(scope="module")
def bad() -> AgentResult:
    events = [
        MockEvent.tool_call("process_refund", {"order_id": "ORD-1", "amount": 10}),
        MockEvent.waiting(),
        MockEvent.rejected("a duplicate", by="api:ops"),
        MockEvent.error("CollaborationError: rejected"),
    ]
    return mock_run(AGENT, "Refund ORD-1", events=events)


HOLDS: list[Callable[[Expectation], Any]] = [
    lambda it: it.completed().no_errors().status("succeeded").status("COMPLETED"),
    lambda it: it.used_tool("get_order").used_tool("process_refund", args={"amount": 10}),
    lambda it: it.did_not_use_tool("delete_account"),
    lambda it: it.tool_call_order(["get_order", "process_refund"]).tool_call_order(["process_refund"]),
    lambda it: it.tools_used_exactly(["process_refund", "get_order"]),
    lambda it: it.output_contains("$10").output_contains("REFUNDED", case_sensitive=False),
    lambda it: it.output_matches(r"\$\d+\.\d\d").output_type(str).output_type(dict),
    lambda it: it.events_contain("waiting").events_contain(EventType.DONE).events_contain("error", expected=False),
    lambda it: it.event_sequence(["thinking", "tool_call", EventType.WAITING, "done"]),
    lambda it: it.max_turns(3),
    lambda it: it.waited_for_approval().waited_for_approval("process_refund").approved_by("slack:T1:U123"),
]

FAILS: list[tuple[Callable[[Expectation], Any], str]] = [
    (lambda it: it.failed(), "it to be failed; it is succeeded"),
    (lambda it: it.status("waiting"), "it to be waiting"),
    (lambda it: it.used_tool("delete_account"), "a call of 'delete_account'"),
    (lambda it: it.used_tool("get_order", args={"order_id": "ORD-2"}), "ORD-1"),
    (lambda it: it.used_tool("get_order", args={"order": None}), "ORD-1"),
    (lambda it: it.did_not_use_tool("get_order"), "no call of 'get_order'"),
    (lambda it: it.tool_call_order(["process_refund", "get_order"]), "in the order"),
    (lambda it: it.tools_used_exactly(["get_order"]), "process_refund"),
    (lambda it: it.output_contains("REFUNDED"), "REFUNDED"),
    (lambda it: it.output_matches("^10"), "Refunded"),
    (lambda it: it.output_type(int), "of type int"),
    (lambda it: it.events_contain("error"), "an event error"),
    (lambda it: it.events_contain("waiting", expected=False), "no event waiting"),
    (lambda it: it.event_sequence(["done", "thinking"]), "in the order"),
    (lambda it: it.max_turns(2), "there were 3"),
    (lambda it: it.waited_for_approval("get_order"), "process_refund"),
    (lambda it: it.approved_by("slack:T1:U456"), "approved by slack:T1:U123"),
    (lambda it: it.rejected(), "a rejection"),
]


@pytest.mark.parametrize("assertion", HOLDS)
def test_holds(good: AgentResult, assertion: Callable[[Expectation], Any]) -> None:
    assert isinstance(assertion(expect(good)), Expectation)


@pytest.mark.parametrize(("assertion", "named"), FAILS)
def test_fails_naming_what_there_is(good: AgentResult, assertion: Callable[[Expectation], Any], named: str) -> None:
    with pytest.raises(AssertionError) as failed:
        assertion(expect(good))
    assert named in str(failed.value)


def test_of_a_run_that_failed(bad: AgentResult) -> None:
    expect(bad).failed().rejected().rejected("duplicate", by="api:ops").events_contain("error")
    for assertion in (
        lambda: expect(bad).completed(),
        lambda: expect(bad).no_errors(),
        lambda: expect(bad).rejected("something else"),
        lambda: expect(bad).rejected(by="api:other"),
        lambda: expect(bad).approved_by("api:ops"),
    ):
        with pytest.raises(AssertionError):
            assertion()


def test_of_a_run_that_asked_nobody() -> None:
    result = mock_run(AGENT, "Hi", events=[MockEvent.done({"order": "ORD-1"})])
    expect(result).output_type(dict).output_contains("ORD-1")
    with pytest.raises(AssertionError, match="nothing was asked"):
        expect(result).approved_by("U123")
    with pytest.raises(AssertionError):
        expect(result).waited_for_approval()
