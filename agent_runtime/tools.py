"""Tools: Python functions that a model may call. Definitions only; running them is the engine's business."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args, overload

from pydantic_core import to_jsonable_python

from agent_runtime.arguments import Arguments, takes
from agent_runtime.core.canonical import digest
from agent_runtime.core.policy import Approval
from agent_runtime.errors import InvalidDefinition, InvalidRequest

Effect = Literal["idempotent", "keyed", "checkable", "unsafe"]
IDEMPOTENCY_KEY = "idempotency_key"
"""A function with a parameter of this name is given the call's key; the model does not see it."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What the chat API takes as a function's name, but for those that begin with a digit or a dash."""


_ASKS = Approval()
"""A gate that leaves everything to the layers below."""


class Tool:
    """A function with a name, a JSON schema from its type hints, and how it may be run. Stays callable as it was."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        approval_required: bool | Callable[..., bool] = False,
        approval: Approval | None = None,
        effect: Effect | None = None,
        lookup: Callable[..., Any] | None = None,
        version: str = "1",
        timeout_seconds: float | None = None,
        max_calls: int | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or str(getattr(function, "__name__", ""))
        if not _NAME.fullmatch(self.name):
            raise InvalidDefinition(
                f"tool {self.name!r}: a name is letters, digits, _ and -, beginning with a letter or _, at most 64"
            )
        self.description = inspect.cleandoc(function.__doc__ or "")
        self._arguments = Arguments(self.name, function, hidden=(IDEMPOTENCY_KEY,))
        self.schema = self._arguments.schema
        self.version = f"{version}+{digest({'name': self.name, 'schema': self.schema})[7:19]}"
        self.approval_required = approval_required
        self.approval = approval
        self.gated = approval_required is not False or approval is not None
        self.declared_effect = effect
        self.effect = self.effect_when(gated=self.gated)
        self.lookup = lookup
        self.timeout_seconds = timeout_seconds
        self.max_calls = max_calls
        self._check()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """`arguments` checked against the type hints, with defaults filled in, as JSON values.

        Raises InvalidRequest naming each argument that does not fit.
        """
        return self._arguments.complete(arguments)

    def call_arguments(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments of the function for JSON `arguments`: typed as it declares them."""
        return self._arguments.keywords(arguments)

    def gate(self, arguments: Mapping[str, Any]) -> Approval | None:
        """What the tool itself asks for before a call with `arguments`; None where it asks for nothing.

        A predicate that raises asks: unknown never means approved.
        """
        if not self.gated:
            return None
        required = True
        if callable(self.approval_required):
            try:
                required = bool(self.approval_required(**self.call_arguments(arguments)))
            except Exception:  # noqa: BLE001 - deny by default
                required = True
        return (self.approval or _ASKS) if required else None

    def effect_when(self, *, gated: bool) -> Effect:
        """Its declared effect; undeclared, a call that people gate is unsafe and a free one idempotent."""
        return self.declared_effect or ("unsafe" if gated else "idempotent")

    def definition(self) -> dict[str, Any]:
        """What the store keeps of it."""
        return {
            "name": self.name,
            "description": self.description,
            "schema": self.schema,
            "version": self.version,
            "effect": self.effect,
            "gated": self.gated,
        }

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    def _check(self) -> None:
        effects = get_args(Effect)
        if self.effect not in effects:
            raise InvalidDefinition(f"tool {self.name!r}: effect {self.effect!r} must be one of {', '.join(effects)}")
        if (self.effect == "checkable") != (self.lookup is not None):
            raise InvalidDefinition(f"tool {self.name!r}: effect 'checkable' and lookup= go together")
        names = self._arguments.names
        if self.lookup is not None and not (takes(self.lookup, names) or takes(self.lookup, [*names, IDEMPOTENCY_KEY])):
            raise InvalidDefinition(f"tool {self.name!r}: lookup= must be a function of the same arguments")
        required = self.approval_required
        if not isinstance(required, bool) and not takes(required, names):
            raise InvalidDefinition(
                f"tool {self.name!r}: approval_required must be True, False or a function of the same arguments"
            )
        if inspect.iscoroutinefunction(required):
            raise InvalidDefinition(f"tool {self.name!r}: approval_required must not be an `async def` function")
        for field, limit in (("timeout_seconds", self.timeout_seconds), ("max_calls", self.max_calls)):
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0):
                raise InvalidDefinition(f"tool {self.name!r}: {field} must be a number of more than zero")


def json_value(value: Any) -> Any:
    """What a tool returned as JSON values. Raises InvalidRequest for what has no JSON form."""
    try:
        return to_jsonable_python(value)
    except ValueError as error:
        raise InvalidRequest(f"the result has no JSON form: {error}") from error


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    function: None = None,
    /,
    *,
    name: str | None = None,
    approval_required: bool | Callable[..., bool] = False,
    approval: Approval | None = None,
    effect: Effect | None = None,
    lookup: Callable[..., Any] | None = None,
    version: str = "1",
    timeout_seconds: float | None = None,
    max_calls: int | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Makes a function one that a model may call; `@tool` or `@tool(…)`.

    Args:
        name: what the model calls it; the function's own name by default.
        approval_required: True, or a predicate of the arguments: people decide before each call.
        approval: who decides and how long it may take (`Approval`); implies approval_required.
        effect: what may be done after a crash around the call. "idempotent": run it again. "keyed": run it again with
            the same `idempotency_key`, passed if the function takes it. "checkable": ask `lookup`. "unsafe": never
            by the machine; people settle it. Default: unsafe when gated, idempotent when not.
        lookup: called with the same arguments (and the key, if it takes one); returns the result, None if the call did
            not happen, or raises where it cannot tell.
        version: change it when the meaning changes: what was approved before is asked again.
        timeout_seconds: the function's run time. One that runs longer is in doubt, unless it is idempotent.
        max_calls: calls in one execution at most.

    Raises InvalidDefinition for a function or an option that cannot be used.
    """
    if function is not None:
        return Tool(function, **options)
    return lambda decorated: Tool(decorated, **options)


def as_tools(functions: Sequence[Any]) -> tuple[Tool, ...]:
    """Tools as given, plain functions made into tools; raises InvalidDefinition for two of one name."""
    tools = tuple(item if isinstance(item, Tool) else Tool(item) for item in functions)
    names = [item.name for item in tools]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidDefinition(f"two tools are called {', '.join(sorted(twice))}")
    return tools
