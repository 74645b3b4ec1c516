"""Slack's door for `countersign conformance`: signed clicks through the real listener, the local workspace behind."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from agent_runtime.conformance.agents import REVIEWER
from agent_runtime.conformance.doors import Answer, Door, Shown
from agent_runtime.store.database import Database
from bot.sandbox.app import Sandbox, running_sandbox
from bot.sandbox.config import SandboxConfig
from bot.settings import slack_settings
from bot.surface import SlackSurface
from bot.transport.gate import FORM_TYPE
from bot.transport.http import PATH
from bot.ui.actions import APPROVE, as_json

CONNECTED_WITHIN = 30.0


@asynccontextmanager
async def slack_door(database: Database) -> AsyncIterator[Door]:
    """A reviewer's clicks on Approve, as Slack sends them over HTTP; Slack shows the clicker what came of it."""
    async with running_sandbox(SandboxConfig(time_scale=0.01)) as sandbox, aiohttp.ClientSession() as http:
        settings = slack_settings(
            slack_bot_token=sandbox.config.bot_token,
            slack_signing_secret=sandbox.config.signing_secret,
            slack_api_url=sandbox.api_url,
        )
        surface = SlackSurface(database, settings)
        app = web.Application()
        app.add_routes(surface.routes())
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await surface.start()
        try:
            await _connected(surface)
            yield _clicks(http, f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}", sandbox)
        finally:
            await runner.cleanup()
            await surface.stop()


async def _connected(surface: SlackSurface) -> None:
    end = time.monotonic() + CONNECTED_WITHIN
    while surface.status()["state"] != "connected":
        if time.monotonic() > end:
            raise RuntimeError(f"the local workspace is not reached: {surface.status()}")
        await asyncio.sleep(0.02)


def _clicks(http: aiohttp.ClientSession, url: str, sandbox: Sandbox) -> Door:
    numbers = itertools.count(1)

    async def click(shown: Shown, verdict: str, words: str) -> Answer:
        body = urlencode({"payload": json.dumps(click_payload(shown, sandbox, next(numbers)))}).encode()
        headers = {"Content-Type": FORM_TYPE, **signed(body, sandbox.config.signing_secret)}
        async with http.post(url, data=body, headers=headers) as answer:
            return Answer(False, f"Slack was answered {answer.status}", told=False)

    return click


def signed(body: bytes, secret: str, *, at: int | None = None) -> dict[str, str]:
    """The headers of a request as Slack signs it, now or at another time (Unix seconds).

    See docs.slack.dev/authentication/verifying-requests-from-slack.
    """
    timestamp = str(int(time.time()) if at is None else at)
    made = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256)
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={made.hexdigest()}"}


def click_payload(shown: Shown, sandbox: Sandbox, number: int, user: str = REVIEWER) -> dict[str, Any]:
    """A click on Approve (docs.slack.dev/reference/interaction-payloads/block_actions-payload)."""
    team = {"id": sandbox.config.team_id, "domain": sandbox.config.team_domain}
    channel = sandbox.config.channels[0].id
    ts = f"{1_700_000_000 + number}.000100"
    return {
        "type": "block_actions",
        "team": team,
        "user": {"id": user, "username": "somebody", "team_id": team["id"]},
        "api_app_id": "A0CONFORMAN",
        "token": "unused",
        "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False},
        "channel": {"id": channel, "name": "agents"},
        "trigger_id": f"{number}.{number}.conformance",
        "response_url": f"{sandbox.url}/none",
        "actions": [
            {
                "type": "button",
                "action_id": APPROVE,
                "block_id": f"approval:{shown.approval_request_id}",
                "value": as_json({"id": shown.approval_request_id, "digest": shown.digest}),
                "action_ts": f"{ts}{number}",
            }
        ],
    }
