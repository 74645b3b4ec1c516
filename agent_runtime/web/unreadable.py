"""Requests that are no HTTP: told of in one line, without what was sent."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from aiohttp.http import HttpProcessingError
from aiohttp.log import server_logger

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
