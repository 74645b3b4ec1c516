"""sweep: what time brings, from rows alone: the ladder, the expiry, claims that lapsed; also after a downtime."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest
from sqlalchemy import func, literal_column, select

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.duration import DAY, HOUR, MINUTE, SECOND
from agent_runtime.core.execution import LEASE
from agent_runtime.core.ladder import DELIVERY_GRACE, WARN_BEFORE, Rung
from agent_runtime.core.policy import Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import ApprovalExpired, NotAuthorized
from agent_runtime.operations.claim import SWEPT
from agent_runtime.operations.extend import extend
from agent_runtime.operations.resolve import Resolution, load, resolve
from agent_runtime.operations.sweep import Swept, start_clock, sweep
from agent_runtime.store.approvals import CLIMB, GET_APPROVAL_FOR_UPDATE
from agent_runtime.store.database import Database
from agent_runtime.store.outbox import APPROVAL_CARD, APPROVAL_NOTE, APPROVAL_WARNING, DUE_DELIVERIES
from agent_runtime.store.statement import Q
from agent_runtime.store.tx import Tx
from tests.clock import Clock
from tests.conftest import OpenDatabase
from tests.flow import APPROVE, POLICY, Flow, gated
from tests.samples import REVIEWERS, reviewer

FULL = Policy(
    reviewers=REVIEWERS,
    expires_after=4 * HOUR,
    remind_after=15 * MINUTE,
    escalate_after=HOUR,
    escalate_to=("@lead", "U8"),
)
TIMED = replace(POLICY, expires_after=HOUR)


async def swept(database: Database) -> Swept:
    """Sweeps until nothing more is due; the sum."""
    total = Swept()
    more = True
    while more:
        one = await database.write(sweep)
        total = Swept(total.climbed + one.climbed, total.expired + one.expired, total.taken_over + one.taken_over)
        more = one.more
    return total


def shown(tx: Tx, approval_request_id: str) -> ApprovalRequest:
    """The first delivery of its card."""
    approval = tx.one(GET_APPROVAL_FOR_UPDATE, b_id=approval_request_id)
    assert approval is not None
    return start_clock(tx, approval)


# --- the ladder ---------------------------------------------------------------------------------------------


async def test_the_rungs_come_in_order_at_their_times(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=FULL))
    begun, seen = clock.now, len(await flow.events())
    for at, type in [
        (15 * MINUTE, "approval.reminded"),
        (HOUR, "approval.escalated"),
        (4 * HOUR - WARN_BEFORE, "approval.warned"),
    ]:
        await clock.set(begun + at - 1)
        assert await swept(database) == Swept()
        await clock.set(begun + at)
        assert await swept(database) == Swept(climbed=1)
        assert await swept(database) == Swept()
        assert (await flow.types(seen))[-1] == type
    await clock.set(begun + 4 * HOUR - 1)
    assert await swept(database) == Swept()
    await clock.set(begun + 4 * HOUR)
    assert await swept(database) == Swept(expired=1)
    assert await flow.types(seen) == [
        "approval.reminded",
        "approval.escalated",
        "approval.warned",
        "approval.expired",
        "execution.queued",
    ]
    approval = await flow.approval()
    assert (approval.status, approval.rungs_done) == ("expired", Rung.remind | Rung.escalate | Rung.warn)


async def test_an_expiry_is_the_systems_through_its_own_door_and_approves_nothing(
    database: Database, clock: Clock
) -> None:
    flow = await Flow.asked(database, gated(policy=TIMED))
    await clock.advance(HOUR)
    await swept(database)
    approval = await flow.approval()
    assert approval.resolution == {"by": "system", "via": "expiry", "feedback": ""}
    assert (approval.valid_until, approval.next_due_at) == (None, None)
    assert (await flow.step()).status == "refused"
    assert await flow.result() == {"refusal": "expired", "feedback": "", "by": ""}
    event = next(event for event in await flow.events() if event.type == "approval.expired")
    assert (event.principal, event.via) == ("system", "expiry")
    with pytest.raises(ApprovalExpired):
        await flow.resolve()


async def test_whom_an_escalation_adds_may_decide_from_then_on(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=FULL))
    with pytest.raises(NotAuthorized):
        await flow.resolve(by=reviewer("U8"))
    await clock.advance(HOUR)
    await swept(database)
    escalated = next(event for event in await flow.events() if event.type == "approval.escalated")
    assert json.loads(escalated.data) == {"escalate_to": ["@lead", "U8"]}
    assert (await flow.resolve(by=reviewer("U8"))).approval.status == "approved"


async def test_each_rung_is_shown_where_somebody_is_notified(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=replace(FULL, notified=True)))
    approval_request_id = (await flow.approval()).approval_request_id
    await database.write(shown, approval_request_id)
    before = len(await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=100))
    await clock.advance(HOUR)
    await swept(database)
    due = await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=100)
    assert [(row.topic, row.payload) for row in due[before:]] == [
        (APPROVAL_NOTE, '{"event":"reminded"}'),
        (APPROVAL_NOTE, '{"event":"escalated"}'),
        (APPROVAL_CARD, "{}"),
    ]


async def test_a_warning_is_drawn_anew_when_it_is_over(database: Database, clock: Clock) -> None:
    """When it is due, when more time is given, when it is due again, and when the approval ends."""
    flow = await Flow.asked(database, gated(policy=replace(TIMED, notified=True)))
    approval_request_id = (await flow.approval()).approval_request_id
    begun = (await flow.approval()).clock_started_at or await started(database, approval_request_id)

    async def warnings() -> int:
        due = await database.all(DUE_DELIVERIES, b_now=clock.now, b_limit=100)
        return [(row.topic, row.payload) for row in due].count((APPROVAL_WARNING, "{}"))

    await clock.set(begun + HOUR - WARN_BEFORE)
    await swept(database)
    assert await warnings() == 1
    await database.write(extend, approval_request_id, by=LOCAL_OPERATOR, via=Via.cli)
    assert await warnings() == 2
    await clock.set(begun + 2 * HOUR - WARN_BEFORE)
    await swept(database)
    assert await warnings() == 3
    await flow.resolve()
    assert await warnings() == 4


async def started(database: Database, approval_request_id: str) -> int:
    """Its clock, which the first delivery starts."""
    return (await database.write(shown, approval_request_id)).clock_started_at or 0


# --- the clock ----------------------------------------------------------------------------------------------


async def test_the_first_delivery_starts_the_clock(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=replace(FULL, notified=True)))
    approval_request_id = (await flow.approval()).approval_request_id
    await clock.advance(3 * MINUTE)
    started = await database.write(shown, approval_request_id)
    assert (started.clock_started_at, started.expires_at) == (clock.now, clock.now + 4 * HOUR)
    assert started.next_due_at == clock.now + 15 * MINUTE
    await clock.advance(MINUTE)
    assert await database.write(shown, approval_request_id) == started


async def test_without_a_delivery_it_starts_at_the_end_of_the_grace(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=replace(FULL, notified=True)))
    begun = clock.now
    await clock.advance(DELIVERY_GRACE - 1)
    assert await swept(database) == Swept()
    await clock.advance(1)
    assert await swept(database) == Swept(climbed=1)
    approval = await flow.approval()
    assert approval.expires_at == begun + DELIVERY_GRACE + 4 * HOUR
    assert approval.next_due_at == begun + DELIVERY_GRACE + 15 * MINUTE


async def test_a_late_delivery_gives_no_more_time_than_the_grace(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=replace(FULL, notified=True)))
    begun = clock.now
    await clock.advance(HOUR)
    started = await database.write(shown, (await flow.approval()).approval_request_id)
    assert started.expires_at == begun + DELIVERY_GRACE + 4 * HOUR


async def test_a_card_of_what_was_decided_starts_nothing(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=replace(FULL, notified=True)))
    await flow.resolve()
    decided = await flow.approval()
    assert await database.write(shown, decided.approval_request_id) == decided


# --- downtime -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("notified", [False, True], ids=["no notifier", "never shown"])
@pytest.mark.parametrize("down", [4 * HOUR + DELIVERY_GRACE, DAY, 7 * DAY])
async def test_what_expired_while_nothing_ran_expires_at_once(
    database: Database, clock: Clock, down: int, notified: bool
) -> None:
    flow = await Flow.asked(database, gated(policy=replace(FULL, notified=notified)))
    seen = len(await flow.events())
    await clock.advance(down)
    assert await swept(database) == Swept(expired=1)
    assert (await flow.approval()).expires_at is not None
    assert await flow.types(seen) == ["approval.expired", "execution.queued"]
    assert await swept(database) == Swept()


async def test_what_was_missed_and_still_matters_is_caught_up_with(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=FULL))
    seen = len(await flow.events())
    await clock.advance(4 * HOUR - 1)
    assert await swept(database) == Swept(climbed=1)
    assert await flow.types(seen) == ["approval.reminded", "approval.escalated", "approval.warned"]


async def test_more_than_one_sweep_may_take(database: Database, clock: Clock) -> None:
    flows = []
    for _ in range(4):
        calls = [gated(policy=TIMED) for _ in range(SWEPT // 3)]
        flows.append(await Flow.asked(database, *calls))
    total = 4 * (SWEPT // 3)
    await clock.advance(7 * DAY)
    first = await database.write(sweep)
    assert (first.expired, first.more) == (SWEPT, True)
    assert await swept(database) == Swept(expired=total - SWEPT)
    for flow in flows:
        assert await flow.pending() == []
        assert (await flow.execution()).status == "queued"
        await flow.events()


async def test_sweeping_at_the_same_time_does_everything_once(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, *(gated(policy=TIMED) for _ in range(5)))
    await clock.advance(HOUR)
    both = await asyncio.gather(*(database.write(sweep) for _ in range(4)))
    assert sum(one.expired for one in both) == 5
    assert (await flow.types()).count("approval.expired") == 5


# --- against decisions --------------------------------------------------------------------------------------


async def test_what_was_decided_is_never_due_again(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=FULL))
    await flow.resolve(APPROVE)
    await clock.advance(7 * DAY)
    assert await swept(database) == Swept()
    assert (await flow.approval()).status == "approved"


# --- more time ----------------------------------------------------------------------------------------------


async def test_an_extension_moves_the_expiry_and_warns_again(database: Database, clock: Clock) -> None:
    flow = await Flow.asked(database, gated(policy=TIMED))
    begun, seen = clock.now, len(await flow.events())
    approval_request_id = (await flow.approval()).approval_request_id
    await clock.set(begun + HOUR - WARN_BEFORE)
    await swept(database)
    extended = await database.write(extend, approval_request_id, by=LOCAL_OPERATOR, via=Via.cli)
    assert extended.expires_at == begun + 2 * HOUR
    await clock.set(begun + HOUR)
    assert await swept(database) == Swept()
    await clock.set(begun + 2 * HOUR - WARN_BEFORE)
    await swept(database)
    await clock.set(begun + 2 * HOUR)
    await swept(database)
    assert await flow.types(seen) == [
        "approval.warned",
        "approval.extended",
        "approval.warned",
        "approval.expired",
        "execution.queued",
    ]


# --- lapsed claims ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [-1, 0, SECOND])
async def test_a_claim_that_lapsed_is_given_to_others(database: Database, clock: Clock, late: int) -> None:
    flow = await Flow.asked(database, waiting=False)
    seen = len(await flow.events())
    await clock.advance(LEASE + late)
    taken = await swept(database)
    assert taken.taken_over == (1 if late >= 0 else 0)
    assert (await flow.execution()).status == ("queued" if late >= 0 else "running")
    assert await flow.types(seen) == (["execution.taken_over"] if late >= 0 else [])


# --- beside decisions ---------------------------------------------------------------------------------------

DEADLOCK_CHECK = 1.0
"""Seconds after which PostgreSQL looks for those who wait in a circle, and a batch no longer waits for a lock."""

_WAIT = Q(select(func.pg_sleep(literal_column("0.4")).label("slept")))


def slowly_decided(tx: Tx, approval_request_id: str, runs: list[str]) -> Resolution:
    """A decision at the very instant: its execution is locked by the batch, and the approval a moment later."""
    runs.append(approval_request_id)
    tx.one(_WAIT)
    return resolve(tx, approval_request_id, APPROVE, by=LOCAL_OPERATOR, via=Via.api)


@pytest.mark.databases("postgresql")
async def test_a_sweep_never_waits_in_a_circle_with_a_decision(
    database: Database, open_database: OpenDatabase, clock: Clock
) -> None:
    """It passes over what somebody works on just now; that comes to its end unhindered, and is not run again."""
    flow = await Flow.asked(database, gated(policy=TIMED))
    approval_request_id = (await flow.approval()).approval_request_id
    await clock.advance(HOUR)
    other, runs = await open_database(), list[str]()
    deciding = asyncio.create_task(other.write(slowly_decided, approval_request_id, runs))
    while not runs:
        await asyncio.sleep(0.01)
    assert await database.write(sweep) == Swept()
    assert not deciding.done(), "it did not wait"
    with pytest.raises(ApprovalExpired):
        await deciding
    assert len(runs) == 1, "not run again after a check for deadlocks"
    assert await database.write(sweep) == Swept(expired=1)


@pytest.mark.databases("postgresql")
async def test_sweeps_and_decisions_at_the_same_instant(database: Database, open_database: OpenDatabase) -> None:
    """Each approval ends once, and nobody comes to wait until the check for deadlocks."""
    processes = [database, await open_database()]
    flows = [await Flow.asked(database, gated(policy=replace(POLICY, expires_after=HOUR))) for _ in range(24)]
    ids = [(await flow.approval()).approval_request_id for flow in flows]
    expiring = [processes[number % 2].write(due_now, identifier) for number, identifier in enumerate(ids)]
    await asyncio.gather(*expiring)
    began = time.monotonic()
    decided = [
        processes[number % 2].write(resolve, one, APPROVE, by=LOCAL_OPERATOR, via=Via.api)
        for number, one in enumerate(ids)
    ]
    swept = [process.write(sweep) for process in processes * 4]
    answers = await asyncio.gather(*swept, *decided, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, BaseException)] == []
    assert [(await flow.approval()).status for flow in flows] == ["approved"] * len(flows)
    assert time.monotonic() - began < DEADLOCK_CHECK


def due_now(tx: Tx, approval_request_id: str) -> None:
    """Something of its ladder is due, and not yet its expiry."""
    approval = load(tx, approval_request_id)
    tx.run(
        CLIMB,
        b_id=approval_request_id,
        b_clock=approval.clock_started_at,
        b_expires=approval.expires_at,
        b_due=tx.now,
        b_done=approval.rungs_done,
        b_widened=0,
        b_extensions=0,
    )
