"""What the trail says about one gated call, from the request to the result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.core.canonical import digest
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import Via
from agent_runtime.operations.policy import note_policy
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM
from tests.clock import Clock
from tests.flow import AGENT, Flow, gated
from tests.samples import REQUESTER, reviewer

pytestmark = pytest.mark.databases("sqlite")
POLICY = Policy(
    reviewers=("U1", "U2"), quorum=2, rules=("checkpoint:money",), expires_after=60_000_000, redact=("iban",)
)


async def test_who_what_when_under_which_policy_and_what_came_of_it(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=POLICY, order="ORD-1", iban="DE89370400440532013000"))
    await flow.resolve(by=reviewer("U1"), via=Via.slack)
    await clock.advance(7_000_000)
    await flow.resolve(by=reviewer("U2"), via=Via.slack)
    await flow.claim()
    await flow.finish_call(await flow.start_call(), value={"refunded": True})
    trail: dict[str, Any] = {event.type: (event, json.loads(event.data)) for event in await flow.events()}
    approval = await flow.approval()

    event, asked = trail["approval.requested"]
    assert asked["agent"] == AGENT.name
    assert asked["agent_version"] == AGENT.version
    assert asked["requested_by"] == REQUESTER
    assert asked["policy"]["rules"] == ["checkpoint:money"]
    assert asked["arguments"] == {"order": "ORD-1", "iban": "[redacted]"}
    assert asked["digest"] == approval.digest
    assert asked["expires_at"] is not None
    assert asked["position"] == 1
    _, voted = trail["approval.voted"]
    assert (voted["approvals"], voted["quorum"], voted["eligible_as"]) == (1, 2, ["U1"])
    event, approved = trail["approval.approved"]
    assert (event.principal, event.via) == ("slack:T1:U2", "slack")
    assert (approved["approvals"], approved["quorum"], approved["eligible_as"]) == (2, 2, ["U2"])
    assert approved["seconds_to_decide"] == 7
    _, claimed = trail["execution.claimed"]
    _, started = trail["call.started"]
    assert claimed["fence"] == started["fence"] == 2
    assert started["code_version"] == claimed["code_version"]
    assert (started["attempt"], started["agent_version"]) == (1, AGENT.version)
    _, done = trail["call.succeeded"]
    assert done["result_digest"] == digest({"refunded": True})
    assert "DE8937" not in repr(trail)


async def test_long_arguments_are_named_by_their_digest_alone(database: Database) -> None:
    flow = await Flow.asked(database, gated(order="x" * 20_000))
    [asked] = [json.loads(event.data) for event in await flow.events() if event.type == "approval.requested"]
    assert asked["arguments_omitted"] > 20_000
    assert "arguments" not in asked


async def test_another_policy_is_recorded_once(database: Database) -> None:
    first = {"file_digest": "sha256:1", "checkpoints": [], "reviewers": ["U1"]}
    assert await database.write(note_policy, first)
    assert not await database.write(note_policy, first)
    assert await database.write(note_policy, {**first, "reviewers": []})
    events = await database.all(EVENTS_OF_STREAM, b_stream="policy", b_after=0, b_limit=9)
    assert [event.type for event in events] == ["policy.changed", "policy.changed"]
