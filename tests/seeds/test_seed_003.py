"""Claims that people see when they are risky: every answer, expiry, and a processor that finds back after a crash."""

from __future__ import annotations

from typing import Any

import pytest

from agent_runtime.core.duration import HOUR
from agent_runtime.store.database import Database
from tests.clock import Clock
from tests.engine.running import Run
from tests.reasoners.running import begin, decide, notes
from tests.seeds.conftest import Deploy, Load, Model, OpenHere

AGENT = "claim-processor"
CLAIM = {"claim_id": "4711", "amount": 2_000_000.0, "description": "commercial property loss"}
RISKY = {"risk_score": 85, "fraud_indicators": [], "recommended_action": "review", "summary": "A large loss."}


@pytest.fixture(autouse=True)
def answers(model: Model) -> None:
    model.answers = RISKY


@pytest.mark.parametrize(
    ("verdict", "result", "note"),
    [
        (
            "approved",
            {"decision": "approved", "method": "human", "feedback": "Paid."},
            "Approved by reviewer. Feedback",
        ),
        ("request_changes", {"decision": "needs_review", "feedback": "Paid."}, "Changes requested"),
        ("rejected", {"decision": "rejected", "reason": "Paid."}, "Rejected by reviewer. Reason"),
    ],
)
async def test_a_risky_claim_is_decided_by_people(
    load: Load, open_here: OpenHere, verdict: str, result: dict[str, Any], note: str
) -> None:
    replica = await open_here(load("claim_processor"))
    run = await begin(replica, "process_claim", AGENT, **CLAIM)
    [approval] = await run.waits()
    assert approval.approval_request_id == "claim-4711"
    assert approval.url == "https://dashboard.example.com/claims/4711"
    assert approval.expires_at == approval.created_at + 24 * HOUR
    await decide(run.database, "claim-4711", verdict, "Paid.")
    assert await run.output() == result
    assert await notes(run) == [
        "Risk score: 85/100",
        "Escalating for human review: risk=85, amount=$2,000,000.00",
        f"{note}: Paid.",
    ]


@pytest.mark.parametrize("reasoner", ["process_claim", "resilient_claim_processor"])
async def test_a_harmless_claim_is_approved_by_itself(
    load: Load, open_here: OpenHere, model: Model, reasoner: str
) -> None:
    model.answers = {**RISKY, "risk_score": 12}
    replica = await open_here(load("claim_processor"))
    run = await begin(replica, reasoner, AGENT, **{**CLAIM, "amount": 900.0})
    assert await run.output() == {"decision": "approved", "method": "automatic"}
    assert await run.approvals() == []


async def test_no_response_in_24_hours_is_escalated(
    load: Load, open_here: OpenHere, clock: Clock, tmp_path: Any
) -> None:
    replica = await open_here(load("escalating_claims"))
    run = await begin(replica, "process_claim", "escalating-claims", claim_id="4711")
    await run.waits()
    await clock.advance(24 * HOUR)
    await replica.clockwork.tick()
    assert await run.output() == {"decision": "escalated", "reason": "approval_timeout"}
    assert (tmp_path / "ledger").read_text() == "senior reviewer told of 4711\n"


async def test_the_resilient_one_without_a_crash(load: Load, open_here: OpenHere) -> None:
    replica = await open_here(load("claim_processor"))
    run = await begin(replica, "resilient_claim_processor", AGENT, **CLAIM)
    await run.waits()
    await decide(run.database, "claim-4711", "approved", "Paid.")
    assert await run.output() == {"decision": "approved", "method": "human", "feedback": "Paid."}
    assert await notes(run) == []


@pytest.mark.parametrize(
    ("decision", "result"),
    [
        ("approved", {"decision": "approved", "method": "human", "feedback": "Go on."}),
        ("request_changes", {"decision": "needs_review", "feedback": "Go on."}),
        ("rejected", {"decision": "rejected", "reason": "Go on."}),
    ],
)
async def test_the_resilient_one_after_kill_9(
    deploy: Deploy, live_database: Database, decision: str, result: dict[str, Any]
) -> None:
    """It reconnects to its pending approval: no second analysis, no second request, and it is told so."""
    deployment = deploy("claim_processor")
    target = f"{AGENT}.resilient_claim_processor"
    async with deployment.process() as (_, outside):
        execution_id = await outside.start(target, **CLAIM)
        await outside.becomes(execution_id, "waiting")
    async with deployment.process() as (_, outside):
        assert (await outside.respond("claim-4711", decision, "Go on.")).status == 200
        await deployment.lease_runs_out()
        done = await outside.becomes(execution_id, "succeeded")
    assert done["result"] == result
    assert len(done["approvals"]) == 1
    said = ["Resumed after crash: claim was approved"] if decision == "approved" else []
    assert await notes(Run(live_database, execution_id)) == said
    assert deployment.model.asked == 1
