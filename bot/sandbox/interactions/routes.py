"""The response URLs themselves."""

from __future__ import annotations

import json

from aiohttp import web

from bot.sandbox.errors import SlackError
from bot.sandbox.interactions.answers import answer
from bot.sandbox.server import SandboxServer


def routes(server: SandboxServer) -> list[web.RouteDef]:
    async def respond(request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.text())
            if not isinstance(body, dict):
                raise SlackError("invalid_payload", status=400)
            answer(server, server.response_urls.use(request.match_info["secret"]), body)
        except (ValueError, RecursionError):
            return web.json_response(SlackError("invalid_payload").body(), status=400)
        except SlackError as refusal:
            # Unlike the Web API, a response URL answers refusals with a status.
            return web.json_response(refusal.body(), status=400 if refusal.status == 200 else refusal.status)
        return web.Response(text="ok")

    return [
        web.post("/actions/{team}/{secret}", respond),
        web.post("/commands/{team}/{secret}", respond),
    ]
