"""HTTP mode: `POST /slack/events`, for events, interactivity and commands."""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_bolt.response import BoltResponse

from bot.transport.admission import Admission, Full
from bot.transport.gate import JSON_TYPE, MAX_BYTES, Gate, Refused

log = structlog.get_logger(__name__)

PATH = "/slack/events"

SECONDS_TO_SEND = 3.0
"""For a whole request: Slack gives up on one after as long."""

ANSWER_WITHIN = 2.8
"""Seconds after which an event is refused although its work goes on: Slack brings it again; its id is known by then."""

RETRY_AFTER = {"Retry-After": "1"}


class HttpMode:
    """The route; requests pass the gate before anything reads them."""

    def __init__(self, app: AsyncApp, gate: Gate, admission: Admission) -> None:
        self._app = app
        self._gate = gate
        self._admission = admission
        self.received = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.receive)]

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Answers one delivery of Slack's."""
        signature = request.headers.get("X-Slack-Signature")
        event = request.content_type == JSON_TYPE
        again = "X-Slack-Retry-Num" in request.headers
        try:
            self._admission.require_room(event=event, again=again)
            text = self._gate.admit(
                await _body(request),
                timestamp=request.headers.get("X-Slack-Request-Timestamp"),
                signature=signature,
                content_type=request.content_type,
            )
            bolt_request = _parsed(text, request)
        except Full as full:
            return _later(full)
        except Refused as refused:
            log.warning("slack: a request was refused", reason=refused.reason, status=refused.status)
            return web.json_response({"error": refused.reason}, status=refused.status)
        try:
            leave = self._admission.take(bolt_request.body, event=event, again=again)
        except Full as full:
            self._gate.forget(signature)
            return _later(full)
        self.received += 1
        dispatched = asyncio.create_task(self._app.async_dispatch(bolt_request), name="countersign-delivery")
        dispatched.add_done_callback(lambda _: leave())
        if event:
            await asyncio.wait({dispatched}, timeout=ANSWER_WITHIN)
            if not dispatched.done():
                self._gate.forget(signature)
                dispatched.add_done_callback(_report)
                return _later(Full("not done in time; it goes on"))
        answer: BoltResponse = await dispatched
        if answer.status >= 300:
            self._gate.forget(signature)
        return await to_aiohttp_response(answer)


def _later(full: Full) -> web.Response:
    return web.json_response({"error": str(full)}, status=503, headers=RETRY_AFTER)


def _report(dispatched: asyncio.Task[BoltResponse]) -> None:
    """What became of a delivery that was answered before it was done."""
    if not dispatched.cancelled() and (error := dispatched.exception()) is not None:
        log.error("slack: a delivery failed", exc_info=error)


async def _body(request: web.Request) -> bytes:
    """At most one byte more than is allowed, whatever the request says of its length. Raises Refused (408)."""
    chunks: list[bytes] = []
    size = 0
    if (request.content_length or 0) > MAX_BYTES:
        raise Refused(413, f"larger than {MAX_BYTES} bytes")
    try:
        async with asyncio.timeout(SECONDS_TO_SEND):
            async for chunk in request.content.iter_chunked(64 * 1024):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_BYTES:
                    break
    except TimeoutError:
        raise Refused(408, f"not sent within {SECONDS_TO_SEND:g} s") from None
    return b"".join(chunks)


def _parsed(text: str, request: web.Request) -> AsyncBoltRequest:
    """The request for Bolt. Raises Refused for what cannot be read."""
    try:
        return AsyncBoltRequest(body=text, query=request.query_string, headers=dict(request.headers))
    except ValueError:
        raise Refused(400, "not JSON") from None
