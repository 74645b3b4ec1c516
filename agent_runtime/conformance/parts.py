"""The names of what a run on a scratch database consists of."""

from __future__ import annotations

KILLS = ("crashes", "reasoners", "messages")
"""kill -9 at failpoints: of calls, of reasoners, of messages to Slack."""

PARTS = ("races", "timers", "changes", "replicas", *KILLS, "sleepers", "parked", "floods")
"""All of them, in order."""
