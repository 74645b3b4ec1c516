"""Waiting for what people come to see, and reading it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 10.0


async def until(check: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What `check` returns, once that is something."""
    end = time.monotonic() + PATIENCE
    while not (found := await check()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        await asyncio.sleep(0.02)
    return found


def shown(message: Mapping[str, Any]) -> str:
    """All that a message says, with the JSON escapes of its blocks undone."""
    return f"{message['text']}\n{json.dumps(message['blocks'], ensure_ascii=False)}".replace('\\"', '"')


def action_ids(message: Mapping[str, Any]) -> list[str]:
    """The buttons of a message."""
    return [
        element["action_id"]
        for block in message["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
    ]


def click_payload(card: dict[str, Any], user: str, action_id: str) -> dict[str, Any]:
    """A click on a card as it was, whatever it shows now."""
    block, element = next(
        (block, element)
        for block in card["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
        if element["action_id"] == action_id
    )
    return {
        "type": "block_actions",
        "team": {"id": "T0SANDBOX", "domain": "x"},
        "user": {"id": user, "team_id": "T0SANDBOX"},
        "container": {"type": "message", "message_ts": card["ts"], "channel_id": card["channel"]},
        "channel": {"id": card["channel"], "name": "x"},
        "trigger_id": "1.2.3",
        "actions": [
            {
                "type": "button",
                "action_id": action_id,
                "block_id": block["block_id"],
                "value": element["value"],
                "action_ts": "1.2",
            }
        ],
    }
