"""Connections that are opened and say nothing, or almost nothing; others are served meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent_runtime.conformance.answering import Answers, Request, ask
from agent_runtime.conformance.figures import Finding
from agent_runtime.web.connections import KEPT_ALIVE

if TYPE_CHECKING:
    from agent_runtime.conformance.flooded import Target

OTHERS = 20
"""Requests of others meanwhile, each on a connection of its own."""

LATE = 5.0
SLACK_WAITS = 3.0
"""Seconds for a body at /slack/events: Slack itself gives up then."""

SLOW_HEADERS = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
SLOW_BODY = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n{"


async def connections(target: Target, idle: int) -> Finding:
    """Two thirds are silent, the others begin a request and do not go on."""
    began = time.monotonic()
    answers = Answers()
    fresh = {"Connection": "close"}
    async with _opened(target, idle) as opened:
        for number in range(OTHERS):
            request = Request(f"request {number} beside idle ones", "/healthz", b"", fresh, "GET")
            await ask(target.wire, request, answers, expected={200})
        page = Request("the page beside idle ones", "/reviews", b"", fresh, "GET")
        await ask(target.wire, page, answers, expected={200})
    return Finding(
        "P14",
        "connections left silent, or in the middle of their headers or body",
        {"idle": opened, **answers.figures()},
        tuple(answers.violations),
        time.monotonic() - began,
    )


async def ends(target: Target) -> Finding:
    """Connections on which nothing comes are watched until the server closes them."""
    began = time.monotonic()
    at = urlsplit(target.url)
    violations: list[str] = []

    async def closed(what: str, sent: bytes, within: float) -> float:
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        opened_at = time.monotonic()
        writer.write(sent)
        try:
            async with asyncio.timeout(within + LATE):
                said = await reader.read(2048)
        except TimeoutError:
            violations.append(f"{what}: still open after {within + LATE:g} s")
        else:
            if said and b" 408 " not in said:
                violations.append(f"{what}: answered {said[:40]!r}")
        finally:
            writer.close()
        return round(time.monotonic() - opened_at, 1)

    silent, header, body = await asyncio.gather(
        closed("silence", b"", KEPT_ALIVE),
        closed("half a header", SLOW_HEADERS, KEPT_ALIVE),
        closed("half a body", SLOW_BODY % b"/slack/events", SLACK_WAITS),
    )
    return Finding(
        "P14",
        "connections on which nothing more comes end",
        {"s for a silent one": silent, "s for half a header": header, "s for half a body of Slack's": body},
        tuple(violations),
        time.monotonic() - began,
    )


@asynccontextmanager
async def _opened(target: Target, wanted: int) -> AsyncIterator[int]:
    """So many connections, as far as this process may open them."""
    at = urlsplit(target.url)
    writers: list[asyncio.StreamWriter] = []
    try:
        for number in range(wanted):
            _, writer = await asyncio.open_connection(at.hostname, at.port)
            writers.append(writer)
            if number % 6 == 1:
                writer.write(SLOW_HEADERS)
            elif number % 6 == 2:
                writer.write(SLOW_BODY % (b"/slack/events" if number % 4 else b"/api/v1/webhooks/approval-response"))
        yield len(writers)
    finally:
        for writer in writers:
            writer.close()
