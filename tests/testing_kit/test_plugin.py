"""The plugin in a project of its own, as pytest finds it there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest
from agent_runtime import Agent, Approval, tool
from agent_runtime.testing import call, expect

refunds = []

@tool(approval=Approval(expires_in_hours=1))
def process_refund(order_id: str, amount: float) -> dict:
    refunds.append(order_id)
    return {"refunded": True}

agent = Agent("refund_agent", tools=[process_refund])
REFUND = call("process_refund", order_id="ORD-8821", amount=29.99)

def test_refund(countersign):
    countersign.model.says(REFUND, "Refunded.")
    handle = countersign.start(agent, "Refund ORD-8821")
    countersign.approve_next()
    expect(handle.get_result()).completed().used_tool("process_refund", args={"amount": 29.99})
    assert refunds == ["ORD-8821"]

@pytest.mark.countersign(reviewers=["U123"])
def test_silence(countersign):
    countersign.model.says(REFUND, "Nobody answered.")
    handle = countersign.start(agent, "Refund ORD-8821")
    assert countersign.expire_next()["reviewers"] == ["U123"]
    expect(handle.get_result()).completed().output_contains("Nobody")

def test_wrong(countersign):
    countersign.model.says("No.")
    expect(countersign.run(agent, "Refund ORD-8821")).used_tool("process_refund")
"""


def test_in_a_users_project(tmp_path: Path) -> None:
    (tmp_path / "test_refunds.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--strict-markers"]
    command += ["-p", "no:randomly", "-p", "no:asyncio", str(tmp_path)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert "2 passed" in ended.stdout, ended.stdout + ended.stderr
    assert "1 failed" in ended.stdout
    assert "expected a call of 'process_refund'; called were []" in ended.stdout
