"""Reasoners through handles and streams: what they call, ask and wait for, children's approvals included."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime import Agent, AgentHandle, AgentRuntime
from agent_runtime.errors import NotFound
from agent_runtime.testing import ScriptedModel, call, expect
from tests.sdk.agents import Ledger, refund_agent

REFUND = call("process_refund", order_id="ORD-1", amount=10)


def told(runtime: AgentRuntime, execution_id: str) -> list[tuple[str, str | None]]:
    return [(str(event.type), event.tool_name) for event in AgentHandle(execution_id, runtime).stream()]


def test_a_pause_is_answered_by_the_handle(runtime: AgentRuntime, model: ScriptedModel) -> None:
    agent = Agent("writer", model="openai/scripted")

    @agent.step
    def publish(text: str) -> str:
        return f"published: {text}"

    @agent.reasoner()
    async def write(topic: str) -> dict[str, Any]:
        draft = await agent.ai(user=f"Write about {topic}")
        decision = await agent.pause(approval_request_id=f"review-{topic}", reviewers=["U123"])
        if not decision.approved:
            return {"kept": decision.feedback}
        return {"done": await publish(draft)}

    model.says("a draft", "another draft")
    stream = runtime.stream(agent, "ducks")
    for event in stream:
        if event.type == "waiting":
            assert (event.approval_request_id, event.tool_name) == ("review-ducks", "writer.write")
            stream.approve("lovely")
    result = stream.get_result()
    assert result.output == {"result": {"done": "published: a draft"}, "finishReason": "STOP"}
    assert told(runtime, result.execution_id) == [(str(event.type), event.tool_name) for event in stream.events]
    assert [str(event.type) for event in stream.events] == [
        "thinking",
        "waiting",
        "resolved",
        "tool_call",
        "tool_result",
        "done",
    ]
    expect(result).completed().approved_by("local:operator").used_tool("publish")

    handle = runtime.start(agent, "geese")
    status = handle.get_status()
    assert (status.is_waiting, status.pending_approvals[0]["kind"]) == (True, "pause")
    handle.request_changes("more geese")
    assert handle.get_result().output == {"result": {"kept": "more geese"}, "finishReason": "STOP"}


def test_a_childs_approval_is_listed_with_its_parent(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    clerk, desk = refund_agent(ledger), Agent("desk")

    @desk.reasoner()
    async def serve(order_id: str) -> Any:
        return await desk.call("refund_agent", prompt=f"Refund {order_id}")

    runtime.deploy(clerk)
    model.says(REFUND, "Paid.")
    parent = runtime.start(desk, "ORD-1")
    for event in parent.stream():
        if event.type == "waiting":
            break
    [pending] = parent.get_status(0).pending_approvals
    assert pending["tool_name"] == "process_refund"
    assert pending["execution_id"] != parent.execution_id
    parent.approve()
    result = parent.get_result()
    assert result.output == {"result": "Paid.", "finishReason": "STOP"}
    assert ledger == [("refund", "ORD-1", 10)]
    assert [approval["status"] for approval in result.approvals] == ["approved"]
    child = AgentHandle(pending["execution_id"], runtime)
    assert child.get_result().output == {"result": "Paid.", "finishReason": "STOP"}
    with pytest.raises(NotFound, match="asked for no approval"):
        AgentHandle(runtime.start(clerk, "Refund it").execution_id, runtime).approve(
            approval_request_id=pending["approval_request_id"]
        )


def test_what_a_step_raises_is_told(runtime: AgentRuntime) -> None:
    agent = Agent("publisher")

    @agent.step
    def publish() -> None:
        raise ValueError("the press is broken")

    @agent.reasoner()
    async def go(topic: str) -> None:
        await publish()

    result = runtime.run(agent, "ducks")
    expect(result).failed().events_contain("error").output_contains("the press is broken")
    assert result.tool_calls[0]["result"] == "error: ValueError: the press is broken"
