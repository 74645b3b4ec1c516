"""Reasoners: coroutines of an agent's own. Definitions only; running them is the engine's business."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from agent_runtime.context import CURRENT
from agent_runtime.errors import InvalidDefinition
from agent_runtime.tools import Tool


class Reasoner:
    """A coroutine function with a name, a JSON schema of its input, and tags; "entry" marks the default one."""

    def __init__(
        self,
        function: Callable[..., Awaitable[Any]],
        *,
        name: str | None = None,
        tags: Sequence[str] = (),
        timeout_seconds: float | None = None,
    ) -> None:
        if not inspect.iscoroutinefunction(function):
            raise InvalidDefinition(f"reasoner {name or function!r}: must be an `async def` function")
        if timeout_seconds is not None and timeout_seconds <= 0:
            raise InvalidDefinition(f"reasoner {name or function.__name__!r}: timeout_seconds must be more than zero")
        self.function = function
        self.tags = tuple(tags)
        self.timeout_seconds = timeout_seconds
        self._input = Tool(function, name=name)
        self.name = self._input.name

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments for JSON input; raises InvalidRequest naming each field that does not fit."""
        return self._input.call_arguments(given)

    def definition(self) -> dict[str, Any]:
        """What the store keeps of it."""
        return {"name": self.name, "tags": list(self.tags), "schema": self._input.schema}


def durable_step(function: Callable[..., Any], name: str | None = None) -> Callable[..., Any]:
    """`function` as a step: inside a reasoner its result is recorded once and replayed; outside it runs as it is."""
    step_name = name or function.__name__

    @functools.wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        running = CURRENT.get()
        if running is not None:
            return await running.step(function, args, kwargs, name=step_name)
        value = function(*args, **kwargs)
        return await value if inspect.isawaitable(value) else value

    return recorded
