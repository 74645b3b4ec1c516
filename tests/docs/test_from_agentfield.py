"""The program in docs/from-agentfield.md, as it stands."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.docs.pages import Page
from tests.engine.conftest import OpenReplica
from tests.reasoners.running import Answers, asked, begin, decide

pytestmark = pytest.mark.databases("sqlite")


@pytest.mark.parametrize(
    ("verdict", "result"),
    [
        ("approved", {"status": "paid", "feedback": "Fine."}),
        ("request_changes", {"status": "returned", "to_do": "Fine."}),
        ("rejected", {"status": "rejected", "feedback": "Fine."}),
    ],
)
async def test_expenses(page: Page, open_replica: OpenReplica, verdict: str, result: dict[str, str]) -> None:
    reviews: list[str] = []

    async def add(employee: str, amount: float) -> str:
        reviews.append(f"review-{employee}-{amount:g}")
        return reviews[-1]

    model = Answers({"within_policy": True, "confidence": 0.6, "reason": "dear"})
    app = page.run("expenses.py", review_queue=SimpleNamespace(add=add))["app"]
    replica = await open_replica(model, app, parked_at_most=0)
    run = await begin(replica, "check_expense", "expense-agent", employee="Alex", amount=420, purpose="a chair")
    await asked(run, "review-Alex-420")
    await decide(run.database, "review-Alex-420", verdict, "Fine.")
    assert await run.output() == result
    assert len(reviews) == 1
