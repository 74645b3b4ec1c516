"""One Socket Mode envelope through Bolt."""

from __future__ import annotations

import json
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltRequest

from bot.transport.socket import Answer, Envelope


async def dispatch(app: AsyncApp, envelope: Envelope) -> Answer:
    """What the listeners answer; a failure is not acknowledged, so that Slack brings an event again."""
    payload: dict[str, Any] = envelope.get("payload") or {}
    answer = await app.async_dispatch(AsyncBoltRequest(mode="socket_mode", body=payload, headers=_retry(envelope)))
    if answer.status != 200:
        return False, None
    if not answer.body:
        return True, None
    content_type = answer.headers.get("content-type", [""])[0]
    return True, json.loads(answer.body) if content_type.startswith("application/json") else {"text": answer.body}


def _retry(envelope: Envelope) -> dict[str, Any]:
    """The headers of a repeated delivery, as in HTTP mode."""
    headers: dict[str, Any] = {}
    if envelope.get("retry_attempt"):
        headers["x-slack-retry-num"] = str(envelope["retry_attempt"])
        headers["x-slack-retry-reason"] = str(envelope.get("retry_reason") or "")
    return headers
