"""What OpenAI's structured outputs ask of a schema in strict mode.

Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.scripted_model.errors import malformed

_UNSUPPORTED = (
    "allOf",
    "not",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "then",
    "else",
    "patternProperties",
)


def require_strict(schema: Mapping[str, Any], here: str) -> None:
    """Raise ApiError (400) where a strict schema is not one: the root an object, every object closed, every
    field required."""
    root = schema
    if "$ref" not in root and root.get("type") != "object":
        raise malformed(here, 'a strict schema must be of type "object" at its root')
    _require_strict_part(schema, here)


def _require_strict_part(schema: Any, here: str) -> None:
    if not isinstance(schema, dict):
        return
    for keyword in _UNSUPPORTED:
        if keyword in schema:
            raise malformed(here, f"{keyword!r} is not permitted in a strict schema")
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            raise malformed(here, "'additionalProperties' must be given, and false, in a strict schema")
        left_out = sorted(schema.get("properties", {}).keys() - set(schema.get("required", ())))
        if left_out:
            raise malformed(
                here,
                f"'required' must name every property of a strict schema; it lacks {', '.join(left_out)}",
            )
    for group in ("properties", "$defs", "definitions"):
        for name, part in schema.get(group, {}).items():
            _require_strict_part(part, f"{here}.{group}.{name}")
    _require_strict_part(schema.get("items"), f"{here}.items")
    for index, part in enumerate(schema.get("anyOf", ())):
        _require_strict_part(part, f"{here}.anyOf[{index}]")
