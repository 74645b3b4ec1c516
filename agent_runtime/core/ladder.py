"""The ladder: what happens, and when, to an approval that nobody decides. Pure; times in epoch microseconds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from agent_runtime.core.duration import MINUTE
from agent_runtime.core.policy import Policy

DELIVERY_GRACE = 10 * MINUTE
"""The expiry clock starts at the first delivery, and this long after the commit at the latest."""

WARN_BEFORE = 10 * MINUTE

MAX_EXTENSIONS = 3
"""How often people may put off the expiry of one approval."""
"""How long before the expiry people are warned; a sixth of a life that is shorter than an hour."""


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


@dataclass(frozen=True, slots=True)
class Climbed:
    """How far an approval has come: its clock, all rungs done (`done`), those that were due now, in order, and the
    next one. Where `over`, it has expired and nothing but its end is left to do.
    """

    clock_started_at: int | None
    expires_at: int | None
    done: int
    rungs: tuple[Rung, ...]
    next: Due | None
    over: bool


def climb(
    policy: Policy, created_at: int, clock_started_at: int | None, expires_at: int | None, done: int, now: int
) -> Climbed:
    """Every rung that is due at `now`. After a downtime the missed ones are all due at once; once the expiry has
    passed, nobody is reminded or warned any more.
    """
    if clock_started_at is None and now >= created_at + DELIVERY_GRACE:
        clock_started_at, expires_at = started(policy, created_at, now)
        done |= Rung.clock
    over = expires_at is not None and now >= expires_at
    rungs: list[Rung] = []
    due = next_due(policy, created_at, clock_started_at, expires_at, done)
    while due is not None and due.at <= now and not over:
        rungs.append(due.rung)
        done |= due.rung
        due = next_due(policy, created_at, clock_started_at, expires_at, done)
    if over and expires_at is not None:
        due = Due(Rung.expire, expires_at)
    return Climbed(clock_started_at, expires_at, int(done), tuple(rungs), due, over)


def was_warned(rungs_done: int, extensions: int) -> bool:
    """Whether people may have been warned of an expiry: of this one, or of one that was put off since."""
    return bool(rungs_done & Rung.warn) or extensions > 0


def started(policy: Policy, created_at: int, now: int) -> tuple[int, int | None]:
    """(clock_started_at, expires_at) for a clock that somebody starts at `now`: by then, or when the grace was over."""
    at = min(now, created_at + DELIVERY_GRACE)
    return at, None if policy.expires_after is None else at + policy.expires_after


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
        rungs.append(Due(Rung.warn, expires_at - min(WARN_BEFORE, (expires_at - clock_started_at) // 6)))
        rungs = [due for due in rungs if due.at < expires_at]
        rungs.append(Due(Rung.expire, expires_at))
    rungs = [due for due in rungs if not done & due.rung]
    return min(rungs, key=lambda due: (due.at, due.rung), default=None)
