"""A reply in the chat API's own shape, whole or as a stream. Ids come from the request: the same asks get
the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from bot.scripted_model.errors import ApiError
from bot.scripted_model.reply import Call, Calls, Data, Refusal, Text
from bot.scripted_model.request import ChatRequest
from bot.scripted_model.structured import structured_answer

_PIECE = 16
"""Characters of one streamed piece."""


def completion(request: ChatRequest, reply: Text | Calls | Data | Refusal, created: int) -> dict[str, Any]:
    """The `chat.completion` object. `created` is in epoch seconds. Raises ApiError where the reply is not
    allowed."""
    message = _message(request, reply)
    return {
        "id": f"chatcmpl-{_digest(request)[:29]}",
        "object": "chat.completion",
        "created": created,
        "model": request.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
            }
        ],
        "usage": _usage(request, message),
        "system_fingerprint": "fp_scripted",
    }


def _message(request: ChatRequest, reply: Text | Calls | Data | Refusal) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    if isinstance(reply, Calls):
        chosen = _allowed(request, reply)
        if chosen:
            message["content"] = reply.content
            message["tool_calls"] = [_tool_call(request, index, call) for index, call in enumerate(chosen)]
            return message
        named = " and ".join(call.name for call in reply.calls)
        reply = Text(f"I would call {named} next, but no tool may be called in this turn.")
    elif request.tool_choice not in ("auto", "none"):
        raise ApiError(
            422,
            f"tool_choice asks for a call ({request.tool_choice}), but the script has none to make",
            code="no_call",
        )
    if isinstance(reply, Refusal):
        message["refusal"] = reply.words
    elif isinstance(reply, Data):
        message["content"] = json.dumps(reply.value, ensure_ascii=False)
    elif request.schema is not None:
        message["content"] = structured_answer(request.schema, reply.content, reply.facts)
    else:
        message["content"] = reply.content
    return message


def _allowed(request: ChatRequest, reply: Calls) -> tuple[Call, ...]:
    """The calls that `tool_choice` and `parallel_tool_calls` let through; none where no tool may be
    called."""
    if request.tool_choice == "none":
        return ()
    chosen = reply.calls
    if request.tool_choice not in ("auto", "required"):
        chosen = tuple(call for call in chosen if call.name == request.tool_choice)
        if not chosen:
            raise ApiError(
                422,
                f"tool_choice asks for {request.tool_choice}, which the script does not call now",
                code="no_call",
            )
    return chosen if request.parallel else chosen[:1]


def _tool_call(request: ChatRequest, index: int, call: Call) -> dict[str, Any]:
    arguments = call.arguments
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
    call_id = hashlib.sha256(f"{_digest(request)} {index}".encode()).hexdigest()[:24]
    return {"id": f"call_{call_id}", "type": "function", "function": {"name": call.name, "arguments": text}}


def _digest(request: ChatRequest) -> str:
    asked = {key: value for key, value in request.body.items() if key not in ("stream", "stream_options")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _usage(request: ChatRequest, message: Mapping[str, Any]) -> dict[str, int]:
    """Token counts by the rule of thumb of four characters a token."""
    asked = [request.messages, request.body.get("tools", [])]
    prompt = sum(math.ceil(len(json.dumps(part, ensure_ascii=False)) / 4) for part in asked)
    said = math.ceil(len(json.dumps([message["content"], message.get("tool_calls")], ensure_ascii=False)) / 4)
    return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def chunks(request: ChatRequest, whole: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The same completion as `chat.completion.chunk` objects: role, pieces, finish, and usage where it was
    asked for."""
    choice = whole["choices"][0]
    shared = {key: whole[key] for key in ("id", "created", "model", "system_fingerprint")}
    usage: dict[str, Any] = {"usage": None} if request.include_usage else {}

    def chunk(choices: list[dict[str, Any]], used: Mapping[str, Any]) -> dict[str, Any]:
        return {**shared, "object": "chat.completion.chunk", "choices": choices, **used}

    for delta in _deltas(choice["message"]):
        yield chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}], usage)
    yield chunk([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}], usage)
    if request.include_usage:
        yield chunk([], {"usage": whole["usage"]})


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": "" if message["content"] is not None else None, "refusal": None}
    for field in ("content", "refusal"):
        for piece in _pieces(message[field] or ""):
            yield {field: piece}
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": function}]}
        for piece in _pieces(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str) -> Iterator[str]:
    return (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
