"""What a person gets to see of whether the app has answered."""

from __future__ import annotations

from typing import Any

from bot.sandbox.delivery.outgoing import Ack


def outcome(ack: Ack, **fields: Any) -> dict[str, Any]:
    """The answer to an interaction: whether the app acknowledged it in time (`acked`), and if not, the `reason`."""
    answer: dict[str, Any] = {"ok": True, "acked": ack.ok, **fields}
    if not ack.ok:
        answer["reason"] = ack.reason
    return answer
