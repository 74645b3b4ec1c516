"""Agents: named definitions. They import no engine."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import TypeAdapter

from agent_runtime.core.canonical import digest
from agent_runtime.errors import InvalidDefinition
from agent_runtime.tools import Tool, as_tools

_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_MODEL = re.compile(r"([\w.-]+/)?[\w.:/@-]+")


class Agent:
    """A model with instructions and tools; its runs are executions.

    Args:
        name: `^[A-Za-z_][\\w-]*$`, by position or keyword (`node_id` is accepted for it).
        model: "openai/…", "anthropic/…", or a bare OpenAI model name; "" for COUNTERSIGN_MODEL.
        instructions: the system message.
        tools: functions made by `@tool` (plain functions are made into tools).
        output_type: a type (a Pydantic model, a dataclass, …) that the final answer must have.
        max_turns: replies of the model in one execution at most.

    Raises InvalidDefinition naming what cannot be used.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        node_id: str | None = None,
        model: str = "",
        instructions: str = "",
        tools: Sequence[Tool | Callable[..., Any]] = (),
        output_type: Any = None,
        max_turns: int = 25,
    ) -> None:
        given = name or node_id
        if given is None or not _NAME.fullmatch(given):
            raise InvalidDefinition(f"name: {given!r} must be letters, digits, _ and -, beginning with a letter or _")
        if model and not _MODEL.fullmatch(model):
            raise InvalidDefinition(f"model: {model!r} must look like openai/gpt-4o-mini")
        if max_turns < 1:
            raise InvalidDefinition(f"max_turns: {max_turns!r} must be at least 1")
        self.name = given
        self.model = model
        self.instructions = instructions
        self.tools = as_tools(tools)
        self.output_type = output_type
        self.max_turns = max_turns
        self._tools = {tool.name: tool for tool in self.tools}
        self.output_adapter: TypeAdapter[Any] | None = None if output_type is None else TypeAdapter(output_type)
        self.version = digest(self.definition())[7:23]

    def tool(self, name: str) -> Tool | None:
        """Its tool of that name, or None."""
        return self._tools.get(name)

    @functools.cached_property
    def tool_schemas(self) -> list[dict[str, Any]]:
        """The tools as the chat API takes them, in the given order."""
        return [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
            }
            for tool in self.tools
        ]

    @functools.cached_property
    def response_format(self) -> dict[str, Any] | None:
        """The chat API's structured output for `output_type`, or None."""
        if self.output_adapter is None:
            return None
        name = getattr(self.output_type, "__name__", "output")
        schema = self.output_adapter.json_schema()
        return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": _is_closed(schema)}}

    def definition(self) -> dict[str, Any]:
        """What the store keeps of it; its digest is the agent's version."""
        return {
            "name": self.name,
            "model": self.model,
            "instructions": self.instructions,
            "tools": [tool.definition() for tool in self.tools],
            "output": self.response_format,
            "max_turns": self.max_turns,
        }

    def __repr__(self) -> str:
        return f"<Agent {self.name}>"


def _is_closed(schema: Any) -> bool:
    """Strict structured output needs every object, at every level, closed and every field of it required."""
    if isinstance(schema, list):
        return all(map(_is_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(schema.get("properties", ())):
            return False
    return all(map(_is_closed, schema.values()))
