"""Who tried and may not is in the audit trail, although the attempt changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.core.approval import Decision, Outcome, Verdict
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.core.text import LONGEST_WORDS
from agent_runtime.errors import InvalidRequest, NotAuthorized
from agent_runtime.operations.cancel import cancel
from agent_runtime.operations.extend import extend
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.settle import settle
from agent_runtime.operations.stop import resume, stop
from agent_runtime.store.approvals import GET_APPROVAL
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM
from tests.flow import APPROVE, Flow
from tests.samples import REQUESTER

BYSTANDER = Actor("slack:T1:U0BYSTANDER", frozenset({"U0BYSTANDER"}))
SELF = Actor(REQUESTER, frozenset({"U9"}))


@pytest.mark.parametrize("by", [BYSTANDER, SELF], ids=["bystander", "requester"])
async def test_a_refused_attempt_is_recorded_and_changes_nothing(database: Database, by: Actor) -> None:
    flow = await Flow.asked(database)
    [asked] = await flow.pending()
    before = await database.one(GET_APPROVAL, b_id=asked.approval_request_id)

    with pytest.raises(NotAuthorized) as refused:
        await database.write(resolve, asked.approval_request_id, APPROVE, by=by, via=Via.slack)

    events = await database.all(EVENTS_OF_STREAM, b_stream=flow.execution_id, b_after=0, b_limit=100)
    last = events[-1]
    assert (last.type, last.principal, last.via) == ("approval.refused", by.principal, "slack")
    assert json.loads(last.data)["reason"] == refused.value.message
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert await database.one(GET_APPROVAL, b_id=asked.approval_request_id) == before


async def test_so_is_a_refused_extension(database: Database) -> None:
    flow = await Flow.asked(database)
    [asked] = await flow.pending()

    with pytest.raises(NotAuthorized):
        await database.write(extend, asked.approval_request_id, by=BYSTANDER, via=Via.slack)

    events = await database.all(EVENTS_OF_STREAM, b_stream=flow.execution_id, b_after=0, b_limit=100)
    assert events[-1].type == "approval.refused"


@pytest.mark.databases("sqlite")
async def test_words_that_are_too_long_are_refused_at_every_door(database: Database) -> None:
    flow = await Flow.asked(database)
    [asked] = await flow.pending()
    words = "x" * (LONGEST_WORDS + 1)
    with pytest.raises(InvalidRequest, match=r"^feedback: has 10,001 characters; at most 10,000 are taken"):
        Decision(Verdict.rejected, words)
    door: dict[str, Any] = {"by": LOCAL_OPERATOR, "via": Via.cli}
    for refused in (
        database.write(settle, asked.approval_request_id, Outcome.stop, evidence=words, **door),
        database.write(cancel, flow.execution_id, reason=words, **door),
        database.write(stop, "", reason=words, **door),
        database.write(resume, "", reason=words, **door),
    ):
        with pytest.raises(InvalidRequest, match="has 10,001 characters"):
            await refused
