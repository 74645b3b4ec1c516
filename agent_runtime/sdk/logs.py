"""What a program that has not set up its logs gets to see of ours: warnings, on standard error."""

from __future__ import annotations

import logging
import sys

import structlog


def keep_quiet() -> None:
    """structlog's own default is every line on standard output, and tracebacks with the values of variables, which may
    be secrets. A program that configures structlog keeps its own way.
    """
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
