"""How many of Slack's deliveries are handled at once: what is taken is answered in time, and the rest is refused aloud.

Slack brings an event that was refused again (at once, after a minute, after five), and tells whoever clicked that it
did not work; so neither is lost in silence. How many are taken follows how long they take (additive increase,
multiplicative decrease), as a process that shares its machine does not know how fast it is. Nobody takes more than a
share, and a click of somebody who has none under way is taken past the limit: one person's flood is not everybody's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

log = structlog.get_logger(__name__)

FEWEST, FIRST, MOST = 16, 50, 200
"""Deliveries of a kind that are under way at once: at least, at first and at most."""

QUICK, SLOW = 0.25, 0.5
"""Seconds: where they take less, one more is taken; where they take longer, half as many. Slack waits three, and all
else that this process answers waits behind them.
"""

CLICKS_AT_ONCE = 500
"""Past it also the first of somebody's is refused."""

AGAIN_AT_ONCE = 50
"""Room beside the limit for events that Slack brings again: it does so three times at most."""

EVENTS_OF_ONE_PERSON, CLICKS_OF_ONE_PERSON = 100, 20

SAID_EVERY = 10.0
"""Seconds between lines in the log about what is refused."""


class Full(Exception):
    """There is no room for this delivery now; it must not be acknowledged."""


@dataclass(slots=True)
class _Kind:
    """Deliveries of one kind: how many are under way, of whom, and how many may be."""

    name: str
    share: int
    limit: float = FIRST
    under_way: int = 0
    of: Counter[str] = field(default_factory=Counter)
    halved_at: float = -1.0

    def learn(self, began: float, now: float) -> None:
        """One that began then has ended."""
        if now - began < QUICK:
            self.limit = min(MOST, self.limit + (1 / self.limit if self.halved_at >= 0 else 1))
        elif now - began > SLOW and began >= self.halved_at:  # once for all that were under way together
            self.limit, self.halved_at = max(FEWEST, self.limit / 2), now


class Admission:
    """Counts what is under way, for both transports. `now` gives seconds, monotonic."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.refused = 0
        """Deliveries that were not taken, since the start."""
        self._now = now
        self._events = _Kind("events", EVENTS_OF_ONE_PERSON)
        self._clicks = _Kind("clicks", CLICKS_OF_ONE_PERSON)
        self._said_at = -SAID_EVERY

    def require_room(self, *, event: bool, again: bool = False) -> None:
        """Raises Full where such a delivery would be refused whoever it is from; for before it is read."""
        kind = self._events if event else self._clicks
        if kind.under_way >= (kind.limit + again * AGAIN_AT_ONCE if event else CLICKS_AT_ONCE):
            self._refuse(kind)

    def take(self, payload: Mapping[str, Any], *, event: bool, again: bool = False) -> Callable[[], None]:
        """Takes a place for this delivery; returns what gives it back, to be called once. Raises Full."""
        self.require_room(event=event, again=again)
        kind, person = self._events if event else self._clicks, _person(payload)
        theirs = kind.of[person] if person else 0
        if theirs >= kind.share or (theirs and not again and kind.under_way >= kind.limit):
            self._refuse(kind)
        kind.under_way += 1
        kind.of[person] += 1
        return partial(self._leave, kind, person, self._now())

    def _leave(self, kind: _Kind, person: str, began: float) -> None:
        kind.learn(began, self._now())
        kind.under_way -= 1
        kind.of[person] -= 1
        if not kind.of[person]:
            del kind.of[person]

    def _refuse(self, kind: _Kind) -> None:
        self.refused += 1
        now = self._now()
        if now - self._said_at >= SAID_EVERY:
            self._said_at = now
            log.error(
                "slack: more at once than can be answered in time",
                kind=kind.name,
                under_way=kind.under_way,
                refused_since_start=self.refused,
            )
        raise Full(f"too many {kind.name} at once")


def _person(payload: Mapping[str, Any]) -> str:
    """Who it is from, as events, interactions and commands say it; "" where it is from nobody."""
    event, user = payload.get("event"), payload.get("user")
    if isinstance(event, Mapping):
        user = event.get("user")
    if isinstance(user, Mapping):
        user = user.get("id")
    return str(user or payload.get("user_id") or "")
