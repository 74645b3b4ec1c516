"""`mock_run`: exactly the given events happen; free tools really run, gated ones never do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent_runtime import Agent, Approval, tool
from agent_runtime.errors import InvalidRequest
from agent_runtime.testing import MockEvent, expect, mock_run


@pytest.fixture
def agent() -> Agent:
    """Tools of every kind; `agent.ran` tells which functions ran."""
    done: list[Any] = []

    @tool
    def get_order(order_id: str, verbose: bool = False) -> dict[str, Any]:
        done.append(("get_order", order_id, verbose))
        return {"order_id": order_id, "amount": 29.99}

    @tool
    async def get_customer(customer_id: str) -> str:
        await asyncio.sleep(0)
        done.append(("get_customer", customer_id))
        return "Alex"

    @tool
    def broken() -> None:
        raise ValueError("no such table")

    @tool
    async def broken_later() -> None:
        raise RuntimeError

    @tool(effect="keyed")
    def pay(amount: float, idempotency_key: str) -> str:
        done.append(("pay", amount, bool(idempotency_key)))
        return "paid"

    @tool(approval_required=True)
    def process_refund(order_id: str, amount: float) -> str:
        done.append("process_refund")
        return "refunded"

    @tool(approval=Approval(quorum=2))
    async def delete_account(customer_id: str) -> str:
        done.append("delete_account")
        return "deleted"

    @tool(approval_required=lambda amount: amount > 100)
    def send_voucher(amount: float) -> str:
        done.append(("send_voucher", amount))
        return "sent"

    made = Agent(
        "refund_agent",
        tools=[get_order, get_customer, broken, broken_later, pay, process_refund, delete_account, send_voucher],
    )
    made.ran = done  # type: ignore[attr-defined]
    return made


def ran_by(agent: Agent) -> list[Any]:
    return list(agent.ran)  # type: ignore[attr-defined]


def test_a_gated_tool_never_runs_whatever_the_script_says(agent: Agent) -> None:
    refund = {"order_id": "ORD-1", "amount": 10.0}
    result = mock_run(
        agent,
        "Refund ORD-1, delete cust_001, send a voucher",
        events=[
            MockEvent.tool_call("process_refund", refund),
            MockEvent.waiting("Waiting for refund approval"),
            MockEvent.approved(by="U123"),
            MockEvent.tool_result("process_refund", "refunded"),
            MockEvent.tool_call("delete_account", {"customer_id": "cust_001"}),
            MockEvent.waiting(),
            MockEvent.rejected("they stay", by="U456"),
            MockEvent.tool_call("send_voucher", {"amount": 500}),
            MockEvent.waiting(),
            MockEvent.expired(),
            MockEvent.done("Refunded only."),
        ],
    )
    assert ran_by(agent) == []
    expect(result).completed().no_errors().approved_by("U123").rejected("they stay", by="U456")
    assert [call["result"] for call in result.tool_calls] == ["refunded", None, None]
    assert [(approval["tool_name"], approval["status"]) for approval in result.approvals] == [
        ("process_refund", "approved"),
        ("delete_account", "rejected"),
        ("send_voucher", "expired"),
    ]
    assert result.approvals[0]["arguments"] == refund
    assert (result.is_success, result.is_rejected, result.turns) == (True, True, 4)


def test_a_free_tool_runs_async_ones_too(agent: Agent) -> None:
    result = mock_run(
        agent,
        "Look",
        events=[
            MockEvent.tool_call("get_order", {"order_id": "ORD-1"}),
            MockEvent.tool_call("get_customer", {"customer_id": "cust_001"}),
            MockEvent.tool_call("send_voucher", {"amount": 5}),
            MockEvent.tool_call("pay", {"amount": 5}),
            MockEvent.done("Looked."),
        ],
    )
    assert ran_by(agent) == [
        ("get_order", "ORD-1", False),
        ("get_customer", "cust_001"),
        ("send_voucher", 5.0),
        ("pay", 5.0, True),
    ]
    assert [call["result"] for call in result.tool_calls] == [
        {"order_id": "ORD-1", "amount": 29.99},
        "Alex",
        "sent",
        "paid",
    ]
    assert [str(event.type) for event in result.events] == ["tool_call", "tool_result"] * 4 + ["done"]


async def test_async_tools_run_also_inside_a_loop(agent: Agent) -> None:
    result = mock_run(agent, "Look", events=[MockEvent.tool_call("get_customer", {"customer_id": "cust_001"})])
    assert result.tool_calls[0]["result"] == "Alex"
    assert result.status == "running"


@pytest.mark.parametrize(
    ("name", "args", "told"),
    [
        ("broken", {}, "error: ValueError: no such table"),
        ("broken_later", {}, "error: RuntimeError"),
        ("get_order", {"order": "ORD-1"}, "error: invalid arguments: get_order: "),
        ("process_refund", {}, "error: invalid arguments: process_refund: "),
        ("nothing", {}, "error: there is no tool called 'nothing'"),
    ],
)
def test_what_fails_is_told_as_the_model_is_told(agent: Agent, name: str, args: dict[str, Any], told: str) -> None:
    result = mock_run(agent, "Try", events=[MockEvent.tool_call(name, args), MockEvent.done("It failed.")])
    [call] = result.tool_calls
    assert call["result"].startswith(told)
    assert call["status"] == "failed"
    expect(result).completed().used_tool(name)
    assert ran_by(agent) == []


def test_a_scripted_result_stands_for_the_function(agent: Agent) -> None:
    order = {"order_id": "ORD-1"}
    result = mock_run(
        agent,
        "Look twice",
        events=[
            MockEvent.tool_call("get_order", order),
            MockEvent.tool_result("get_order", {"amount": 1}),
            MockEvent.tool_call("get_order", order),
            MockEvent.done("Looked."),
        ],
    )
    assert [call["result"] for call in result.tool_calls] == [{"amount": 1}, {"order_id": "ORD-1", "amount": 29.99}]
    assert ran_by(agent) == [("get_order", "ORD-1", False)]


def test_nothing_runs_where_that_is_asked_for(agent: Agent) -> None:
    call = MockEvent.tool_call("get_order", {"order_id": "ORD-1"})
    result = mock_run(agent, "Look", events=[call, MockEvent.done("Looked.")], auto_execute_tools=False)
    assert ran_by(agent) == []
    assert result.tool_calls[0]["result"] is None


def test_outputs_and_endings(agent: Agent) -> None:
    words = [MockEvent.thinking("hm"), MockEvent.message("Hello."), MockEvent.done("Hello.")]
    done = mock_run(agent, "Hi", events=words)
    assert done.output == {"result": "Hello.", "finishReason": "STOP"}
    assert done.messages == [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    whole = mock_run(agent, "Hi", events=[MockEvent.done({"result": {"a": 1}, "finishReason": "LENGTH"})])
    assert (whole.output, whole.finish_reason) == ({"result": {"a": 1}, "finishReason": "LENGTH"}, "LENGTH")
    failed = mock_run(agent, "Hi", events=[MockEvent.error("the model is away")])
    assert (failed.status, failed.error, failed.is_failed) == ("failed", "the model is away", True)
    assert failed.output is not None
    waits = mock_run(
        agent,
        "Hi",
        events=[MockEvent.tool_call("delete_account", {"customer_id": "cust_001"}), MockEvent.waiting()],
    )
    assert (waits.status, waits.output) == ("waiting", None)
    changed = [MockEvent.waiting("May I?"), MockEvent.changes_requested("softer"), MockEvent.done("Fine.")]
    assert mock_run(agent, "Hi", events=changed).approvals[0]["status"] == "request_changes"


@pytest.mark.parametrize(
    "events",
    [
        [MockEvent.done("Bye."), MockEvent.message("And another thing")],
        [MockEvent.tool_result("get_order", 1)],
        [MockEvent.approved()],
    ],
)
def test_what_cannot_happen_is_refused(agent: Agent, events: list[Any]) -> None:
    with pytest.raises(InvalidRequest, match="events: "):
        mock_run(agent, "Hi", events=events)
