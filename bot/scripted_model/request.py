"""A chat completion request, checked as the real API checks it, so that what passes here passes there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.scripted_model.errors import malformed
from bot.scripted_model.strict_schema import require_strict

# https://platform.openai.com/docs/api-reference/chat/create
PARAMETERS = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
        "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model", "moderation",
        "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed",
        "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice", "tools",
        "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
    }
)  # fmt: skip
_ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What was asked. `body` is the request as it came."""

    body: Mapping[str, Any] = field(repr=False)
    model: str
    messages: Sequence[Mapping[str, Any]]
    tool_names: tuple[str, ...]
    tool_choice: str
    """`auto`, `none`, `required`, or the name of the function that must be called."""
    parallel: bool
    schema: Mapping[str, Any] | None
    """The JSON schema of a structured answer; `{}` where any JSON object will do."""
    stream: bool
    include_usage: bool


def parse_request(body: Any) -> ChatRequest:
    """The request in `body`, parsed JSON. Raises ApiError (400) naming the parameter that is wrong."""
    if not isinstance(body, dict):
        raise malformed("body", "must be a JSON object")
    unknown = sorted(body.keys() - PARAMETERS)
    if unknown:
        raise malformed(unknown[0], "unrecognized request argument")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise malformed("model", "you must provide a model")
    if body.get("n") not in (None, 1):
        raise malformed("n", "a scripted model has one answer; n must be 1")
    stream = body.get("stream") is True
    options = body.get("stream_options")
    if options is not None and not stream:
        raise malformed("stream_options", "only allowed when stream is enabled")
    messages = _messages(body.get("messages"))
    tool_names = _tool_names(body.get("tools"))
    return ChatRequest(
        body=body,
        model=model,
        messages=messages,
        tool_names=tool_names,
        tool_choice=_tool_choice(body.get("tool_choice"), tool_names),
        parallel=body.get("parallel_tool_calls") is not False,
        schema=_schema(body.get("response_format"), messages),
        stream=stream,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _messages(messages: Any) -> list[dict[str, Any]]:
    if not isinstance(messages, list) or not messages:
        raise malformed("messages", "must be a list of at least one message")
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        here = f"messages[{index}]"
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise malformed(f"{here}.role", f"must be one of {', '.join(_ROLES)}")
        if message["role"] == "tool":
            call_id = message.get("tool_call_id")
            if call_id not in open_calls:
                raise malformed(
                    f"{here}.tool_call_id",
                    f"{call_id!r} answers no call of the assistant message before it (or answers it twice)",
                )
            open_calls.remove(call_id)
        elif open_calls:
            break
        _require_content(message, here)
        if message["role"] == "assistant":
            open_calls = _call_ids(message.get("tool_calls"), f"{here}.tool_calls")
    if open_calls:
        raise malformed(
            "messages", f"these tool calls were left without a tool message: {', '.join(sorted(open_calls))}"
        )
    return messages


def _require_content(message: Mapping[str, Any], here: str) -> None:
    content = message.get("content")
    if content is None and message["role"] == "assistant" and (message.get("tool_calls") or message.get("refusal")):
        return
    if isinstance(content, list):
        if all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in content):
            return
        raise malformed(f"{here}.content", "each part must be an object with a type")
    if not isinstance(content, str):
        raise malformed(f"{here}.content", "must be text or a list of parts")


def _call_ids(tool_calls: Any, here: str) -> set[str]:
    if tool_calls is None:
        return set()
    if not isinstance(tool_calls, list) or not tool_calls:
        raise malformed(here, "must be a list of at least one call, or left out")
    ids: set[str] = set()
    for index, call in enumerate(tool_calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or call.get("type") != "function":
            raise malformed(f"{here}[{index}]", 'must be {"id", "type": "function", "function": {…}}')
        if not isinstance(function.get("name"), str) or not isinstance(function.get("arguments"), str):
            raise malformed(f"{here}[{index}].function", "needs a name, and arguments as JSON text")
        if not isinstance(call.get("id"), str) or call["id"] in ids:
            raise malformed(f"{here}[{index}].id", "must be text, and its own for each call")
        ids.add(call["id"])
    return ids


def _tool_names(tools: Any) -> tuple[str, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list) or not tools:
        raise malformed("tools", "must be a list of at least one tool, or left out")
    names: list[str] = []
    for index, tool in enumerate(tools):
        here = f"tools[{index}]"
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            raise malformed(here, 'must be {"type": "function", "function": {…}}')
        name = function.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise malformed(f"{here}.function.name", f"{name!r} must match {_NAME.pattern}")
        parameters = function.get("parameters", {})
        if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
            raise malformed(f"{here}.function.parameters", 'must be a JSON schema of type "object"')
        if function.get("strict") is True:
            require_strict(parameters, f"{here}.function.parameters")
        names.append(name)
    return tuple(names)


def _tool_choice(choice: Any, tool_names: Sequence[str]) -> str:
    if choice is None:
        return "auto" if tool_names else "none"
    if not tool_names:
        raise malformed("tool_choice", "only allowed when tools are given")
    if choice in ("auto", "none", "required"):
        return str(choice)
    name = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    if name not in tool_names:
        raise malformed("tool_choice", f"{json.dumps(choice)} is neither auto, none, required nor one of the tools")
    return str(name)


def _schema(response_format: Any, messages: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    kind = response_format.get("type") if isinstance(response_format, dict) else response_format
    if kind in (None, "text"):
        return None
    if kind == "json_object":
        if "json" not in json.dumps(messages).lower():
            raise malformed("messages", 'must contain the word "json" for a response_format of json_object')
        return {}
    named = response_format.get("json_schema") if kind == "json_schema" else None
    if not isinstance(named, dict) or not isinstance(named.get("name"), str) or not _NAME.fullmatch(named["name"]):
        raise malformed("response_format", "must be text, json_object, or json_schema with a name and a schema")
    schema = named.get("schema", {})
    if not isinstance(schema, dict):
        raise malformed("response_format.json_schema.schema", "must be a JSON schema")
    if named.get("strict") is True:
        require_strict(schema, "response_format.json_schema.schema")
    return schema
