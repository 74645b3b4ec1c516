"""One line a request, and its figures: never query strings, bodies, headers or tokens."""

from __future__ import annotations

import time

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from agent_runtime.web.authentication import IDENTITY
from agent_runtime.web.metrics import METRICS

log = structlog.get_logger(__name__)


@web.middleware
async def access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Logs method, path, status, time and who asked. The server's own log (`access_log=`) would hold query strings."""
    began = time.perf_counter()
    status = 499  # the client went away, as nginx writes it
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        seconds = time.perf_counter() - began
        request.app[METRICS].answered(request, status, seconds)
        identity = request.get(IDENTITY)
        log.info(
            "request",
            method=request.method,
            path=request.rel_url.raw_path[:500],
            status=status,
            ms=round(seconds * 1000, 1),
            principal=identity.actor.principal if identity is not None else "",
        )
