"""Handles: what they tell, and that a decision reaches the approval that was seen and no other."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from agent_runtime import AgentHandle, AgentRuntime, Approval, tool
from agent_runtime.agent import Agent
from agent_runtime.errors import (
    AlreadyResolved,
    AmbiguousApproval,
    Conflict,
    InvalidRequest,
    NotFound,
    RuntimeClosed,
    WrongLoop,
)
from agent_runtime.testing import ScriptedModel, call, expect
from tests.sdk.agents import Ledger, refund_agent

ORDER = call("get_order", order_id="ORD-1")
FIRST = call("process_refund", order_id="ORD-1", amount=10)
SECOND = call("process_refund", order_id="ORD-2", amount=20)
DELETE = call("delete_account", customer_id="cust_001")


def tool_messages(model: ScriptedModel) -> list[str]:
    return [str(message["content"]) for message in model.last_messages if message["role"] == "tool"]


def ids(status: Any) -> list[str]:
    return [approval["approval_request_id"] for approval in status.pending_approvals]


def test_status_is_told_once_people_are_asked(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says([ORDER, FIRST], "Paid.")
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1")
    status = handle.get_status()
    assert (status.status, status.is_waiting, status.is_running, status.is_complete) == ("waiting", True, False, False)
    assert (status.execution_id, status.output, status.reason) == (handle.execution_id, None, "")
    [pending] = status.pending_approvals
    assert pending["kind"] == "tool"
    assert pending["tool_name"] == "process_refund"
    assert pending["arguments"] == {"order_id": "ORD-1", "amount": 10}
    assert (pending["status"], pending["quorum"], pending["requested_by"]) == ("pending", 1, "local:operator")
    assert [message["role"] for message in status.messages] == ["user", "assistant", "tool"]
    assert ledger == []


def test_status_at_once_where_it_is_asked_for(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    reached, released = threading.Event(), threading.Event()

    @tool
    def slow() -> str:
        """Takes its time."""
        reached.set()
        assert released.wait(20)
        return "at last"

    model.says(call("slow"), "Done.")
    handle = runtime.start(Agent("patient", tools=[slow]), "go")
    assert reached.wait(20)
    assert handle.get_status(settle_seconds=0).is_running
    released.set()
    assert handle.get_status().output == {"result": "Done.", "finishReason": "STOP"}


def test_a_turn_of_three_calls_with_two_verdicts(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says([ORDER, FIRST, DELETE], "All told.")
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1, look at it, delete cust_001")
    status = handle.get_status()
    assert [approval["tool_name"] for approval in status.pending_approvals] == ["process_refund", "delete_account"]
    assert [step["content"] for step in status.messages if step["role"] == "tool"], "the free call ran at once"
    refund, deletion = ids(status)
    with pytest.raises(AmbiguousApproval) as refused:
        handle.approve()
    assert refund in str(refused.value)
    assert deletion in str(refused.value)
    assert handle.get_status(0).pending_approvals == status.pending_approvals
    handle.reject("they stay", approval_request_id=deletion)
    handle.approve()
    result = handle.get_result()
    assert ledger == [("refund", "ORD-1", 10)]
    assert tool_messages(model) == [
        '{"amount":29.99,"order_id":"ORD-1"}',
        '{"order_id":"ORD-1","refunded":true}',
        'rejected by the reviewer: "they stay". The call did not run.',
    ]
    expect(result).completed().rejected("they stay").waited_for_approval("process_refund")


def test_a_stale_decision_never_touches_the_next_gate(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    model.says(FIRST, SECOND, "Done.")
    handle = runtime.start(refund_agent(ledger), "Refund both")
    seen = ids(handle.get_status())
    other = AgentHandle(handle.execution_id, runtime)
    other.reject("not this one", approval_request_id=seen[0])
    [next_gate] = ids(other.get_status())
    with pytest.raises(AlreadyResolved, match="already rejected by local:operator"):
        handle.approve()
    assert ids(other.get_status()) == [next_gate]
    assert ledger == []


def test_the_same_decision_twice_does_not_reach_the_next_gate(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    paid = threading.Event()

    @tool(approval_required=True)
    def process_refund(order_id: str, amount: float) -> str:
        ledger.append(("refund", order_id, amount))
        assert paid.wait(10)
        return "refunded"

    model.says(FIRST, SECOND, "Done.")
    handle = runtime.start(Agent("refund_agent", tools=[process_refund]), "Refund both")
    handle.get_status()
    handle.approve()
    handle.approve()  # again while the call runs: nothing else is pending, and nothing changes
    paid.set()
    [next_gate] = ids(AgentHandle(handle.execution_id, runtime).get_status())
    with pytest.raises(Conflict, match=next_gate):
        handle.approve()
    assert ledger == [("refund", "ORD-1", 10)]
    assert ids(handle.get_status()) == [next_gate]
    handle.approve()
    handle.get_result()
    assert ledger == [("refund", "ORD-1", 10), ("refund", "ORD-2", 20)]


def test_one_of_two_that_is_left_needs_no_name(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says([FIRST, SECOND], "Done.")
    handle = runtime.start(refund_agent(ledger), "Refund both")
    first, _ = ids(handle.get_status())
    handle.approve(approval_request_id=first)
    handle.reject()
    assert handle.get_result().is_rejected
    with pytest.raises(Conflict, match="look again"):
        handle.approve()


def test_nothing_to_decide(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says("Nothing to do.", FIRST, "Paid.")
    agent = refund_agent(ledger)
    done = runtime.start(agent, "hello")
    done.get_result()
    with pytest.raises(Conflict, match="succeeded and waits for no decision"):
        done.approve()
    waiting = runtime.start(agent, "Refund ORD-1")
    [pending] = ids(waiting.get_status())
    with pytest.raises(NotFound, match=pending):
        done.approve(approval_request_id=pending)
    with pytest.raises(NotFound, match="exe_nothing"):
        AgentHandle("exe_nothing", runtime).get_status()
    assert ledger == []


def test_requested_changes_are_told_and_the_new_call_is_asked_anew(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    model.says(FIRST, call("process_refund", order_id="ORD-1", amount=5), "Paid half.")
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1")
    handle.get_status()
    with pytest.raises(InvalidRequest, match=r"^feedback: "):
        handle.request_changes(" ")
    handle.request_changes("half of it")
    assert handle.get_status().is_waiting
    assert 'changes requested by the reviewer: "half of it"' in tool_messages(model)[0]
    handle.approve("better")
    assert handle.get_result().is_success
    assert ledger == [("refund", "ORD-1", 5)]


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"approved": True}, "approved"),
        ({"approved": False, "reason": "no"}, "rejected"),
        ({"decision": "request_changes", "feedback": "no"}, "request_changes"),
        ("reject", "rejected"),
    ],
)
def test_respond(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger, answer: Any, outcome: str) -> None:
    model.says(FIRST, "Done.")
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1")
    handle.get_status()
    handle.respond(answer)
    [approval] = handle.get_result().approvals
    assert approval["status"] == outcome
    assert approval["feedback"] == ("" if outcome == "approved" or answer == "reject" else "no")


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("answer", ["yes", {}, {"approved": "yes"}, {"approved": True, "also": 1}, {"decision": None}])
def test_respond_takes_nothing_else_for_an_approval(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger, answer: Any
) -> None:
    model.says(FIRST, "Done.")
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1")
    handle.get_status()
    with pytest.raises(InvalidRequest):
        handle.respond(answer)
    assert handle.get_status(0).is_waiting


def test_edited_arguments_run(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says(FIRST, "Done.")
    agent = refund_agent(ledger, approval=Approval(allow_edits=True))
    handle = runtime.start(agent, "Refund ORD-1")
    handle.get_status()
    handle.approve(edited_arguments={"order_id": "ORD-1", "amount": 7.5})
    result = handle.get_result()
    assert ledger == [("refund", "ORD-1", 7.5)]
    assert result.tool_calls[0]["args"] == {"order_id": "ORD-1", "amount": 7.5}


@pytest.mark.databases("sqlite")
def test_edited_arguments_that_do_not_fit_are_refused_at_once(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    model.says(FIRST, "Done.")
    handle = runtime.start(refund_agent(ledger, approval=Approval(allow_edits=True)), "Refund ORD-1")
    seen = ids(handle.get_status())
    for edited, field in (({"order_id": "ORD-1"}, "amount"), ({"order_id": 1, "amount": 1}, "order_id")):
        with pytest.raises(InvalidRequest, match=f"edited_arguments: {field}: "):
            handle.approve(edited_arguments=edited)
    assert ids(handle.get_status()) == seen
    assert ledger == []


def test_cancelled(runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger) -> None:
    model.says(FIRST)
    handle = runtime.start(refund_agent(ledger), "Refund ORD-1")
    handle.get_status()
    handle.cancel("no longer wanted")
    result = handle.get_result()
    assert (result.status, result.is_failed, result.is_success) == ("cancelled", True, False)
    assert (result.reason, result.error) == ("no longer wanted", "Cancelled: no longer wanted")
    assert result.output == {"result": "no longer wanted", "finishReason": "CANCELLED"}
    assert result.approvals[0]["status"] == "cancelled"
    with pytest.raises(AlreadyResolved):
        handle.approve()


def test_rebuilt_from_its_id_in_another_runtime(database_url: str, ledger: Ledger) -> None:
    agent = refund_agent(ledger)
    with AgentRuntime(database_url, model=ScriptedModel(FIRST), surfaces=False) as first:
        execution_id = first.start(agent, "Refund ORD-1").execution_id
        assert AgentHandle(execution_id, first).get_status().is_waiting
    with AgentRuntime(database_url, model=ScriptedModel("Paid."), surfaces=False) as second:
        rebuilt = AgentHandle(execution_id=execution_id, runtime=second)
        assert rebuilt.get_status().is_waiting, "this runtime has not deployed the agent, so it tells at once"
        rebuilt.approve()
        second.deploy(agent)
        assert rebuilt.get_result().output["result"] == "Paid."
    assert ledger == [("refund", "ORD-1", 10)]
    with pytest.raises(RuntimeClosed):
        rebuilt.get_status()


async def test_on_its_own_loop_only_the_async_methods_work(
    database_url: str, model: ScriptedModel, ledger: Ledger
) -> None:
    model.says(FIRST, "Paid.")
    async with AgentRuntime(database_url, model=model, surfaces=False) as runtime:
        handle = await runtime.start_async(refund_agent(ledger), "Refund ORD-1")
        for method in (handle.get_status, handle.approve, handle.reject, handle.cancel, handle.get_result):
            with pytest.raises(WrongLoop, match=f"await {method.__name__}_async"):
                method()
        with pytest.raises(WrongLoop, match="start_async"):
            runtime.start("refund_agent", "again")
        with pytest.raises(WrongLoop, match="close_async"):
            runtime.close()
        with pytest.raises(WrongLoop, match="async for"):
            next(handle.stream())
        assert (await handle.get_status_async()).is_waiting
        assert await asyncio.to_thread(lambda: handle.get_status().is_waiting), "another thread may block"
        await handle.approve_async()
        assert (await handle.get_result_async()).is_success
    assert ledger == [("refund", "ORD-1", 10)]


async def test_async_methods_reach_a_runtime_on_another_loop(
    runtime: AgentRuntime, model: ScriptedModel, ledger: Ledger
) -> None:
    model.says(FIRST, "Paid.")
    handle = await runtime.start_async(refund_agent(ledger), "Refund ORD-1")
    assert (await handle.get_status_async()).is_waiting
    await handle.approve_async()
    assert [str(event.type) async for event in handle.stream_async()][-1] == "done"


def test_a_call_in_doubt_is_settled(runtime: AgentRuntime, model: ScriptedModel) -> None:
    released = threading.Event()

    @tool(approval_required=True, timeout_seconds=0.05)
    def charge(order_id: str) -> str:
        """Never tells whether it worked."""
        released.wait(20)
        return "charged"

    model.says(call("charge", order_id="ORD-1"), "Charged, as a person confirmed.")
    handle = runtime.start(Agent("charger", tools=[charge]), "Charge ORD-1")
    handle.get_status()
    handle.approve()
    [doubt] = handle.get_status().pending_approvals
    released.set()
    assert doubt["kind"] == "in_doubt"
    with pytest.raises(InvalidRequest, match="settled"):
        handle.approve()
    with pytest.raises(InvalidRequest, match="happened, not_happened, stop"):
        handle.settle("perhaps")
    handle.settle("happened", result="charged by hand", evidence="the bank's statement")
    result = handle.get_result()
    assert result.tool_calls[0]["result"] == "charged by hand"
