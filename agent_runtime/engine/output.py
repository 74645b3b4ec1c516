"""Structured output: the model's text as a value of the wanted type."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from agent_runtime.arguments import problems
from agent_runtime.core.canonical import canonical
from agent_runtime.errors import InvalidRequest
from agent_runtime.tools import json_value


def fitted(adapter: TypeAdapter[Any], text: str) -> Any:
    """`text` (JSON) as the wanted type, back in JSON values. Raises InvalidRequest saying what does not fit."""
    try:
        value = json_value(adapter.validate_json(text))
        canonical(value, name="value")
    except ValidationError as error:
        raise InvalidRequest(f"the answer does not fit the wanted output: {problems(error)}") from None
    except InvalidRequest as error:
        raise InvalidRequest(f"the answer does not fit the wanted output: {error.message}") from None
    return value
