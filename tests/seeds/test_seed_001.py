"""Refunds and other risky calls: at the terminal, from a web application, several gates, streams, and a mocked run."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

import agent_runtime
from agent_runtime import Agent, AgentHandle, AgentRuntime
from agent_runtime.core.approval import Outcome
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.settle import settle
from agent_runtime.store.database import Database
from bot.scripted_model import Call, Calls
from tests.engine.running import Run, until
from tests.reasoners.running import decide
from tests.sdk.agents import Ledger, refund_agent
from tests.seeds.conftest import Deploy, Model, ServeModel, run_program
from tests.seeds.web import WebApplication

MESSAGE = "Customer Alex (cust_001) wants a refund on order ORD-8821"
REFUND = {"order_id": "ORD-8821", "amount": 29.99}


# --- the one-line change ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("approve", [True, False])
def test_the_one_line_change(serve_model: ServeModel, environment: str, approve: bool) -> None:
    paid: list[Any] = []
    billing_api = SimpleNamespace(refund=lambda order_id, amount: paid.append((order_id, amount)) or {"paid": amount})
    model = serve_model([Calls((Call("process_refund", REFUND),)), "So be it."])
    process_refund = run_program("one_line", billing_api=billing_api)["process_refund"]
    with AgentRuntime() as runtime:
        handle = runtime.start(Agent("refunds", tools=[process_refund]), MESSAGE)
        assert handle.get_status().is_waiting is True
        assert paid == []
        handle.approve() if approve else handle.reject("not this one")
        assert handle.get_result().output["result"] == "So be it."
    assert paid == ([("ORD-8821", 29.99)] if approve else [])
    told = model.messages[-1][-1]["content"]
    assert told == ('{"paid":29.99}' if approve else 'rejected by the reviewer: "not this one". The call did not run.')


# --- at the terminal --------------------------------------------------------------------------------------------


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`typed("y")` is what the person at the terminal types; nobody waits between two looks."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def answers(*lines: str) -> None:
        left: Iterator[str] = iter(lines)
        monkeypatch.setattr("builtins.input", lambda prompt="": next(left))

    return answers


def test_approved_at_the_terminal(
    serve_model: ServeModel, environment: str, typed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    serve_model()
    typed("y")
    ran = run_program("refund_at_the_terminal")
    printed = capsys.readouterr().out.splitlines()
    assert printed[:-1] == [
        f"Run ID: {ran['handle'].execution_id}",
        "",
        "--- Approval required ---",
        "Agent wants to call: process_refund",
        "Order: ORD-8821 Amount: $29.99",
        "Approved. Waiting for agent to complete...",
        "",
    ]
    assert printed[-1].startswith("Result: Done: $29.99 was refunded")
    assert [call["name"] for call in ran["result"].tool_calls] == ["get_order", "get_customer", "process_refund"]


def test_rejected_at_the_terminal_is_explained_by_the_agent(
    serve_model: ServeModel, environment: str, typed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    model = serve_model()
    typed("n", "outside the return window")
    ran = run_program("refund_at_the_terminal")
    assert capsys.readouterr().out.splitlines()[-1] == "Rejected."
    result = ran["handle"].stream().get_result()
    assert (result.status, result.is_rejected) == ("succeeded", True)
    assert "outside the return window" in result.output["result"]
    told = model.messages[-1][-1]
    assert told["role"] == "tool"
    assert told["content"] == 'rejected by the reviewer: "outside the return window". The call did not run.'


def test_completed_without_a_question(
    serve_model: ServeModel, environment: str, typed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    serve_model(lambda messages: "Which order?")
    typed()
    run_program("refund_at_the_terminal")
    assert capsys.readouterr().out.splitlines()[-1] == "Completed: Which order?"


# --- from a web application -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "parameters", "answer", "happened"),
    [
        ("approve", {}, {"approved": True}, [("refund", "ORD-8821", 29.99)]),
        ("reject", {"reason": "a duplicate"}, {"rejected": True}, []),
    ],
)
async def test_decided_from_a_web_application(
    serve_model: ServeModel,
    environment: str,
    ledger: Ledger,
    path: str,
    parameters: dict[str, str],
    answer: dict[str, Any],
    happened: list[Any],
) -> None:
    model = serve_model([Calls((Call("process_refund", REFUND),)), "All settled."])
    agent = refund_agent(ledger)
    app, stored, notified = WebApplication(), [], []
    app.state.runtime = runtime = AgentRuntime()
    await asyncio.to_thread(runtime.serve, agent, blocking=False)
    supplied = {
        "app": app,
        "agent": agent,
        "start": agent_runtime.start,
        "customer_message": MESSAGE,
        "customer_id": "cust_001",
        "db": SimpleNamespace(store_pending_approval=lambda **row: stored.append(row)),
        "notify_approver": notified.append,
    }
    await asyncio.to_thread(lambda: run_program("approval_endpoints", **supplied))
    [row] = stored
    assert row["context"] == {"customer": "cust_001", "action": "refund"}
    assert notified == [row["execution_id"]]
    handle = AgentHandle(row["execution_id"], runtime)
    assert (await handle.get_status_async()).is_waiting
    async with app.served() as url, aiohttp.ClientSession(url) as session:
        decided = await session.post(f"/approvals/{row['execution_id']}/{path}", params=parameters)
        assert (decided.status, await decided.json()) == (200, answer)
    result = await handle.get_result_async()
    assert (result.status, ledger) == ("succeeded", happened)
    assert parameters.get("reason", "refunded") in model.messages[-1][-1]["content"]
    await runtime.close_async()


# --- several gates, streams, and a mocked run -------------------------------------------------------------------


def test_each_gated_call_waits_for_an_approval_of_its_own(serve_model: ServeModel, environment: str) -> None:
    sent, deleted = [], []
    blast = Call("send_email_blast", {"template_id": "spring", "recipient_count": 3})
    deletion = Call("delete_account", {"customer_id": "cust_001", "reason": "asked for"})
    serve_model([Calls((blast,)), Calls((deletion,)), "Both done."])
    ran = run_program(
        "two_gates",
        email_service=SimpleNamespace(send=lambda template, count: sent.append((template, count)) or {"sent": count}),
        accounts_db=SimpleNamespace(delete=lambda customer: deleted.append(customer) or {"deleted": customer}),
    )
    agent = Agent("outreach", tools=[ran["send_email_blast"], ran["delete_account"]])
    with AgentRuntime() as runtime:
        handle = runtime.start(agent, "Write to everybody, then delete cust_001.")
        first = handle.get_status()
        assert [approval["tool_name"] for approval in first.pending_approvals] == ["send_email_blast"]
        handle.approve()
        second = handle.get_status()
        assert (sent, deleted, second.is_waiting) == ([("spring", 3)], [], True)
        assert [approval["tool_name"] for approval in second.pending_approvals] == ["delete_account"]
        handle.approve()
        assert handle.get_result().output == {"result": "Both done.", "finishReason": "STOP"}
    assert deleted == ["cust_001"]


def test_approving_in_the_loop(
    serve_model: ServeModel, environment: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    look_up = Calls((Call("get_order", {"order_id": "ORD-8821"}),))
    serve_model([look_up, Calls((Call("process_refund", REFUND),)), "Paid."])
    ran = run_program("approving_in_the_loop", agent=refund_agent(ledger), customer_message=MESSAGE)
    assert ledger == [("refund", "ORD-8821", 29.99)]
    assert capsys.readouterr().out.splitlines() == [
        "→ calling get_order",
        "→ calling process_refund",
        "paused — waiting for approval",
        "Paid.",
    ]
    assert ran["event"].output == {"result": "Paid.", "finishReason": "STOP"}


def test_a_mocked_run_runs_no_gated_tool(ledger: Ledger) -> None:
    ran = run_program("mocked_run", agent=refund_agent(ledger))
    assert ran["result"].output["result"].startswith("Refund of $29.99")
    assert ledger == []


# --- kill -9 ----------------------------------------------------------------------------------------------------


def mail_then_deletion(messages: list[dict[str, Any]]) -> Any:
    """The prompt names the template, and then the customer."""
    name = next(message["content"] for message in messages if message["role"] == "user")
    blast = Call("send_email_blast", {"template_id": name, "recipient_count": 3})
    deletion = Call("delete_account", {"customer_id": name, "reason": "asked for"})
    turns = [Calls((blast,)), Calls((deletion,)), "Both done."]
    return turns[sum(message["role"] == "assistant" for message in messages)]


async def approve(run: Run) -> None:
    [approval] = await run.waits()
    await decide(run.database, approval.approval_request_id)


async def settle_as(run: Run, outcome: Outcome, **told: Any) -> None:
    """Says what became of the call in doubt."""
    [doubt] = await run.waits()
    assert (doubt.kind, doubt.tool_name) == ("in_doubt", "send_email_blast")
    await run.database.write(settle, doubt.approval_request_id, outcome, by=LOCAL_OPERATOR, via=Via.api, **told)


async def test_killed_at_every_stage_of_a_gated_call(deploy: Deploy, model: Model, live_database: Database) -> None:
    """While one waits, between the decision on another and its call, and during the calls of two: nothing is lost,
    nothing happens twice, and what nobody can know is asked.
    """
    model.answers = mail_then_deletion
    deployment = deploy("two_gates")
    async with deployment.process("mail") as (process, outside):
        runs = {}
        for name in ("waits", "decided", "before", "after"):
            started = await outside.post("/api/v1/execute/async/outreach", json.dumps({"prompt": name}))
            assert started.status == 202, started.body
            runs[name] = Run(live_database, started.body["execution_id"])
            await runs[name].waits()
        for held in ("before", "after"):
            await approve(runs[held])
            await process.says(f"holds {held}")
        await process.freeze(live_database)
        await approve(runs["decided"])
        assert (await runs["decided"].execution()).status == "queued"
    assert deployment.happened == {"mail after": 1}
    async with deployment.process():
        await approve(runs["waits"])
        await settle_as(runs["after"], Outcome.happened, result={"sent": 3}, evidence="in the outbox")
        await settle_as(runs["before"], Outcome.not_happened)
        await approve(runs["before"])
        for run in runs.values():
            await deployment.lease_runs_out()
            await until(run, lambda run=run: asks_about(run, "delete_account"))
            await approve(run)
            assert await run.output() == "Both done."
    assert deployment.happened == {f"{what} {name}": 1 for name in runs for what in ("mail", "deleted")}


@pytest.mark.databases("postgresql")  # where the test moves the time, so that nobody waits for a lease
async def test_killed_during_a_call_of_a_cancelled_execution(
    deploy: Deploy, model: Model, live_database: Database
) -> None:
    """The cancellation asks nobody while the call runs; the crash leaves a question that nobody's silence answers."""
    model.answers = mail_then_deletion
    deployment = deploy("two_gates")
    async with deployment.process("mail") as (process, outside):
        started = await outside.post("/api/v1/execute/async/outreach", json.dumps({"prompt": "after"}))
        run = Run(live_database, started.body["execution_id"])
        await approve(run)
        await process.says("holds after")
        await live_database.write(cancel, run.execution_id, by=LOCAL_OPERATOR, via=Via.api)
        assert await run.pending() == []
    async with deployment.process():
        [doubt] = await run.asks()
    assert (doubt.kind, doubt.tool_name) == ("in_doubt", "send_email_blast")
    await live_database.write(
        settle, doubt.approval_request_id, Outcome.happened, by=LOCAL_OPERATOR, via=Via.api, result={"sent": 3}
    )
    assert ((await run.execution()).status, (await run.step()).status) == ("cancelled", "succeeded")
    assert deployment.happened == {"mail after": 1}


async def asks_about(run: Run, tool_name: str) -> bool:
    return [approval.tool_name for approval in await run.pending()] == [tool_name]
