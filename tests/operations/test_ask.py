"""ask: an outsider's question, with the policy of this place, once for each id."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agent_runtime.core.approval import Decision, Verdict
from agent_runtime.core.checkpoints import parse
from agent_runtime.core.duration import HOUR, MINUTE
from agent_runtime.core.policy import Approval, Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.core.shown import approval_shown
from agent_runtime.errors import Conflict, InvalidRequest, NotAuthorized
from agent_runtime.operations.ask import Asked, Asking, ask
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.approvals import GET_APPROVAL
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM
from agent_runtime.store.outbox import APPROVAL_CARD, DUE_DELIVERIES
from tests.clock import Clock
from tests.conftest import OpenDatabase

CREW = Actor("api:crew")
DEFAULTS = Defaults(Approval(reviewers=["U012"], expires_in_hours=2, remind_after="15m"))
GATES = """
[[checkpoint]]
checkpoint_id = "deletions"
action_pattern = "delete_.*"
reviewers = ["@dba"]
quorum = 2
timeout_seconds = 600
redact = ["customer"]
description_template = "Delete {table} of {customer} for good"

[[checkpoint]]
checkpoint_id = "production"
action_pattern = ".*_prod"
risk = "high"
"""
GATED = Defaults(DEFAULTS.approval, parse(GATES).checkpoints)


async def asked(database: Database, defaults: Defaults = DEFAULTS, by: Actor = CREW, **wanted: Any) -> Asking:
    wanted.setdefault("title", "Refund 250 EUR to cust_001")
    return await database.write(ask, Asked(**wanted), defaults, by=by, via=Via.api)


async def test_an_outsider_asks_under_the_defaults_of_this_place(database: Database, clock: Clock) -> None:
    approval = (await asked(database, tool_name="refund", arguments={"amount": 250})).approval
    assert (approval.kind, approval.status, approval.execution_id) == ("external", "pending", None)
    assert (approval.requested_by, approval.agent, approval.policy.reviewers) == ("api:crew", "", ("U012",))
    assert approval.expires_at == clock.now + 2 * HOUR
    assert approval.next_due_at == clock.now + 15 * MINUTE
    (event,) = await database.all(EVENTS_OF_STREAM, b_stream=approval.approval_request_id, b_after=0, b_limit=9)
    assert (event.type, event.principal, event.via) == ("approval.requested", "api:crew", "api")
    assert json.loads(event.data)["digest"] == approval.digest


async def test_what_it_wants_itself_comes_before_the_defaults(database: Database, clock: Clock) -> None:
    wanted = Approval(reviewers=["U07"], quorum=2, risk="high", expires_in_hours=0.5)
    policy = (await asked(database, approval=wanted)).approval.policy
    assert (policy.reviewers, policy.quorum, policy.risk, policy.expires_after) == (("U07",), 2, "high", HOUR // 2)


async def test_checkpoints_that_match_the_tool_add_up_and_come_first(database: Database) -> None:
    mine = Approval(reviewers=["U666"], quorum=1, risk="normal", expires_in_hours=100)
    wanted = {
        "tool_name": "delete_prod",
        "arguments": {"table": "orders", "customer": "Alex"},
        "title": "Routine clean-up",
        "approval": mine,
    }
    approval = (await asked(database, GATED, **wanted)).approval
    policy = approval.policy
    assert policy.rules == ("checkpoint:deletions", "checkpoint:production")
    assert (policy.reviewers, policy.quorum, policy.risk) == (("@dba",), 2, "high")
    assert policy.expires_after == 10 * MINUTE
    assert approval.title == "Delete orders of [redacted] for good"
    assert approval_shown(approval, [])["asserted"] == {"title": "Routine clean-up"}
    assert (await asked(database, GATED, tool_name="refund")).approval.policy.rules == ()


async def test_whom_it_says_it_asks_for_is_recorded_as_its_word(database: Database) -> None:
    said = {"why": "the runtime says so", "words": "approved already", "notes": ["x"], "api_key": "sk-live"}
    approval = (await asked(database, requested_by="slack:T1:U9", context=said)).approval
    assert approval.requested_by == "api:crew"
    assert set(json.loads(approval.context or "{}")) == {"asserted"}
    shown = approval_shown(approval, [])
    assert shown["asserted"] == {"requested_by": "slack:T1:U9"}
    assert shown["context"] == said | {"api_key": "[redacted]"}
    (event,) = await database.all(EVENTS_OF_STREAM, b_stream=approval.approval_request_id, b_after=0, b_limit=9)
    assert json.loads(event.data)["asserted_by"] == "slack:T1:U9"


async def test_the_same_request_again_is_the_first_one(database: Database, clock: Clock) -> None:
    wanted = {"approval_request_id": "deploy-7:1", "arguments": {"b": 1, "a": 2}, "approval": Approval(quorum=1)}
    first = await asked(database, **wanted)
    await database.write(resolve, "deploy-7:1", Decision(Verdict.approved), by=LOCAL_OPERATOR, via=Via.cli)
    await clock.advance(MINUTE)
    again = await asked(database, **wanted)
    assert (first.created, again.created) == (True, False)
    assert again.approval.status == "approved"


@pytest.mark.parametrize(
    "other",
    [
        {"title": "Another"},
        {"arguments": {"amount": 251}},
        {"approval": Approval(quorum=2)},
        {"callback_url": "https://example.com/"},
        {"by": Actor("api:somebody-else")},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_another_request_under_a_used_id_is_refused(database: Database, other: dict[str, Any]) -> None:
    await asked(database, approval_request_id="once")
    with pytest.raises(Conflict, match="once"):
        await asked(database, approval_request_id="once", **other)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"title": " \n"}, "title"),
        ({"approval_request_id": "with space"}, "approval_request_id"),
        ({"preview": {"valid_for": "soon"}}, "preview.valid_for"),
    ],
)
async def test_what_cannot_be_asked_names_the_field(database: Database, wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}:"):
        await asked(database, **wanted)


async def test_a_preview_is_part_of_what_is_approved_and_may_shorten_its_use(database: Database) -> None:
    plain = (await asked(database)).approval
    shown = (await asked(database, preview={"title": "Delete 12 rows", "valid_for": "10m"})).approval
    assert shown.digest != plain.digest
    assert shown.policy.valid_for == 10 * MINUTE
    assert (await asked(database, preview={"valid_for": "30d"})).approval.policy.valid_for == plain.policy.valid_for


async def test_racing_requests_of_one_id_make_one_approval(database: Database, open_database: OpenDatabase) -> None:
    other = await open_database()
    made = await asyncio.gather(
        *(asked([database, other][n % 2], approval_request_id="one", title="The same") for n in range(12))
    )
    assert sum(asking.created for asking in made) == 1


async def test_it_has_its_card_its_ladder_and_its_expiry(database: Database, clock: Clock) -> None:
    notified = Defaults(DEFAULTS.approval, notified=True)
    asking = await asked(database, notified)
    (card,) = await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=9)
    assert (card.topic, card.subject) == (APPROVAL_CARD, asking.approval.approval_request_id)
    await clock.advance(3 * HOUR)
    await database.write(sweep)
    await clock.advance(3 * HOUR)
    await database.write(sweep)
    expired = await database.one(GET_APPROVAL, b_id=asking.approval.approval_request_id)
    assert expired is not None
    assert expired.status == "expired"


async def test_whoever_asked_may_not_decide_as_a_reviewer(database: Database) -> None:
    ours = Actor("api:crew", frozenset({"api:crew"}))
    approval = (await asked(database, approval=Approval(reviewers=["api:crew"]))).approval
    with pytest.raises(NotAuthorized, match="somebody else"):
        await database.write(resolve, approval.approval_request_id, Decision(Verdict.approved), by=ours, via=Via.api)
