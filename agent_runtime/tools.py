"""Tools: Python functions that a model may call. Definitions only; running them is the engine's business."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from agent_runtime.core.canonical import digest
from agent_runtime.core.policy import Approval
from agent_runtime.errors import InvalidDefinition, InvalidRequest

Effect = Literal["idempotent", "keyed", "checkable", "unsafe"]
_EFFECTS = ("idempotent", "keyed", "checkable", "unsafe")
IDEMPOTENCY_KEY = "idempotency_key"


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
        self.name = name or function.__name__
        if not self.name.replace("-", "_").isidentifier() or len(self.name) > 64:
            raise InvalidDefinition(f"tool {self.name!r}: a name is letters, digits, _ and -, at most 64")
        self.description = inspect.cleandoc(function.__doc__ or "")
        self.approval_required = approval_required
        self.approval = approval
        self.gated = approval_required is not False or approval is not None
        self.declared_effect = effect
        self.effect = self.effect_when(gated=self.gated)
        if self.effect not in _EFFECTS:
            raise InvalidDefinition(f"tool {self.name!r}: effect {effect!r} must be one of {', '.join(_EFFECTS)}")
        if (self.effect == "checkable") != (lookup is not None):
            raise InvalidDefinition(f"tool {self.name!r}: effect 'checkable' and lookup= go together")
        for field, limit in (("timeout_seconds", timeout_seconds), ("max_calls", max_calls)):
            if limit is not None and limit <= 0:
                raise InvalidDefinition(f"tool {self.name!r}: {field} must be more than zero")
        self.lookup = lookup
        self.timeout_seconds = timeout_seconds
        self.max_calls = max_calls
        self.takes_key = IDEMPOTENCY_KEY in inspect.signature(function).parameters
        self.model = _arguments_model(self.name, function)
        self.schema = _schema(self.model)
        self.version = f"{version}+{digest({'name': self.name, 'schema': self.schema})[7:19]}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self.function, instance)

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """`arguments` checked against the type hints, with defaults filled in, as JSON values.

        Raises InvalidRequest naming each argument that does not fit.
        """
        return dict(self._parsed(arguments).model_dump(mode="json"))

    def call_arguments(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments of the function for JSON `arguments`: typed as it declares them."""
        parsed = self._parsed(arguments)
        return {name: getattr(parsed, name) for name in type(parsed).model_fields}

    def gate(self, arguments: Mapping[str, Any]) -> Approval | None:
        """What the tool itself asks for before a call with `arguments`; None where it asks for nothing.

        A predicate that raises asks: unknown never means approved.
        """
        if not self.gated:
            return None
        required = self.approval_required
        if callable(required):
            try:
                required = bool(required(**self.call_arguments(arguments)))
            except Exception:  # noqa: BLE001 - deny by default
                required = True
        elif self.approval is not None:
            required = True
        return (self.approval or Approval()) if required else None

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

    def _parsed(self, arguments: Mapping[str, Any]) -> BaseModel:
        try:
            return self.model.model_validate(dict(arguments))
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc']) or 'arguments'}: {problem['msg']}"
                for problem in error.errors(include_url=False)
            )
            raise InvalidRequest(f"{self.name}: {wrong}") from None


def _arguments_model(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise InvalidDefinition(f"tool {name!r}: a type hint cannot be resolved: {error}") from error
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
            raise InvalidDefinition(
                f"tool {name!r}: parameter {parameter.name!r} must be one that can be given by name"
            )
        if parameter.name == IDEMPOTENCY_KEY:
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints.get(parameter.name, Any), default)
    try:
        return create_model(name, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields)
    except PydanticUserError as error:
        raise InvalidDefinition(f"tool {name!r}: {error}") from error


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
    schema.setdefault("properties", {})
    return schema


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
        the
            same `idempotency_key`, passed if the function takes it. "checkable": ask `lookup`. "unsafe": never by the
            machine; people settle it. Default: unsafe when gated, idempotent when not.
        lookup: called with the same arguments (and the key, if it takes one); returns the result, None if the call did
            not happen, or raises where it cannot tell.
        version: change it when the meaning changes: what was approved before is asked again.
        timeout_seconds: the function's run time. An unsafe one that runs longer is in doubt.
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
