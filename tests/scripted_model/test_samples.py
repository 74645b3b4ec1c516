"""The sample agents: what they ask for, what they leave behind, and that their scripts know them."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from agent_runtime import Agent
from bot.scripted_model import serve_scripted_model
from examples import prod_change_demo, refund_agent

AGENTS: dict[str, tuple[Agent, str, dict[str, Any]]] = {
    "refund_agent": (
        refund_agent.agent,
        "Customer Alex (cust_001) wants a refund on order ORD-8821",
        {"tool": "process_refund", "arguments": {"order_id": "ORD-8821", "amount": 29.99}},
    ),
    "prod_change_demo": (
        prod_change_demo.agent,
        "Review change CHG-901 and execute if safe.",
        {
            "tool": "execute_rollout",
            "arguments": {
                "change_id": "CHG-901",
                "rollout_plan": "Roll out to 10% canary, watch errors and latency for 15 minutes, then to everyone.",
                "reason": "The change looks safe: service checkout-api, risk medium, blast radius 10% canary.",
            },
        },
    ),
}


@pytest.mark.parametrize("name", AGENTS)
def test_only_the_call_with_an_effect_is_gated(name: str) -> None:
    agent, _, effect = AGENTS[name]
    assert agent.name == name
    assert [tool.name for tool in agent.tools if tool.gated] == [effect["tool"]]
    gated = agent.tool(effect["tool"])
    assert gated is not None
    assert gated.effect == "unsafe"
    assert gated.schema["properties"].keys() == effect["arguments"].keys()


def test_the_refund_outlives_a_slow_reader_and_the_rollout_has_a_ladder_of_seconds() -> None:
    refund = refund_agent.process_refund.approval
    assert refund is not None
    assert (refund.quorum, refund.expires_in_hours) == (1, 24)
    rollout = prod_change_demo.execute_rollout.approval
    assert rollout is not None
    assert (rollout.remind_after, rollout.escalate_after) == ("15s", "30s")
    assert rollout.expires_in_hours is not None
    assert rollout.expires_in_hours * 3600 == pytest.approx(60)


@pytest.mark.parametrize("name", AGENTS)
async def test_its_script_plays_it_to_one_effect(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "ledger.jsonl"
    monkeypatch.setenv("COUNTERSIGN_DEMO_LEDGER", str(ledger))
    agent, prompt, effect = AGENTS[name]
    answer = await played(agent, prompt)
    assert answer.startswith("Done: ")
    (line,) = ledger.read_text().splitlines()
    written = json.loads(line)
    assert written.pop("at").endswith("+00:00")
    assert written == {**effect, "idempotency_key": "key-1"}


async def played(agent: Agent, prompt: str) -> str:
    """The agent's last words when every call is run at once, as if all were approved."""
    messages: list[Any] = [{"role": "system", "content": agent.instructions}, {"role": "user", "content": prompt}]
    tools: Any = agent.tool_schemas
    async with serve_scripted_model() as model, AsyncOpenAI(base_url=model.base_url, api_key="x") as client:
        for _ in range(5):
            answer = await client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
            message = answer.choices[0].message
            if not message.tool_calls:
                return message.content or ""
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                assert call.type == "function"
                result = run(agent, call.function.name, json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
    raise AssertionError(f"{agent.name} did not come to an end in 5 turns")


def run(agent: Agent, name: str, arguments: dict[str, Any]) -> Any:
    tool = agent.tool(name)
    assert tool is not None
    takes_key = "idempotency_key" in inspect.signature(tool.function).parameters
    return tool(**tool.validate(arguments), **({"idempotency_key": "key-1"} if takes_key else {}))


def test_without_a_ledger_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERSIGN_DEMO_LEDGER", raising=False)
    monkeypatch.chdir(tmp_path)
    assert refund_agent.process_refund("ORD-1", 1.0)["refunded"] is True
    assert list(tmp_path.iterdir()) == []
