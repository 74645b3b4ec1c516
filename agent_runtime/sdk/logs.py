"""What a program that has not set up its logs gets to see of ours: warnings, on standard error."""

from __future__ import annotations

import logging
import sys

import structlog


def keep_quiet() -> None:
    """structlog's own default is every line on standard output; a program that configures it keeps its own way."""
    if not structlog.is_configured():
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        )
