"""Requests that are no HTTP: told of in one line, and refused, without what was sent."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.log import server_logger

from agent_runtime.web.headers import guard
from agent_runtime.web.problems import problem

log = structlog.get_logger(__name__)


class ServerLog(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's log of a server. A request that it cannot read it would log with a traceback and the line at fault:
    a header, and with it a token, or part of a body.
    """

    def __init__(self) -> None:
        super().__init__(server_logger)

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        error = kwargs.get("exc_info")
        if isinstance(error, HttpProcessingError):
            log.info("unreadable request", peer=args[0] if args else None, reason=type(error).__name__)
            return
        super().log(level, msg, *args, **kwargs)


class Handler(web.RequestHandler):
    """aiohttp's handler of one connection. What it refuses itself is a problem document too: its own answer would
    repeat the line at fault.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc)  # logs it, and raises where an answer was begun
        if status == HTTPStatus.BAD_REQUEST:
            response = problem(request, status, "bad-request", "this is no HTTP request that can be read")
        else:
            response = problem(request, status, "internal", "something unexpected went wrong")
        guard(response)
        response.force_close()
        return response
