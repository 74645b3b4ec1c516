"""The ladder: rungs in order, at their times, never after the expiry, and caught up with after a downtime."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.core.duration import DAY, HOUR, MINUTE, SECOND
from agent_runtime.core.ladder import DELIVERY_GRACE, WARN_BEFORE, Climbed, Due, Rung, climb, next_due, started
from agent_runtime.core.policy import Policy
from tests.samples import NOW

FULL = Policy(
    expires_after=4 * HOUR, remind_after=15 * MINUTE, escalate_after=HOUR, escalate_to=("@lead",), notified=True
)


def walk(policy: Policy, clock: int | None = NOW, expires_at: int | None = None) -> list[Due]:
    """Every rung in order, each done when it is due."""
    done, rungs = 0, []
    if clock is not None and expires_at is None:
        clock, expires_at = started(policy, NOW, clock)
    while (due := next_due(policy, NOW, clock, expires_at, done)) is not None:
        rungs.append(due)
        if due.rung is Rung.expire:
            break
        if due.rung is Rung.clock:
            clock, expires_at = started(policy, NOW, due.at)
        done |= due.rung
    return rungs


def test_the_whole_ladder() -> None:
    assert walk(FULL) == [
        Due(Rung.remind, NOW + 15 * MINUTE),
        Due(Rung.escalate, NOW + HOUR),
        Due(Rung.warn, NOW + 4 * HOUR - WARN_BEFORE),
        Due(Rung.expire, NOW + 4 * HOUR),
    ]


def test_until_it_is_shown_only_the_clock_is_due() -> None:
    assert walk(FULL, clock=None) == [
        Due(Rung.clock, NOW + DELIVERY_GRACE),
        Due(Rung.remind, NOW + DELIVERY_GRACE + 15 * MINUTE),
        Due(Rung.escalate, NOW + DELIVERY_GRACE + HOUR),
        Due(Rung.warn, NOW + DELIVERY_GRACE + 4 * HOUR - WARN_BEFORE),
        Due(Rung.expire, NOW + DELIVERY_GRACE + 4 * HOUR),
    ]


@pytest.mark.parametrize(
    ("policy", "rungs"),
    [
        (Policy(), []),
        (Policy(remind_after=MINUTE), [Rung.remind]),
        (Policy(escalate_after=MINUTE), []),
        (Policy(escalate_after=MINUTE, escalate_channel="C1"), [Rung.escalate]),
        (Policy(escalate_after=MINUTE, escalate_to=("@lead",), remind_after=HOUR), [Rung.escalate, Rung.remind]),
        (Policy(escalate_after=MINUTE, escalate_to=("@lead",), remind_after=MINUTE), [Rung.remind, Rung.escalate]),
        (Policy(expires_after=MINUTE), [Rung.warn, Rung.expire]),
        (Policy(expires_after=1), [Rung.expire]),
        (Policy(expires_after=HOUR, remind_after=HOUR), [Rung.warn, Rung.expire]),
        (Policy(expires_after=HOUR, remind_after=HOUR - 1), [Rung.warn, Rung.remind, Rung.expire]),
    ],
)
def test_only_what_was_asked_for_and_what_comes_before_the_expiry(policy: Policy, rungs: list[Rung]) -> None:
    assert [due.rung for due in walk(policy)] == rungs


@pytest.mark.parametrize(
    ("life", "before"), [(2 * HOUR, 10 * MINUTE), (HOUR, 10 * MINUTE), (30 * SECOND, 5 * SECOND), (6, 1)]
)
def test_a_short_life_is_warned_of_late(life: int, before: int) -> None:
    assert walk(Policy(expires_after=life))[0] == Due(Rung.warn, NOW + life - before)


@pytest.mark.parametrize(
    ("after", "clock"),
    [(0, 0), (MINUTE, MINUTE), (DELIVERY_GRACE, DELIVERY_GRACE), (7 * DAY, DELIVERY_GRACE)],
)
def test_the_clock_starts_with_the_first_delivery_and_at_the_end_of_the_grace_at_the_latest(
    after: int, clock: int
) -> None:
    assert started(FULL, NOW, NOW + after) == (NOW + clock, NOW + clock + 4 * HOUR)
    assert started(Policy(), NOW, NOW + after) == (NOW + clock, None)


# --- climbing -----------------------------------------------------------------------------------------------


def climbed(policy: Policy, now: int, clock: int | None = NOW, done: int = 0) -> Climbed:
    expires_at = None
    if clock is not None:
        clock, expires_at = started(policy, NOW, clock)
    return climb(policy, NOW, clock, expires_at, done, now)


@pytest.mark.parametrize("early", [0, 1])
@pytest.mark.parametrize(
    ("at", "rung", "done"),
    [
        (15 * MINUTE, Rung.remind, 0),
        (HOUR, Rung.escalate, Rung.remind),
        (4 * HOUR - WARN_BEFORE, Rung.warn, Rung.remind | Rung.escalate),
    ],
)
def test_each_rung_is_done_at_its_instant_and_not_before(at: int, rung: Rung, done: int, early: int) -> None:
    got = climbed(FULL, NOW + at - early, done=done)
    assert got.rungs == (() if early else (rung,))
    assert got.done == (done if early else done | rung)
    assert got.next is not None
    assert (got.next == Due(rung, NOW + at)) == bool(early)
    assert not got.over


@pytest.mark.parametrize(("late", "over"), [(-1, False), (0, True), (1, True)])
def test_it_is_over_at_the_instant_of_the_expiry(late: int, over: bool) -> None:
    expires_at = NOW + 4 * HOUR
    got = climbed(FULL, expires_at + late, done=Rung.remind | Rung.escalate | Rung.warn)
    assert (got.over, got.next, got.rungs) == (over, Due(Rung.expire, expires_at), ())


def test_what_a_downtime_missed_is_caught_up_with_in_order() -> None:
    got = climbed(FULL, NOW + 4 * HOUR - 1)
    assert got.rungs == (Rung.remind, Rung.escalate, Rung.warn)
    assert got.next == Due(Rung.expire, NOW + 4 * HOUR)


@pytest.mark.parametrize("clock", [NOW, None], ids=["shown", "never shown"])
def test_after_seven_days_it_is_over_and_nobody_is_reminded(clock: int | None) -> None:
    got = climbed(FULL, NOW + 7 * DAY, clock=clock)
    assert got.over
    assert got.rungs == ()
    assert got.expires_at == NOW + 4 * HOUR + (0 if clock else DELIVERY_GRACE)


def test_the_grace_ends_the_wait_for_a_delivery() -> None:
    before = climbed(FULL, NOW + DELIVERY_GRACE - 1, clock=None)
    assert (before.clock_started_at, before.expires_at, before.done) == (None, None, 0)
    after = climbed(FULL, NOW + DELIVERY_GRACE, clock=None)
    assert (after.clock_started_at, after.expires_at) == (NOW + DELIVERY_GRACE, NOW + DELIVERY_GRACE + 4 * HOUR)
    assert (after.done, after.rungs) == (Rung.clock, ())


def test_an_extension_moves_the_warning_too() -> None:
    done = Rung.remind | Rung.escalate | Rung.warn
    extended = NOW + 8 * HOUR
    assert next_due(FULL, NOW, NOW, extended, done) == Due(Rung.expire, extended)
    assert next_due(FULL, NOW, NOW, extended, done & ~Rung.warn) == Due(Rung.warn, extended - WARN_BEFORE)


_spans = st.none() | st.integers(1, 3 * DAY)
_policies = st.builds(
    Policy,
    expires_after=_spans,
    remind_after=_spans,
    escalate_after=_spans,
    escalate_to=st.sampled_from([(), ("@lead",)]),
)


@given(_policies, st.none() | st.integers(0, HOUR), st.lists(st.integers(0, 2 * DAY), max_size=12))
def test_however_often_one_looks_each_rung_is_done_once_in_order_and_before_the_end(
    policy: Policy, shown_after: int | None, pauses: list[int]
) -> None:
    clock, expires_at = (None, None) if shown_after is None else started(policy, NOW, NOW + shown_after)
    done, now, seen = 0, NOW, []
    for pause in pauses:
        now += pause
        got = climb(policy, NOW, clock, expires_at, done, now)
        clock, expires_at, done = got.clock_started_at, got.expires_at, got.done
        seen += got.rungs
        assert got.over == (expires_at is not None and now >= expires_at)
        if got.over:
            assert got.rungs == ()
            break
        assert got.next is None or got.next.at > now
        assert climb(policy, NOW, clock, expires_at, done, now).rungs == ()
    times = {due.rung: due.at for due in walk(policy, clock, expires_at)}
    assert Rung.expire not in seen
    assert Rung.clock not in seen
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen, key=lambda rung: (times[rung], rung))
