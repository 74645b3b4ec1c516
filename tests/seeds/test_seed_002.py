"""The refund agent that asks people where it is not sure, driven as its own instructions say: curl and openssl."""

from __future__ import annotations

import json

import pytest

from agent_runtime.core.duration import HOUR
from agent_runtime.store.database import Database
from tests.clock import Clock
from tests.engine.running import Run
from tests.reasoners.running import begin, decide
from tests.seeds.conftest import Deploy, Load, Model, OpenHere
from tests.seeds.outside import WEBHOOK
from tests.seeds.supplied import REQUEST_ID

TARGET = "refund-agent.decide_refund"
TICKET = "Please refund my annual plan, I was billed twice."
UNSURE = {"approve": True, "amount_usd": 4000.0, "reason": "billed twice", "confidence": 0.82}


@pytest.fixture(autouse=True)
def answers(model: Model) -> None:
    """The model is not sure."""
    model.answers = UNSURE


async def test_verify_it(deploy: Deploy) -> None:
    deployment = deploy("refund_agent")
    async with deployment.process() as (process, outside):
        execution_id = await outside.start(TARGET, ticket=TICKET)
        waiting = await outside.becomes(execution_id, "waiting")
        [approval] = waiting["pending_approvals"]
        assert approval["approval_request_id"] == REQUEST_ID
        assert approval["url"] == f"https://review.acme.com/refunds/{REQUEST_ID}"
        assert (waiting["is_waiting"], waiting["result"]) == (True, None)

        answer = await outside.respond(REQUEST_ID, "approved", "confirmed")
        assert (answer.status, answer.body["already_processed"]) == (200, False)
        done = await outside.becomes(execution_id, "succeeded")
        assert done["result"] == {"status": "approved", "feedback": "confirmed", "decision": UNSURE}

        again = await outside.respond(REQUEST_ID, "approved", "confirmed")
        assert (again.status, again.body["already_processed"]) == (200, True)
        assert await process.stop() == 0
    assert deployment.happened == {"review of 4000 USD": 1}
    assert deployment.model.asked == 1


@pytest.mark.parametrize("decision", ["rejected", "request_changes"])
async def test_the_other_answers(load: Load, open_here: OpenHere, decision: str) -> None:
    replica = await open_here(load("refund_agent"))
    run = await begin(replica, agent="refund-agent", ticket=TICKET)
    await run.waits()
    await decide(run.database, REQUEST_ID, decision, "Only one month.")
    assert await run.output() == {"status": decision, "feedback": "Only one month."}


@pytest.mark.databases("sqlite")
async def test_the_webhook_takes_nothing_but_what_is_signed(deploy: Deploy) -> None:
    async with deploy("refund_agent").process() as (_, outside):
        execution_id = await outside.start(TARGET, ticket=TICKET)
        await outside.becomes(execution_id, "waiting")
        body = json.dumps({"requestId": REQUEST_ID, "decision": "approved", "feedback": ""})
        assert (await outside.post(WEBHOOK, body)).status == 401
        wrong = {"X-Webhook-Signature": f"sha256={await outside.signature(body + ' ')}"}
        assert (await outside.post(WEBHOOK, body, wrong)).status == 401
        assert (await outside.respond("req-of-nobody", "approved")).status == 404
        assert (await outside.respond(REQUEST_ID, "maybe")).status == 422
        assert (await outside.execution(execution_id))["status"] == "waiting"


@pytest.mark.databases("sqlite")
async def test_without_a_secret_the_webhook_is_off(deploy: Deploy) -> None:
    async with deploy("refund_agent").process(COUNTERSIGN_APPROVAL_WEBHOOK_SECRET="") as (_, outside):
        assert (await outside.respond(REQUEST_ID, "approved")).status == 503


async def test_a_sure_model_asks_nobody(load: Load, open_here: OpenHere, model: Model) -> None:
    model.answers = {**UNSURE, "confidence": 0.9}
    run = await begin(await open_here(load("refund_agent")), agent="refund-agent", ticket=TICKET)
    assert await run.output() == {"status": "auto_approved", "decision": model.answers}
    assert await run.approvals() == []


