"""Countersign's runtime: agents whose risky calls wait durably in SQL until people have decided.

The public names; each is imported when it is first used, so that a program pays for what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.agent import Agent
    from agent_runtime.core.policy import Approval
    from agent_runtime.runtime import AgentRuntime
    from agent_runtime.tools import tool

__all__ = ["Agent", "AgentRuntime", "Approval", "tool"]

_HOMES = {
    "Agent": "agent_runtime.agent",
    "AgentRuntime": "agent_runtime.runtime",
    "Approval": "agent_runtime.core.policy",
    "tool": "agent_runtime.tools",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
