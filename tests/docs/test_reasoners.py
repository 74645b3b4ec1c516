"""The programs in docs/reasoners.md, as they stand."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import Any

import pytest

from agent_runtime import Agent
from tests.docs.pages import Page
from tests.engine.conftest import OpenReplica
from tests.reasoners.running import Answers, asked, begin, decide, notes

pytestmark = pytest.mark.databases("sqlite")


def program(page: Page, name: str, **supplied: Any) -> Agent:
    """The agent that the program defines."""
    app: Agent = page.run(name, **supplied)["app"]
    return app


@pytest.mark.parametrize("confidence", [0.95, 0.5])
async def test_refunds(page: Page, open_replica: OpenReplica, confidence: float) -> None:
    cases: list[Any] = []
    paid: list[Any] = []

    async def create(order_id: str, amount: float) -> str:
        cases.append((order_id, amount))
        return f"case-{len(cases)}"

    def refund(order_id: str, amount: float, idempotency_key: str) -> str:
        paid.append((order_id, amount, idempotency_key))
        return "receipt-1"

    model = Answers({"amount": 29.987, "confidence": confidence})
    app = program(page, "refunds.py", case_system=SimpleNamespace(create=create), bank=SimpleNamespace(refund=refund))
    replica = await open_replica(model, app, parked_at_most=0)
    run = await begin(replica, agent="refunds", order_id="ORD-8821", complaint="Billed twice.")
    if confidence < 0.9:
        await asked(run, "case-1")
        await decide(run.database, "case-1")
    assert await run.output() == {"status": "refunded", "receipt": "receipt-1"}
    assert paid == [("ORD-8821", 29.99, "refund-ORD-8821")]
    assert cases == ([("ORD-8821", 29.99)] if confidence < 0.9 else [])
    assert (len(model.asked), await notes(run)) == (1, ["29.99 seems fair"])


async def test_careless(page: Page, open_replica: OpenReplica) -> None:
    run = await begin(await open_replica(Answers(), program(page, "careless.py"), parked_at_most=0), agent="careless")
    [approval] = await run.waits()
    await decide(run.database, approval.approval_request_id)
    error = await run.output()
    assert error["type"] == "NonDeterminism"
    said = re.sub(r"q-[0-9a-f]{32}", "q-…", error["message"])
    shown = " ".join(page.text.replace("\n> ", " ").split())
    assert said in re.sub(r"q-[0-9a-f]{2}…", "q-…", shown)


async def test_careless_in_one_life(page: Page, open_replica: OpenReplica) -> None:
    run = await begin(await open_replica(Answers(), program(page, "careless.py")), agent="careless")
    [approval] = await run.waits()
    await decide(run.database, approval.approval_request_id)
    assert await run.output() == "approved"


async def test_quotes(page: Page, open_replica: OpenReplica) -> None:
    """Who answers first goes first, and in a replay that is somebody else."""
    lives: list[str] = []

    async def fetch_price(supplier: str) -> float:
        lives.append(supplier)
        first = supplier == ("acorn" if len(lives) < 3 else "birch")
        for _ in range(0 if first else 50):
            await asyncio.sleep(0)
        return 9.99

    replica = await open_replica(Answers(), program(page, "quotes.py", fetch_price=fetch_price))
    run = await begin(replica, agent="quotes", suppliers=["acorn", "birch"])
    await asked(run, "buy-acorn")
    await asked(run, "buy-birch")
    await run.waits()
    await replica.close()
    second = await open_replica(Answers(), program(page, "quotes.py", fetch_price=fetch_price))
    run.database = second.database
    await decide(run.database, "buy-acorn")
    await decide(run.database, "buy-birch", "rejected")
    assert await run.output() == ["ordered from acorn at 10.00", "birch: rejected"]


@pytest.mark.parametrize("restart", [False, True])
async def test_recovering(page: Page, open_replica: OpenReplica, restart: bool) -> None:
    replica = await open_replica(Answers(), program(page, "recovering.py"), parked_at_most=0 if restart else 10)
    run = await begin(replica, agent="recovering", claim_id="7")
    await asked(run, "claim-7")
    await run.waits()
    await decide(run.database, "claim-7", "rejected", "No.")
    assert await run.output() == {"decision": "rejected", "feedback": "No."}
    assert await notes(run) == (["picked up after a restart"] if restart else [])