async def test_started_by_a_prompt_and_with_a_model_of_its_own(deploy: Deploy, model: Model) -> None:
    async with deploy("refund_agent").process() as (_, outside):
        started = await outside.post("/api/v1/execute/refund-agent", json.dumps({"prompt": TICKET}))
        assert (started.status, started.body["status"]) == (200, "waiting")
        assert started.body["input"] == {"input": {"ticket": TICKET}}
        await outside.respond(REQUEST_ID, "rejected")
        execution_id = await outside.start(TARGET, ticket=TICKET, model="openai/gpt-4o")
        failed = await outside.becomes(execution_id, "failed")
        assert failed["error"]["type"] == "Conflict"
    assert model.served is not None
    assert [request.model for request in model.served.requests] == ["gpt-4o-mini", "gpt-4o"]


async def test_nobody_answers(load: Load, open_here: OpenHere, clock: Clock) -> None:
    """48 hours later the expired branch runs."""
    replica = await open_here(load("refund_agent"))
    run = await begin(replica, agent="refund-agent", ticket=TICKET)
    [approval] = await run.waits()
    assert approval.expires_at == approval.created_at + 48 * HOUR
    await clock.set(approval.expires_at)
    await replica.clockwork.tick()
    assert await run.output() == {"status": "expired", "feedback": ""}


# --- kill -9 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durable", [False, True], ids=["plain", "step"])
async def test_killed_while_it_waits(deploy: Deploy, durable: bool) -> None:
    """What is no step runs again, with the same id; the model is not asked again, nor are the people."""
    deployment = deploy("refund_agent", durable=durable)
    async with deployment.process() as (_, outside):
        execution_id = await outside.start(TARGET, ticket=TICKET)
        await outside.becomes(execution_id, "waiting")
    async with deployment.process() as (_, outside):
        assert (await outside.execution(execution_id))["status"] == "waiting"
        assert (await outside.respond(REQUEST_ID, "approved", "confirmed")).status == 200
        await deployment.lease_runs_out()
        done = await outside.becomes(execution_id, "succeeded")
    assert done["result"] == {"status": "approved", "feedback": "confirmed", "decision": UNSURE}
    assert len(done["approvals"]) == 1
    assert deployment.happened == {"review of 4000 USD": 1 if durable else 2}
    assert deployment.model.asked == 1


async def test_killed_between_decision_and_resume(deploy: Deploy, live_database: Database) -> None:
    deployment = deploy("refund_agent", durable=True)
    async with deployment.process() as (process, outside):
        execution_id = await outside.start(TARGET, ticket=TICKET)
        await outside.becomes(execution_id, "waiting")
        await process.freeze(live_database)
        await decide(live_database, REQUEST_ID, "approved", "confirmed")
        assert (await Run(live_database, execution_id).execution()).status == "queued"
    async with deployment.process() as (_, outside):
        done = await outside.becomes(execution_id, "succeeded")
    assert done["result"] == {"status": "approved", "feedback": "confirmed", "decision": UNSURE}
    assert deployment.happened == {"review of 4000 USD": 1}


@pytest.mark.parametrize(("stage", "reviews"), [("before the review", 1), ("after the review", 2)])
async def test_killed_during_a_step(deploy: Deploy, stage: str, reviews: int) -> None:
    """A step that was not recorded runs again."""
    deployment = deploy("refund_agent", durable=True)
    async with deployment.process(stage) as (process, outside):
        execution_id = await outside.start(TARGET, ticket=TICKET)
        await process.says(stage)
    async with deployment.process() as (_, outside):
        await outside.becomes(execution_id, "waiting")
        await outside.respond(REQUEST_ID, "approved", "confirmed")
        done = await outside.becomes(execution_id, "succeeded")
    assert done["result"]["status"] == "approved"
    assert deployment.happened == {"review of 4000 USD": reviews}
    assert deployment.model.asked == 1
