"""Agents without a runtime of one's own: one runtime a process, opened at its first use, closed at exit."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from agent_runtime import settings
from agent_runtime.errors import Conflict
from agent_runtime.runtime import AgentRuntime

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_runtime: AgentRuntime | None = None


def default_runtime() -> AgentRuntime:
    """The process's own runtime."""
    global _runtime
    with _lock:
        if _runtime is None:
            _runtime = AgentRuntime()
        return _runtime


def configure(**changed: Any) -> None:
    """Settings for this process, by their names in `agent_runtime.settings.Settings` (database_url, server_url,
    api_token, model, …). They win over the environment and lose to arguments; None takes one back.

    Raises InvalidSetting naming what cannot be used, Conflict where the default runtime is in use already.
    """
    with _lock:
        if _runtime is not None:
            raise Conflict("configure() comes before the first start(), run(), stream(), deploy() or serve()")
        settings.configure(**changed)


def shutdown() -> None:
    """Closes the default runtime now, as the end of the process does; the next use opens another."""
    global _runtime
    with _lock:
        closing, _runtime = _runtime, None
    if closing is not None:
        closing.close()


async def shutdown_async() -> None:
    """The same, awaited."""
    global _runtime
    with _lock:
        closing, _runtime = _runtime, None
    if closing is not None:
        await closing.close_async()


def _of_default(method: Callable[Concatenate[AgentRuntime, P], R]) -> Callable[P, R]:
    """A method of the default runtime as a function."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(default_runtime(), *args, **kwargs)

    return call


deploy, deploy_async = _of_default(AgentRuntime.deploy), _of_default(AgentRuntime.deploy_async)
serve, serve_async = _of_default(AgentRuntime.serve), _of_default(AgentRuntime.serve_async)
start, start_async = _of_default(AgentRuntime.start), _of_default(AgentRuntime.start_async)
run, run_async = _of_default(AgentRuntime.run), _of_default(AgentRuntime.run_async)
stream, stream_async = _of_default(AgentRuntime.stream), _of_default(AgentRuntime.stream_async)


def _forget() -> None:
    """After a fork the runtime is the parent's; a child opens its own."""
    global _lock, _runtime
    _lock, _runtime = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
