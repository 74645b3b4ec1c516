"""The arguments of a Python function as JSON: a schema from its type hints, values checked, defaults filled in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError

from agent_runtime.core.canonical import InvalidJson, canonical
from agent_runtime.errors import InvalidDefinition, InvalidRequest


class Arguments:
    """What `function` takes by name, but for the `hidden` ones. `owner` names it in errors.

    Raises InvalidDefinition for a parameter that cannot be given as JSON by name, or whose default does not fit.
    """

    def __init__(self, owner: str, function: Callable[..., Any], *, hidden: Collection[str] = ()) -> None:
        self._owner = owner
        self._model = _model(owner, function, hidden)
        self._names = {field: str(info.alias) for field, info in self._model.model_fields.items()}
        self.schema = _schema(owner, self._model)

    @property
    def names(self) -> Collection[str]:
        """The names of the arguments, in order."""
        return self._names.values()

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`given` checked, with defaults filled in, as JSON values: what is shown, approved, stored and run.

        Raises InvalidRequest naming each argument that does not fit, or that would not come back the same from JSON.
        """
        parsed = self._parsed(given)
        values = dict(parsed.model_dump(mode="json", by_alias=True))
        text = canonical(values, name=self._owner)
        if not _is(given, text) and self._parsed(values) != parsed:
            raise InvalidRequest(
                f"{self._owner}: the arguments do not come back the same from JSON; use types that do (no SecretStr)"
            )
        return values

    def keywords(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The function's keyword arguments for JSON values: typed as it declares them."""
        parsed = self._parsed(given)
        return {name: getattr(parsed, field) for field, name in self._names.items()}

    def _parsed(self, given: Mapping[str, Any]) -> BaseModel:
        try:
            return self._model.model_validate(dict(given))
        except ValidationError as error:
            raise InvalidRequest(f"{self._owner}: {problems(error)}") from None


def _is(given: Mapping[str, Any], text: str) -> bool:
    """Whether what was given is what this canonical text says: then it reads back as it was read."""
    try:
        return canonical(dict(given)) == text
    except InvalidJson:
        return False


def problems(error: ValidationError) -> str:
    """Each thing that does not fit, with where it is, in one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" if problem["loc"] else problem["msg"]
        for problem in error.errors(include_url=False, include_input=False)
    )


def takes(function: Callable[..., Any], names: Collection[str]) -> bool:
    """Whether `function` is one that can be called with these keyword arguments."""
    try:
        inspect.signature(function).bind(**dict.fromkeys(names))
    except (TypeError, ValueError):
        return False
    return True


def _model(owner: str, function: Callable[..., Any], hidden: Collection[str]) -> type[BaseModel]:
    """A Pydantic model of the parameters. Its fields have names of their own, as a parameter may be called anything."""
    fields: dict[str, Any] = {}
    for parameter, hint in _parameters(owner, function):
        if parameter.name in hidden:
            continue
        name = Field(alias=parameter.name, validation_alias=parameter.name, serialization_alias=parameter.name)
        if parameter.default is parameter.empty:
            fields[f"argument_{len(fields)}"] = (Annotated[hint, name], ...)
        else:
            hint = hint | None if parameter.default is None else hint
            fields[f"argument_{len(fields)}"] = (Annotated[hint, name], parameter.default)
    try:
        model: type[BaseModel] = create_model(
            owner, __config__=ConfigDict(extra="forbid", validate_default=True), **fields
        )
        _check_defaults(owner, model)
    except PydanticUserError as error:
        raise InvalidDefinition(f"{owner}: {error}") from error
    return model


def _parameters(owner: str, function: Callable[..., Any]) -> list[tuple[inspect.Parameter, Any]]:
    try:
        parameters = inspect.signature(function).parameters.values()
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError, SyntaxError, AttributeError) as error:
        raise InvalidDefinition(f"{owner}: a type hint or the signature cannot be read: {error}") from error
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY}:
            raise InvalidDefinition(f"{owner}: parameter {parameter.name!r} must be one that can be given by name")
        if parameter.name in {"self", "cls"}:
            raise InvalidDefinition(f"{owner}: a method has no instance here; decorate the bound one instead")
    return [(parameter, hints.get(parameter.name, Any)) for parameter in parameters]


def _check_defaults(owner: str, model: type[BaseModel]) -> None:
    try:
        model.model_validate({})
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            if problem["type"] != "missing":
                name = model.model_fields[str(problem["loc"][0])].alias
                raise InvalidDefinition(
                    f"{owner}: the default of {name!r} does not fit its type: {problem['msg']}"
                ) from None


def _schema(owner: str, model: type[BaseModel]) -> dict[str, Any]:
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        raise InvalidDefinition(f"{owner}: {error}") from error
    schema.pop("title", None)
    for field in schema.setdefault("properties", {}).values():
        field.pop("title", None)
    return schema
