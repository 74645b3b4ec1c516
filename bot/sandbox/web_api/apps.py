"""apps.connections.open: where an app with an app-level token connects for Socket Mode."""

from __future__ import annotations

from typing import Any

from bot.sandbox.rates import TIER_3
from bot.sandbox.web_api.method import Call, Method


def connections_open(call: Call) -> dict[str, Any]:
    return {"url": call.server.socket_mode.open_url(call.server.base_url)}


METHODS = (Method("apps.connections.open", connections_open, TIER_3, caller="app"),)
