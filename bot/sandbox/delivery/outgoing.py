"""What is delivered to the app, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

Kind = Literal["events_api", "interactive", "slash_commands"]


@dataclass(frozen=True)
class Outgoing:
    """One delivery. `retry_num` is 0 for the first; `retry_reason` says why the one before failed."""

    kind: Kind
    payload: dict[str, Any]
    retry_num: int = 0
    retry_reason: str = ""


@dataclass(frozen=True)
class Ack:
    """The app's answer, in time or not.

    `payload` is what it sent along (JSON, or a text); `reason` says why there is no ack, in Slack's words:
    `http_timeout`, `http_error`, `connection_failed`. `no_retry`: the app asked for none."""

    ok: bool
    payload: Any = None
    reason: str = ""
    no_retry: bool = False


class Transport(Protocol):
    """A way to the app."""

    async def deliver(self, outgoing: Outgoing) -> Ack:
        """Delivers once and waits for the ack, as long as Slack does (3 s)."""
        ...
