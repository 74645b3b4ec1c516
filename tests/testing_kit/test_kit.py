"""The kit: every branch of an approval, on the real runtime, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agent_runtime import Agent, Approval, tool
from agent_runtime.errors import InvalidRequest, NotAuthorized
from agent_runtime.testing import Kit, call, expect
from tests.sdk.agents import Ledger, refund_agent

REFUND = call("process_refund", order_id="ORD-1", amount=10)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_approved(countersign: Kit, ledger: Ledger) -> None:
    countersign.model.says([call("get_order", order_id="ORD-1"), REFUND], "Paid.")
    handle = countersign.start(refund_agent(ledger), "Refund ORD-1")
    approval = countersign.approve_next("fine by me")
    assert (approval["status"], approval["decided_by"], approval["feedback"]) == (
        "approved",
        "local:operator",
        "fine by me",
    )
    expect(handle.get_result()).completed().approved_by("local:operator").output_contains("Paid.")
    assert ledger == [("refund", "ORD-1", 10)]
    assert [message["role"] for message in countersign.model.last_messages] == ["user", "assistant", "tool", "tool"]


def test_rejected_and_sent_back(countersign: Kit, ledger: Ledger) -> None:
    countersign.model.says(REFUND, REFUND, "Then not.")
    handle = countersign.start(refund_agent(ledger), "Refund ORD-1")
    assert countersign.request_changes_next("half of it")["status"] == "request_changes"
    assert countersign.reject_next("never mind")["status"] == "rejected"
    expect(handle.get_result()).completed().rejected("never mind")
    assert ledger == []


def test_expired_after_its_reminder(countersign: Kit, ledger: Ledger) -> None:
    countersign.model.says(REFUND, "Nobody answered.")
    approval = Approval(expires_in_hours=2, remind_after="30m")
    handle = countersign.start(refund_agent(ledger, approval=approval), "Refund ORD-1")
    countersign.advance("119m")
    [pending] = countersign.pending()
    assert pending["tool_name"] == "process_refund"
    expired = countersign.expire_next()
    assert (expired["status"], expired["resolved_at"]) == ("expired", expired["expires_at"])
    assert countersign.pending() == []
    assert handle.get_result().tool_calls[0]["result"] == "expired. The call did not run."
    assert ledger == []


@pytest.mark.countersign(reviewers=["U123"])
def test_only_reviewers_and_all_of_the_quorum(countersign: Kit, ledger: Ledger) -> None:
    countersign.model.says(REFUND, "Paid.")
    approval = Approval(reviewers=["U123", "U456"], quorum=2)
    handle = countersign.start(refund_agent(ledger, approval=approval), "Refund ORD-1")
    with pytest.raises(NotAuthorized):
        countersign.approve_next(by="U789", via="slack")
    assert countersign.approve_next(by="U123", via="slack")["status"] == "pending"
    assert countersign.approve_next(by="U456", via="slack")["status"] == "approved"
    expect(handle.get_result()).approved_by("U123").approved_by("U456")
    countersign.model.says(call("delete_account", customer_id="cust_001"), "Deleted.")
    countersign.start("refund_agent", "Delete cust_001")
    [pending] = countersign.pending()
    assert pending["reviewers"] == ["U123"], "the setting of the marker"


def test_edited_arguments(countersign: Kit, ledger: Ledger) -> None:
    countersign.model.says(REFUND, "Paid.")
    handle = countersign.start(refund_agent(ledger, approval=Approval(allow_edits=True)), "Refund ORD-1")
    countersign.approve_next(edited_arguments={"order_id": "ORD-1", "amount": 1})
    handle.get_result()
    assert ledger == [("refund", "ORD-1", 1)]


def test_says_why_there_is_nothing_to_decide(countersign: Kit, ledger: Ledger) -> None:
    with pytest.raises(AssertionError, match="nothing runs that could ask"):
        countersign.approve_next()
    countersign.model.says(REFUND)
    countersign.start(refund_agent(ledger), "Refund ORD-1")
    with pytest.raises(AssertionError, match="never expires; give its Approval expires_in_hours"):
        countersign.expire_next()
    with pytest.raises(InvalidRequest, match="duration"):
        countersign.advance("soon")


def test_a_model_without_a_reply_says_so(countersign: Kit) -> None:
    result = countersign.run(Agent("mute"), "say something")
    assert result.error == "ModelRefused: no reply is left for request 1 of the scripted model; tell it with says(…)"


def test_replies_of_every_form() -> None:
    class Verdict(BaseModel):
        fine: bool

    judge = Agent("judge", output_type=Verdict)
    with Kit(Verdict(fine=True), {"fine": False}) as kit:
        kit.model.answers(lambda messages: f'{{"fine": {str(len(messages) == 1).lower()}}}')
        assert [kit.run(judge, "Judge").output["result"] for _ in range(3)] == [
            {"fine": True},
            {"fine": False},
            {"fine": True},
        ]
        assert len(kit.model.requests) == 3


async def test_on_the_tests_own_loop(ledger: Ledger) -> None:
    loops = []

    @tool(approval=Approval(expires_in_hours=1))
    async def ping() -> str:
        loops.append(asyncio.get_running_loop())
        return "pong"

    async with Kit(call("ping"), "Pinged.", call("ping"), "Nobody.") as kit:
        handle = await kit.start_async(Agent("pinger", tools=[ping]), "go")
        await kit.approve_next_async()
        assert (await handle.get_result_async()).output == {"result": "Pinged.", "finishReason": "STOP"}
        assert loops == [asyncio.get_running_loop()]
        await kit.start_async("pinger", "again")
        assert (await kit.expire_next_async())["status"] == "expired"
        assert await kit.pending_async() == []


def test_nothing_of_the_environment_reaches_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ledger: Ledger) -> None:
    monkeypatch.setenv("COUNTERSIGN_DATABASE_URL", "sqlite+aiosqlite:////nowhere/countersign.db")
    monkeypatch.setenv("COUNTERSIGN_REVIEWERS", "U999")
    monkeypatch.setenv("COUNTERSIGN_SERVER_URL", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    gate: Any = '[[checkpoint]]\ncheckpoint_id = "orders"\naction_pattern = "get_*"\n'
    (tmp_path / "checkpoints.toml").write_text(gate)
    look = call("get_order", order_id="ORD-1")
    with Kit(look, "Looked.") as kit:
        assert kit.run(refund_agent(ledger), "Look").approvals == []
        assert kit.runtime.settings.reviewers == ()
    with Kit(look, checkpoints="checkpoints.toml") as kit:
        kit.start(refund_agent(ledger), "Look")
        assert [pending["rules"] for pending in kit.pending()] == [["checkpoint:orders"]]


@pytest.mark.parametrize(("settings", "runs"), [({}, 1), ({"parked_at_most": 0}, 2)])
def test_undeclared_side_effects_of_a_reasoner_show(settings: dict[str, Any], runs: int) -> None:
    agent, effects = Agent("writer"), []

    @agent.reasoner()
    async def write(topic: str) -> str:
        effects.append(topic)  # belongs into a step
        return (await agent.pause(title=topic)).feedback

    with Kit(**settings) as kit:
        handle = kit.start(agent, "ducks")
        assert len(kit.pending()) == 1  # its coroutine is parked, or dropped
        kit.approve_next("nice")
        assert handle.get_result().output == {"result": "nice", "finishReason": "STOP"}
    assert effects == ["ducks"] * runs
