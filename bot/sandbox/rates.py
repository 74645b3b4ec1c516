"""Slack's rate limits: so many calls a minute of each method, so many messages a second in each channel.

Source: docs.slack.dev/apis/web-api/rate-limits. Tier 1 allows 1 call a minute, tier 2 20, tier 3 50, tier 4
100; `chat.postMessage` about one a second in a channel, "short bursts" apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """`burst` calls at once, and `per_second` more each second. `by_channel` counts each channel alone."""

    per_second: float
    burst: float
    by_channel: bool = False


def _per_minute(calls: int) -> Rate:
    return Rate(per_second=calls / 60, burst=calls)


TIER_1 = _per_minute(1)
TIER_2 = _per_minute(20)
TIER_3 = _per_minute(50)
TIER_4 = _per_minute(100)
# Slack calls this tier "special": hundreds a minute for auth.test and chat.getPermalink.
GENEROUS = _per_minute(600)
POSTING = Rate(per_second=1.0, burst=5, by_channel=True)


class RateLimiter:
    """One leaking bucket for each method, or for each method and channel.

    Args:
        scale: multiplies what is allowed, bursts included.
        now: seconds, monotonic.
    """

    def __init__(self, *, scale: float, now: Callable[[], float]) -> None:
        self._scale = scale
        self._now = now
        self._levels: dict[tuple[str, str], tuple[float, float]] = {}

    def retry_after(self, rate: Rate, method: str, channel: str) -> int:
        """0 when the call is allowed (it is counted then), else the seconds to wait."""
        key = (method, channel if rate.by_channel else "")
        now = self._now()
        level, since = self._levels.get(key, (0.0, now))
        level = max(0.0, level - (now - since) * rate.per_second * self._scale)
        if level + 1 > rate.burst * self._scale and level > 0:
            self._levels[key] = (level, now)
            excess = level + 1 - rate.burst * self._scale
            return max(1, math.ceil(excess / (rate.per_second * self._scale)))
        self._levels[key] = (level + 1, now)
        return 0

    def reset(self) -> None:
        self._levels.clear()
