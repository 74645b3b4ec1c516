"""Agents: named definitions. They import no engine; what a reasoner does reaches it through `context`."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from agent_runtime.context import CURRENT, ApprovalResult, Pause, current
from agent_runtime.core.canonical import digest
from agent_runtime.core.policy import Approval
from agent_runtime.errors import InvalidDefinition
from agent_runtime.reasoner import Reasoner, durable_step
from agent_runtime.tools import Tool, as_tools

_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_MODEL = re.compile(r"[\w.:@-]+(/[\w.:@-]+)*")


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
        given = name if name or node_id is None else node_id
        if given is None or not _NAME.fullmatch(given):
            raise InvalidDefinition(f"name: {given!r} must be letters, digits, _ and -, beginning with a letter or _")
        if model and not _MODEL.fullmatch(model):
            raise InvalidDefinition(f"model: {model!r} must look like openai/gpt-4o-mini")
        if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
            raise InvalidDefinition(f"max_turns: {max_turns!r} must be a whole number of at least 1")
        self.name = given
        self.model = model
        self.instructions = instructions
        self.tools = as_tools(tools)
        self.output_type = output_type
        self.max_turns = max_turns
        self._tools = {tool.name: tool for tool in self.tools}
        self.reasoners: dict[str, Reasoner] = {}
        self.output_adapter = None if output_type is None else _output_adapter(given, output_type)

    @property
    def version(self) -> str:
        """The digest of its definition, shortened."""
        return digest(self.definition())[7:23]

    def tool(self, name: str) -> Tool | None:
        """Its tool of that name, or None."""
        return self._tools.get(name)

    def reasoner(
        self,
        name: str | Callable[..., Awaitable[Any]] | None = None,
        tags: Sequence[str] = (),
        *,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Decorates an `async def` function as one of this agent's reasoners; it stays callable as it was.

        Args:
            name: how it is called over the API ("agent.reasoner"); the function's own name by default.
            tags: "entry" marks the one that runs where none is named.
            timeout_seconds: its run time; the time that people take to decide does not count.

        Raises InvalidDefinition for a function that is not `async def`, or a name that is taken.
        """
        if callable(name):
            return self.reasoner()(name)

        def decorate(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            made = Reasoner(function, name=name, tags=tags, timeout_seconds=timeout_seconds)
            if made.name in self.reasoners:
                raise InvalidDefinition(f"{self.name}: two reasoners are called {made.name!r}")
            self.reasoners[made.name] = made
            return function

        return decorate

    def step(self, function: Callable[..., Any] | None = None, *, name: str | None = None) -> Any:
        """Decorates a function, sync or async, as a durable step: in a reasoner its result (JSON) is recorded once.

        The decorated function is awaited; what it raises is recorded too, and raised as StepFailed. After a crash a
        step that was not recorded runs again. Where the order of calls may differ between two runs (a race), write
        `await function.named("…")(…)`. A step within a step is a part of that one.

        Args:
            name: what the journal calls it; the function's own name by default.
        """
        if function is None:
            return lambda decorated: durable_step(decorated, name)
        return durable_step(function, name)

    async def ai(
        self, *, system: str = "", user: str, schema: Any = None, model: str | None = None, name: str | None = None
    ) -> Any:
        """Asks the model, durably. With a `schema` (a Pydantic model or another type) returns an instance of it, else
        text.

        A model that is away is waited for. Raises OutsideReasoner, ModelRefused, or ValueError where the answer does
        not fit the schema twice in a row.
        """
        return await current().ai(
            system=system, user=user, schema=schema, model=model, default_model=self.model, name=name
        )

    async def pause(
        self,
        *,
        approval_request_id: str | None = None,
        approval_request_url: str = "",
        expires_in_hours: float = 72,
        title: str = "",
        name: str | None = None,
        **approval: Any,
    ) -> ApprovalResult:
        """Waits durably for people; returns their decision, also "expired". Continues from this line.

        `approval_request_id` (`[\\w.:~-]{1,200}`) is unique in a deployment for ever; minted where None. Further
        keywords are those of `Approval` (reviewers, quorum, …). Raises Conflict naming the execution that has used
        that id, InvalidRequest or InvalidDefinition for what cannot be asked.
        """
        asked = Pause(
            approval_request_id,
            approval_request_url,
            title,
            Approval(expires_in_hours=expires_in_hours, **approval),
        )
        return await current().pause(asked, name=name)

    async def wait_for_resume(self, *, approval_request_id: str, timeout: float | None = None) -> ApprovalResult | None:
        """The decision on an approval that was asked before a crash, waiting for it; None where nothing has that id.

        That may be this execution's own approval, or that of an ended execution with the same agent, reasoner and
        input, which did not use it. `timeout` in seconds; then the result's decision is "error". Raises Conflict
        naming the execution where another one has it.
        """
        return await current().wait_for_resume(approval_request_id, timeout)

    def note(self, message: str, tags: Sequence[str] = ()) -> None:
        """Says something for the record; written with the next durable step. Outside a reasoner it is dropped."""
        running = CURRENT.get()
        if running is not None:
            running.note(message, tags)

    async def call(self, target: str, /, *, _name: str | None = None, **given: Any) -> Any:
        """Runs "agent.reasoner" (or "agent") as a child execution with the input `given` and returns its result.

        It is cancelled with this execution. `_name` names the call in the journal. Raises NotFound, InvalidRequest for
        input that it cannot take, StepFailed where it fails or is cancelled.
        """
        return await current().call(target, given, name=_name)

    def run(self, host: str | None = None, port: int | None = None, *, auto_port: bool = False) -> None:
        """Serves the API, this agent, and Slack where its tokens are set, until Ctrl-C.

        `auto_port`: where the port is taken, any free one. Reads `.env` in this folder, as the command line does.
        """
        import_module("agent_runtime.server").run_agents([self], host=host, port=port, auto_port=auto_port)

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
        return None if self.output_adapter is None else structured_output(self.output_type, self.output_adapter)

    def definition(self) -> dict[str, Any]:
        """What the store keeps of it; its digest is the agent's version."""
        return {
            "name": self.name,
            "model": self.model,
            "instructions": self.instructions,
            "tools": [tool.definition() for tool in self.tools],
            "reasoners": [reasoner.definition() for reasoner in self.reasoners.values()],
            "output": self.response_format,
            "max_turns": self.max_turns,
        }

    def __repr__(self) -> str:
        return f"<Agent {self.name}>"


def structured_output(output_type: Any, adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """The chat API's `response_format` for a type; strict where its schema is closed at every level."""
    schema = adapter.json_schema()
    name = re.sub(r"\W", "_", getattr(output_type, "__name__", "output"), flags=re.ASCII)[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": _is_closed(schema)}}


def _output_adapter(agent: str, output_type: Any) -> TypeAdapter[Any]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(output_type)
        adapter.json_schema()
    except PydanticUserError as error:
        raise InvalidDefinition(f"{agent}: output_type {output_type!r} cannot be used: {error}") from error
    return adapter


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
