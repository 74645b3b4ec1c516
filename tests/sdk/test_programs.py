"""Programs in the shape that users of other SDKs write, run as they stand; what they leave undefined is supplied."""

from __future__ import annotations

import asyncio
import runpy
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from agent_runtime import AgentHandle, AgentRuntime
from bot.scripted_model import Call, Calls, Text
from tests.sdk.agents import Ledger, refund_agent
from tests.sdk.conftest import PROGRAMS, ServeModel

MESSAGE = "Customer Alex (cust_001) wants a refund on order ORD-8821"
REFUND = {"order_id": "ORD-8821", "amount": 29.99}


def run_program(name: str, **supplied: Any) -> dict[str, Any]:
    """The program's names after it ran."""
    return runpy.run_path(str(PROGRAMS / f"{name}.py"), init_globals=supplied)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`typed("y")` is what the person at the terminal types; nobody waits between two looks."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

    def answers(*lines: str) -> None:
        left: Iterator[str] = iter(lines)
        monkeypatch.setattr("builtins.input", lambda prompt="": next(left))

    return answers


def test_rollout_goes_on_after_the_approval_and_completes(serve_model: ServeModel, environment: str) -> None:
    serve_model()
    ran = run_program("rollout")
    assert ran["rolled_out"] == ["CHG-901"]
    with AgentRuntime() as runtime:
        status = AgentHandle(ran["handle"].execution_id, runtime).get_status()
    assert (status.status, status.is_complete) == ("succeeded", True)


def test_refund_approved_at_the_terminal(
    serve_model: ServeModel, environment: str, typed: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    serve_model()
    typed("y")
    ran = run_program("refund")
    assert ran["refunds"] == [("ORD-8821", 29.99)]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"Run: {ran['handle'].execution_id}"
    assert printed[1].startswith("Result: Done: $29.99 was refunded")
    assert len(printed) == 2, "nothing else is written to standard output"


def test_refund_rejected_at_the_terminal_is_explained_by_the_agent(
    serve_model: ServeModel, environment: str, typed: Callable[..., None]
) -> None:
    model = serve_model()
    typed("n", "outside the return window")
    ran = run_program("refund")
    result = ran["handle"].stream().get_result()
    assert ran["refunds"] == []
    assert (result.status, result.is_rejected) == ("succeeded", True)
    assert "outside the return window" in result.output["result"]
    told = model.messages[-1][-1]
    assert told["role"] == "tool"
    assert 'rejected by the reviewer: "outside the return window"' in told["content"]


class WebApplication:
    """A web framework as far as the program uses one: endpoints by path, called in worker threads."""

    def __init__(self, runtime: AgentRuntime) -> None:
        self.state = SimpleNamespace(runtime=runtime)
        self.endpoints: dict[str, Callable[..., Any]] = {}

    def post(self, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return lambda endpoint: self.endpoints.setdefault(path, endpoint)

    async def call(self, path: str, **parameters: str) -> Any:
        return await asyncio.to_thread(self.endpoints[path], **parameters)


@pytest.mark.parametrize(
    ("path", "parameters", "answer", "happened"),
    [
        ("approve", {}, {"approved": True}, [("refund", "ORD-8821", 29.99)]),
        ("reject", {"reason": "a duplicate"}, {"rejected": True}, []),
    ],
)
async def test_decisions_from_a_web_application(
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
    runtime = AgentRuntime()
    await asyncio.to_thread(runtime.serve, agent, blocking=False)
    app, stored, notified = WebApplication(runtime), [], []
    supplied = {
        "app": app,
        "agent": agent,
        "customer_message": MESSAGE,
        "customer_id": "cust_001",
        "db": SimpleNamespace(store_pending_approval=lambda **row: stored.append(row)),
        "notify_approver": notified.append,
    }
    await asyncio.to_thread(run_program, "endpoints", **supplied)
    execution_id = stored[0]["execution_id"]
    assert notified == [execution_id]
    handle = AgentHandle(execution_id, runtime)
    assert (await handle.get_status_async()).is_waiting
    assert await app.call(f"/approvals/{{execution_id}}/{path}", execution_id=execution_id, **parameters) == answer
    result = await handle.get_result_async()
    assert (result.status, ledger) == ("succeeded", happened)
    assert model.messages[-1][-1]["content"].find(parameters.get("reason", "refunded")) >= 0
    await runtime.close_async()


def test_each_gated_call_waits_for_an_approval_of_its_own(serve_model: ServeModel, environment: str) -> None:
    sent, deleted = [], []
    serve_model(
        [
            Calls((Call("send_email_blast", {"template_id": "spring", "recipient_count": 3}),)),
            Calls((Call("delete_account", {"customer_id": "cust_001", "reason": "asked for"}),)),
            Text("Both done."),
        ]
    )
    agent = run_program(
        "two_gates",
        email_service=SimpleNamespace(send=lambda template, count: sent.append((template, count)) or {"sent": count}),
        accounts_db=SimpleNamespace(delete=lambda customer: deleted.append(customer) or {"deleted": customer}),
    )["agent"]
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


def test_approving_while_streaming(
    serve_model: ServeModel, environment: str, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    look_up = Calls((Call("get_order", {"order_id": "ORD-8821"}),))
    serve_model([look_up, Calls((Call("process_refund", REFUND),)), "Paid."])
    ran = run_program("streaming", agent=refund_agent(ledger), customer_message=MESSAGE)
    assert ledger == [("refund", "ORD-8821", 29.99)]
    assert capsys.readouterr().out.splitlines() == [
        "calling get_order",
        "calling process_refund",
        "waiting for approval",
        "Paid.",
    ]
    assert ran["event"].output["finishReason"] == "STOP"


def test_mocked_flow_runs_no_gated_tool(ledger: Ledger) -> None:
    ran = run_program("mocked", agent=refund_agent(ledger))
    assert ran["result"].output["result"].startswith("Refund of $29.99")
    assert ledger == []
