"""Countersign's runtime: agents whose risky calls wait durably in SQL until people have decided.

The public names; each is imported when it is first used, so that a program pays for what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_runtime.agent import Agent
    from agent_runtime.context import ApprovalResult
    from agent_runtime.core.policy import Approval
    from agent_runtime.runtime import AgentRuntime
    from agent_runtime.sdk.default import (
        configure,
        deploy,
        deploy_async,
        run,
        run_async,
        serve,
        serve_async,
        shutdown,
        shutdown_async,
        start,
        start_async,
        stream,
        stream_async,
    )
    from agent_runtime.sdk.events import AgentEvent, EventType
    from agent_runtime.sdk.handles import AgentHandle
    from agent_runtime.sdk.results import AgentResult, AgentStatus
    from agent_runtime.sdk.streaming import AgentStream
    from agent_runtime.tools import tool

__all__ = [
    "Agent",
    "AgentEvent",
    "AgentHandle",
    "AgentResult",
    "AgentRuntime",
    "AgentStatus",
    "AgentStream",
    "Approval",
    "ApprovalResult",
    "EventType",
    "configure",
    "deploy",
    "deploy_async",
    "run",
    "run_async",
    "serve",
    "serve_async",
    "shutdown",
    "shutdown_async",
    "start",
    "start_async",
    "stream",
    "stream_async",
    "tool",
]

_HOMES = {
    "Agent": "agent_runtime.agent",
    "AgentEvent": "agent_runtime.sdk.events",
    "AgentHandle": "agent_runtime.sdk.handles",
    "AgentResult": "agent_runtime.sdk.results",
    "AgentRuntime": "agent_runtime.runtime",
    "AgentStatus": "agent_runtime.sdk.results",
    "AgentStream": "agent_runtime.sdk.streaming",
    "Approval": "agent_runtime.core.policy",
    "ApprovalResult": "agent_runtime.context",
    "EventType": "agent_runtime.sdk.events",
    "configure": "agent_runtime.sdk.default",
    "deploy": "agent_runtime.sdk.default",
    "deploy_async": "agent_runtime.sdk.default",
    "run": "agent_runtime.sdk.default",
    "run_async": "agent_runtime.sdk.default",
    "serve": "agent_runtime.sdk.default",
    "serve_async": "agent_runtime.sdk.default",
    "shutdown": "agent_runtime.sdk.default",
    "shutdown_async": "agent_runtime.sdk.default",
    "start": "agent_runtime.sdk.default",
    "start_async": "agent_runtime.sdk.default",
    "stream": "agent_runtime.sdk.default",
    "stream_async": "agent_runtime.sdk.default",
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
