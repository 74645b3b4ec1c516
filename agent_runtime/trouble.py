"""What a loop that goes on says about a round that failed."""

from __future__ import annotations

from typing import Any

from agent_runtime.errors import Overloaded, StoreUnavailable


def report(log: Any, what: str, error: Exception) -> None:
    """One line where the database is away or full of work, which it says itself; else with the traceback."""
    if isinstance(error, StoreUnavailable | Overloaded):
        log.warning(what, reason=error.message)
    else:
        log.error(what, exc_info=error)
