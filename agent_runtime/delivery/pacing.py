"""How fast a lane may be used: a token bucket, and a stop where the other side asked for one. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Lane:
    tokens: float
    at: float
    blocked_until: float = 0.0
    turned_away: float = 0.0
    """Those who were told to ask again, less those whose turn has come since: they are ahead of whoever comes now."""


@dataclass(slots=True)
class Pacing:
    """`burst` posts at once, then one every `interval` seconds, a lane."""

    burst: int
    interval: float
    _lanes: dict[str, Lane] = field(default_factory=dict)

    def reserve(self, name: str, now: float, patience: float) -> float:
        """Takes a place in the lane; returns the seconds to wait until it is free.

        Longer than `patience`: no place was taken, and it is when to ask again. Those who are turned away so come back
        one after the other, however many they are.
        """
        lane = self._lane(name, now)
        wait = max(0.0, (1 - lane.tokens) * self.interval) + max(0.0, lane.blocked_until - now)
        if wait > patience:
            wait += lane.turned_away * self.interval
            lane.turned_away += 1
        else:
            lane.tokens -= 1
        return wait

    def block(self, name: str, until: float) -> None:
        """Nothing more on this lane before `until`."""
        lane = self._lanes.setdefault(name, Lane(float(self.burst), 0.0))
        lane.blocked_until = max(lane.blocked_until, until)

    def forget_idle(self, now: float) -> None:
        """Drops lanes that are full again, so that memory stays bounded."""
        for name in [name for name in self._lanes if self._full(name, now)]:
            del self._lanes[name]

    def _full(self, name: str, now: float) -> bool:
        lane = self._lane(name, now)
        return lane.tokens >= self.burst and lane.turned_away == 0 and lane.blocked_until <= now

    def _lane(self, name: str, now: float) -> Lane:
        lane = self._lanes.setdefault(name, Lane(float(self.burst), now))
        if self.interval > 0:
            passed = (now - lane.at) / self.interval
            lane.tokens = min(float(self.burst), lane.tokens + passed)
            lane.turned_away = max(0.0, lane.turned_away - passed)
        else:
            lane.tokens = float(self.burst)
        lane.at = now
        return lane
