"""Where in Slack an execution was asked for; its row keeps {"slack": {team, channel, thread_ts, message_ts, user}}."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """A message that asked for something; `thread_ts` is the thread that answers go into."""

    team: str
    channel: str
    thread_ts: str
    message_ts: str
    user: str

    @property
    def conversation_id(self) -> str:
        """The conversation that executions of this thread share."""
        return f"slack:{self.team}:{self.channel}:{self.thread_ts}"

    def as_json(self) -> dict[str, Any]:
        """What `origin` of an execution holds."""
        return {"slack": asdict(self)}


def read_origin(stored: str | None) -> Origin | None:
    """The origin in an execution's or approval's row; None where it was not asked for in Slack."""
    given = json.loads(stored) if stored else None
    slack = given.get("slack") if isinstance(given, dict) else None
    if not isinstance(slack, dict):
        return None
    return Origin(**{name: str(slack.get(name, "")) for name in ("team", "channel", "thread_ts", "message_ts", "user")})
