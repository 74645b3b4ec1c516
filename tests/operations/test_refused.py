"""Who tried and may not is in the audit trail, although the attempt changes nothing."""

from __future__ import annotations

import json

import pytest

from agent_runtime.core.principal import Actor, Via
from agent_runtime.errors import NotAuthorized
from agent_runtime.operations.extend import extend
from agent_runtime.operations.resolve import resolve
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
