"""A structured answer: a value for a JSON schema, filled from what a script knows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 12


def structured_answer(schema: Mapping[str, Any], text: str, facts: Mapping[str, Any]) -> str:
    """JSON text for `schema`: each property takes the fact of its name, else a plain value; free text takes
    `text`.

    For a schema without properties (`json_object`) the answer is `{"result": text}` with the facts.
    """
    if not schema:
        return json.dumps({"result": text, **facts}, ensure_ascii=False)
    return json.dumps(_Filling(schema, text, facts).value(schema, 0), ensure_ascii=False)


class _Filling:
    def __init__(self, root: Mapping[str, Any], text: str, facts: Mapping[str, Any]) -> None:
        self.root = root
        self.text = text
        self.facts = facts

    def value(self, schema: Mapping[str, Any], depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return next((item for item in schema["enum"] if item in self.facts.values()), schema["enum"][0])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((item for item in kind if item != "null"), "null")
        if kind == "object" or "properties" in schema:
            if depth > _MAX_DEPTH:
                return {}
            return {name: self._property(name, part, depth) for name, part in schema.get("properties", {}).items()}
        if kind == "array":
            count = schema.get("minItems", 0)
            return [self.value(schema.get("items", {}), depth + 1) for _ in range(count)] if depth <= _MAX_DEPTH else []
        if kind in ("integer", "number"):
            return _number(schema)
        return {"boolean": False, "null": None}.get(str(kind), self.text)

    def _property(self, name: str, schema: Mapping[str, Any], depth: int) -> Any:
        if name in self.facts and _fits(self.facts[name], self._resolved(schema)):
            return self.facts[name]
        return self.value(schema, depth + 1)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema behind `$ref` and the first alternative that is more than null."""
        for _ in range(_MAX_DEPTH):
            if "$ref" in schema:
                target: Any = self.root
                for part in str(schema["$ref"]).lstrip("#/").split("/"):
                    target = target.get(part, {}) if part else target
                schema = target
            elif schema.get("anyOf"):
                schema = next((part for part in schema["anyOf"] if part.get("type") != "null"), schema["anyOf"][0])
            else:
                break
        return schema


_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _fits(fact: Any, schema: Mapping[str, Any]) -> bool:
    if "enum" in schema:
        return fact in schema["enum"]
    kinds = schema.get("type")
    names = kinds if isinstance(kinds, list) else [kinds]
    if isinstance(fact, bool):
        return "boolean" in names
    return not isinstance(fact, dict) and any(isinstance(fact, _TYPES.get(str(name), ())) for name in names)


def _number(schema: Mapping[str, Any]) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    number: float = max(0, low)
    if "exclusiveMinimum" in schema and number == schema["exclusiveMinimum"]:
        number += 1
    return math.ceil(number) if schema.get("type") == "integer" else number
