"""Ways through the machine by hand, each to where one planted bug shows: found for certain, and at once."""

from __future__ import annotations

from collections.abc import Callable

from agent_runtime.core.approval import Verdict
from agent_runtime.core.duration import HOUR
from tests.chaos.machine import FORGERIES, Promises
from tests.chaos.world import VALID_FOR

Walk = Callable[[Promises], None]


def after_the_deadline(state: Promises) -> None:
    state.time_passes(HOUR)
    state.decide(0, Verdict.approved, "operator")


def from_an_old_card(state: Promises) -> None:
    state.try_to_approve(0, "operator", stale=True)


def two_votes_of_one_person(state: Promises) -> None:
    state.try_to_approve(0, "reviewer", stale=False)
    state.try_to_approve(0, "reviewer", stale=False)


def into_the_silence(state: Promises) -> None:
    state.time_passes(HOUR)
    state.sweep()


def a_crash_after_the_unsafe_effect(state: Promises) -> None:
    state.approve_all_and_work("after unsafe")
    state.crash(0, noticed=True)
    state.work(None)


def a_crash_after_the_keyed_effect(state: Promises) -> None:
    state.approve_all_and_work("after keyed")
    state.crash(0, noticed=True)
    state.work(None)


def a_sleeper_is_overtaken(state: Promises) -> None:
    """It was about to start a call; the other is past its effect when it wakes up."""
    state.overtake_a_sleeper("before start_call", "after unsafe")
    state.unsafe_effects_happen_once()


def a_release_and_a_forged_version(state: Promises) -> None:
    state.release()
    for at in range(2):
        state.tamper(at, FORGERIES[-1])
    state.approve_all_and_work(None)


def forged_arguments(state: Promises) -> None:
    for at in range(2):
        state.tamper(at, FORGERIES[0])
    state.approve_all_and_work(None)


def an_approval_is_used_late(state: Promises) -> None:
    for at in range(2):
        state.decide(at, Verdict.approved, "operator")
    state.time_passes(VALID_FOR)
    state.work(None)


def decided_while_it_parks(state: Promises) -> None:
    """It has run one call, and parks over the other, when that is decided."""
    state.decide(1, Verdict.approved, "operator")
    state.approve_all_while_it_sleeps("before park")


def twice_the_same_decision(state: Promises) -> None:
    for _ in range(2):
        state.decide(0, Verdict.rejected, "operator")


WALKS: dict[str, Walk] = {
    "late approval": after_the_deadline,
    "silence approves": into_the_silence,
    "retry after crash": a_crash_after_the_unsafe_effect,
    "a key for each attempt": a_crash_after_the_keyed_effect,
    "no fence": a_sleeper_is_overtaken,
    "a fence that is not counted up": a_sleeper_is_overtaken,
    "digest unchecked": forged_arguments,
    "digest without the version": a_release_and_a_forged_version,
    "stale card": from_an_old_card,
    "a quorum of one person": two_votes_of_one_person,
    "resumed twice": twice_the_same_decision,
    "lost wake-up": decided_while_it_parks,
    "approval that lasts": an_approval_is_used_late,
}
"""By the mutant that each finds; all others are found by chance as quickly."""


def walked(walk: Walk) -> None:
    """Raises AssertionError where a promise does not hold on the way, or at its end."""
    state = Promises()
    try:
        state.executions(1)
        walk(state)
        state.check()
    except BaseException:
        state.close()
        raise
    state.teardown()
