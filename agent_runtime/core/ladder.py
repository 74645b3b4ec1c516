"""The ladder: what happens, and when, to an approval that nobody decides. Pure; times in epoch microseconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from agent_runtime.core.duration import MINUTE
from agent_runtime.core.policy import Policy

DELIVERY_GRACE = 10 * MINUTE
"""The expiry clock starts at the first delivery, and this long after the commit at the latest."""

WARN_BEFORE = 10 * MINUTE


class Rung(IntFlag):
    """A step of the ladder; their sum is what has been done (`approvals.rungs_done`)."""

    clock = 1
    remind = 2
    escalate = 4
    warn = 8
    expire = 16


@dataclass(frozen=True, slots=True)
class Due:
    """The next rung and its time."""

    rung: Rung
    at: int


def started(policy: Policy, now: int) -> tuple[int, int | None]:
    """(clock_started_at, expires_at) for a clock that starts at `now`."""
    return now, None if policy.expires_after is None else now + policy.expires_after


def next_due(
    policy: Policy, created_at: int, clock_started_at: int | None, expires_at: int | None, done: int
) -> Due | None:
    """The rung that comes next, or None where nothing ever will."""
    if clock_started_at is None:
        return Due(Rung.clock, created_at + DELIVERY_GRACE)
    rungs: list[Due] = []
    if policy.remind_after is not None:
        rungs.append(Due(Rung.remind, clock_started_at + policy.remind_after))
    if policy.escalate_after is not None and (policy.escalate_to or policy.escalate_channel):
        rungs.append(Due(Rung.escalate, clock_started_at + policy.escalate_after))
    if expires_at is not None:
        rungs.append(Due(Rung.warn, expires_at - warn_before(expires_at - clock_started_at)))
        rungs = [due for due in rungs if due.at < expires_at]
        rungs.append(Due(Rung.expire, expires_at))
    rungs = [due for due in rungs if not done & due.rung]
    return min(rungs, key=lambda due: (due.at, due.rung), default=None)


def warn_before(life: int) -> int:
    """How long before the expiry people are warned: ten minutes, or a sixth of a shorter life."""
    return min(WARN_BEFORE, life // 6)
