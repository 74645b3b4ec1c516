"""HTTP mode: `POST /slack/events`, for events, interactivity and commands."""

from __future__ import annotations

import json

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest

from bot.transport.gate import JSON_TYPE, MAX_BYTES, Gate, Refused

log = structlog.get_logger(__name__)

PATH = "/slack/events"


class HttpMode:
    """The route; requests pass the gate before anything reads them."""

    def __init__(self, app: AsyncApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate
        self.received = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.receive)]

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Answers one delivery of Slack's."""
        signature = request.headers.get("X-Slack-Signature")
        try:
            text = self._gate.admit(
                await _body(request),
                timestamp=request.headers.get("X-Slack-Request-Timestamp"),
                signature=signature,
                content_type=request.content_type,
            )
            bolt_request = _parsed(text, request)
        except Refused as refused:
            log.warning("slack: a request was refused", reason=refused.reason, status=refused.status)
            return web.json_response({"error": refused.reason}, status=refused.status)
        self.received += 1
        answer = await self._app.async_dispatch(bolt_request)
        if answer.status >= 300:
            self._gate.forget(signature)
        return await to_aiohttp_response(answer)


async def _body(request: web.Request) -> bytes:
    """At most one byte more than is allowed, whatever the request says of its length."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_chunked(64 * 1024):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            break
    return b"".join(chunks)


def _parsed(text: str, request: web.Request) -> AsyncBoltRequest:
    """The request for Bolt. Raises Refused for what is no JSON object."""
    try:
        if request.content_type == JSON_TYPE and not isinstance(json.loads(text), dict):
            raise Refused(400, "not a JSON object")
        return AsyncBoltRequest(body=text, query=request.query_string, headers=dict(request.headers))
    except ValueError:
        raise Refused(400, "not JSON") from None
