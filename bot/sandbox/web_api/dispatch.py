"""The way of a Web API call: faults, token, scopes, rate limit, the method, its answer."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any

from aiohttp import web

from bot.sandbox.calls import CallRecord
from bot.sandbox.errors import SlackError
from bot.sandbox.faults import struck
from bot.sandbox.scopes import require_any
from bot.sandbox.server import SandboxServer
from bot.sandbox.web_api import (
    apps,
    auth,
    blocks,
    chat,
    conversations,
    files,
    reactions,
    usergroups,
    users,
    views,
)
from bot.sandbox.web_api.arguments import Arguments, read_arguments
from bot.sandbox.web_api.method import Call, Method

_FAMILIES = (apps, auth, blocks, chat, conversations, files, reactions, usergroups, users, views)
METHODS: dict[str, Method] = {method.name: method for family in _FAMILIES for method in family.METHODS}


def routes(server: SandboxServer) -> list[web.RouteDef]:
    async def call(request: web.Request) -> web.StreamResponse:
        return await dispatch(server, request)

    return [web.post("/api/{method}", call), web.get("/api/{method}", call, allow_head=False)]


async def dispatch(server: SandboxServer, request: web.Request) -> web.StreamResponse:
    """Answers one call of a Web API method."""
    name = request.match_info["method"]
    faults = server.faults
    broken = struck(faults.status_5xx, name)
    if broken is not None:
        _record(server, name, broken.status, "fault", "")
        return web.Response(status=broken.status, text="upstream connect error")
    status, channel = 200, ""
    body: dict[str, Any] = {}
    headers: dict[str, str] = {}
    try:
        throttled = struck(faults.rate_limited, name)
        if throttled is not None:
            raise _rate_limited(throttled.retry_after)
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        args, token = await read_arguments(request, takes_json=method.takes_json)
        headers = _scope_headers(server, method)
        channel = args.text("channel")
        body = {"ok": True, **_run(server, method, args, token)}
    except SlackError as refusal:
        status, body, headers = refusal.status, refusal.body(), headers | refusal.headers
    _record(server, name, status, str(body.get("error", "")), channel)
    slow = struck(faults.slow, name)
    if slow is not None:
        await asyncio.sleep(slow.seconds)
    if struck(faults.lost_response, name) is not None and request.transport is not None:
        request.transport.abort()
    return web.json_response(body, status=status, headers=headers)


def _run(server: SandboxServer, method: Method, args: Arguments, token: str) -> dict[str, Any]:
    _authenticate(server, method, token)
    if server.config.rate_limits:
        wait = server.limiter.retry_after(method.rate, method.name, args.text("channel"))
        if wait:
            raise _rate_limited(wait)
    require_any(method.scopes, server.config.scopes)
    return method.run(Call(server, args))


def _authenticate(server: SandboxServer, method: Method, token: str) -> None:
    if method.caller == "anyone":
        return
    if not token:
        raise SlackError("not_authed")
    is_bot, is_app = _same(token, server.config.bot_token), _same(token, server.config.app_token)
    if not is_bot and not is_app:
        raise SlackError("invalid_auth")
    if is_bot and server.faults.revoked_token:
        raise SlackError("token_revoked")
    if is_app != (method.caller == "app"):
        raise SlackError("not_allowed_token_type")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _rate_limited(seconds: int) -> SlackError:
    return SlackError("ratelimited", status=429, headers={"Retry-After": str(seconds)})


def _scope_headers(server: SandboxServer, method: Method) -> dict[str, str]:
    return {
        "x-oauth-scopes": ",".join(server.config.scopes),
        "x-accepted-oauth-scopes": ",".join(method.scopes),
    }


def _record(server: SandboxServer, method: str, status: int, error: str, channel: str) -> None:
    server.calls.add(CallRecord(server.clock.now(), method, status, error, channel))
