"""A new epoch after a restore: what had not ended is held, people are asked, and what was lost is said to be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.core.approval import Outcome
from agent_runtime.core.epochs import made_at
from agent_runtime.core.ids import approval_request_id
from agent_runtime.core.policy import Approval, Defaults
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import AlreadyResolved, LostInRestore, NotFound
from agent_runtime.operations.claim import claim
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.restore import ask_after_restore, open_epoch
from agent_runtime.operations.settle import settle
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_STREAM
from tests.clock import Clock
from tests.flow import APPROVE, CLAIMABLE, Flow, free, gated

BY: dict[str, Any] = {"by": LOCAL_OPERATOR, "via": Via.cli}
DEFAULTS = Defaults(Approval(reviewers=["U123"]))


async def restore(database: Database) -> int:
    """As after a restore of the state that is there; how many executions are held."""
    opened = await database.write(open_epoch, **BY, reason="the disk died")
    assert await claims(database) == []
    while await database.write(ask_after_restore, DEFAULTS):
        pass
    assert await claims(database) == []
    return opened.held


async def claims(database: Database) -> list[str]:
    claimed = await database.write(claim, CLAIMABLE, "worker-9", 64, Defaults())
    return [one.execution.execution_id for one in claimed]


async def settled(flow: Flow, outcome: Outcome, **given: Any) -> None:
    [doubt] = [one for one in await flow.pending() if one.kind == "in_doubt"]
    await flow.database.write(settle, doubt.approval_request_id, outcome, **BY, **given)


@pytest.mark.parametrize("state", ["pending", "approved", "started"])
async def test_a_gated_call_may_have_run_and_is_asked_about(database: Database, state: str) -> None:
    flow = await Flow.asked(database)
    before = await flow.approval()
    if state != "pending":
        await flow.resolve()
        await flow.claim()
    if state == "started":
        await flow.start_call()
    assert await restore(database) == 1
    [doubt] = await flow.pending()
    assert (doubt.kind, doubt.supersedes) == ("in_doubt", before.approval_request_id)
    assert doubt.policy.reviewers == before.policy.reviewers
    assert "after that the call may have been approved" in json.loads(doubt.context or "")["why"]
    assert (await flow.step()).status == "in_doubt"
    execution = await flow.execution()
    assert (execution.status, execution.open_approvals, execution.held_for) == ("waiting", 1, None)
    if state == "pending":
        with pytest.raises(AlreadyResolved, match="cancelled"):
            await database.write(resolve, before.approval_request_id, APPROVE, **BY)
    await settled(flow, Outcome.happened, result="refunded")
    await flow.claim()
    assert (await flow.result()) == {"value": "refunded", "settled_by": "local:operator"}


async def test_a_call_that_did_not_happen_runs_after_a_fresh_approval(database: Database) -> None:
    flow = await Flow.asked(database)
    await restore(database)
    await settled(flow, Outcome.not_happened)
    assert (await flow.step()).status == "gated"
    await flow.resolve()
    await flow.claim()
    assert (await flow.start_call()).status == "started"


async def test_two_calls_are_two_questions(database: Database) -> None:
    flow = await Flow.asked(database, gated("refund"), gated("credit"), free())
    assert await restore(database) == 1
    assert [one.kind for one in await flow.pending()] == ["in_doubt", "in_doubt"]
    await database.write(settle, (await flow.approval(1)).approval_request_id, Outcome.happened, **BY)
    await flow.claim()
    assert await flow.park() == "waiting"


@pytest.mark.parametrize("how", ["queued", "running"])
async def test_what_had_begun_nothing_yet_is_held_as_a_whole(database: Database, how: str) -> None:
    """It may have done everything after the backup; so it does not begin again by itself."""
    flow = await Flow.started(database)
    if how == "running":
        await flow.claim()
    assert await restore(database) == 1
    [question] = await flow.pending()
    assert (question.kind, question.position, question.policy.reviewers) == ("in_doubt", None, ("U123",))
    await settled(flow, Outcome.not_happened)
    await flow.claim()
    assert (await flow.execution()).held_for is None


async def test_it_may_be_stopped_instead(database: Database) -> None:
    flow = await Flow.started(database)
    await restore(database)
    await settled(flow, Outcome.stop)
    assert (await flow.execution()).status == "failed"


@pytest.mark.parametrize("begin", [Flow.asked, Flow.started])
async def test_what_has_ended_is_left_alone_and_nothing_is_asked_twice(database: Database, begin: Any) -> None:
    flow = await begin(database)
    await restore(database)
    [doubt] = await flow.pending()
    assert await restore(database) == 1
    assert await flow.pending() == [doubt]
    await settled(flow, Outcome.stop)
    assert await restore(database) == 0


async def test_what_was_made_after_the_backup_is_said_to_be_lost(database: Database, clock: Clock) -> None:
    await Flow.asked(database)
    await clock.advance(3_000_000)
    lost = approval_request_id(clock.now)
    await clock.advance(3_000_000)
    await restore(database)
    await clock.advance(3_000_000)
    with pytest.raises(LostInRestore, match=r"lost in a restore.*Nothing runs by it"):
        await database.write(resolve, lost, APPROVE, **BY)
    with pytest.raises(NotFound, match="no approval has the id") as later:
        await database.write(resolve, approval_request_id(clock.now), APPROVE, **BY)
    assert not isinstance(later.value, LostInRestore)
    with pytest.raises(NotFound, match="may have been lost"):
        await database.write(resolve, "order-77", APPROVE, **BY)
    assert made_at(lost) is not None


async def test_it_is_recorded(database: Database, clock: Clock) -> None:
    await Flow.asked(database)
    await restore(database)
    [event] = await database.all(EVENTS_OF_STREAM, b_stream="epochs", b_after=0, b_limit=9)
    data = json.loads(event.data)
    assert (event.type, event.principal) == ("epoch.opened", "local:operator")
    assert (data["epoch"], data["held"], data["reason"]) == (2, 1, "the disk died")
