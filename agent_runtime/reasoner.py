"""Reasoners: coroutines of an agent's own. Definitions only; running them is the engine's business."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, cast

from agent_runtime.arguments import Arguments
from agent_runtime.context import CURRENT
from agent_runtime.errors import InvalidDefinition

_NAME = re.compile(r"[A-Za-z_][\w-]{0,99}", re.ASCII)


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
        self.name = name or function.__name__
        if not _NAME.fullmatch(self.name):
            raise InvalidDefinition(
                f"reasoner {self.name!r}: a name is letters, digits, _ and -, beginning with a letter or _"
            )
        if isinstance(tags, str):
            raise InvalidDefinition(f"reasoner {self.name!r}: tags must be a list, as tags=[{tags!r}]")
        if timeout_seconds is not None and not timeout_seconds > 0:
            raise InvalidDefinition(f"reasoner {self.name!r}: timeout_seconds must be more than zero")
        self.function = function
        self.tags = tuple(tags)
        self.timeout_seconds = timeout_seconds
        self._arguments = Arguments(self.name, function)

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments for JSON input; raises InvalidRequest naming each field that does not fit."""
        return self._arguments.keywords(given)

    def definition(self) -> dict[str, Any]:
        """What the store keeps of it."""
        return {"name": self.name, "tags": list(self.tags), "schema": self._arguments.schema}


class DurableStep(Protocol):
    """A function as a step; awaited."""

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]: ...

    def named(self, name: str) -> DurableStep:
        """The step with an explicit name in the journal, for calls whose order may differ between two runs."""
        ...


def durable_step(function: Callable[..., Any], step_name: str | None = None, name: str | None = None) -> DurableStep:
    """`function` as a step: in a reasoner its result (JSON) is recorded once, elsewhere it runs as it is."""
    called = step_name or function.__name__

    @functools.wraps(function)
    async def recorded(*args: Any, **kwargs: Any) -> Any:
        running = CURRENT.get()
        if running is not None:
            return await running.step(function, args, kwargs, step_name=called, name=name)
        value = function(*args, **kwargs)
        return await value if inspect.isawaitable(value) else value

    step = cast(DurableStep, recorded)
    step.named = lambda name: durable_step(function, called, name)  # type: ignore[method-assign]
    return step
