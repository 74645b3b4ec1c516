"""A model that says what a test tells it to, in the process of the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel

from agent_runtime.core.canonical import canonical
from agent_runtime.engine.model import ModelRequest
from agent_runtime.errors import ModelRefused


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call; see `call`."""

    tool_name: str
    arguments: Mapping[str, Any]


def call(tool_name: str, /, **arguments: Any) -> Call:
    """A tool call for a scripted reply: `call("process_refund", order_id="ORD-8821", amount=29.99)`."""
    return Call(tool_name, arguments)


Reply = str | Call | Sequence[Call] | Mapping[str, Any] | BaseModel
"""Words; one call or several of one turn; or a structured answer."""


class ScriptedModel:
    """Gives the replies that it was told, in order; `requests` are what it was asked.

    Args:
        replies: the first replies, as for `says`.
    """

    def __init__(self, *replies: Reply) -> None:
        self.requests: list[ModelRequest] = []
        self._replies: list[Reply] = list(replies)
        self._function: Callable[[Sequence[Mapping[str, Any]]], Reply] | None = None

    def says(self, *replies: Reply) -> Self:
        """Adds replies to those that are left."""
        self._replies += replies
        return self

    def answers(self, function: Callable[[Sequence[Mapping[str, Any]]], Reply]) -> Self:
        """Where no reply is left, `function` of the chat's messages gives it."""
        self._function = function
        return self

    @property
    def last_messages(self) -> Sequence[Mapping[str, Any]]:
        """The messages of the last request."""
        return self.requests[-1].messages

    async def complete(self, request: ModelRequest) -> dict[str, Any]:
        """The next reply as the engine takes it. Raises ModelRefused where none is left."""
        self.requests.append(request)
        number = len(self.requests)
        if self._replies:
            reply = self._replies.pop(0)
        elif self._function is not None:
            reply = self._function(request.messages)
        else:
            raise ModelRefused(f"no reply is left for request {number} of the scripted model; tell it with says(…)")
        message = _message(reply, number)
        ending = "tool_calls" if "tool_calls" in message else "stop"
        return {"message": message, "usage": {}, "model": "scripted", "finish_reason": ending}

    async def close(self) -> None:
        """Nothing is open."""


def _message(reply: Reply, number: int) -> dict[str, Any]:
    if isinstance(reply, str):
        return {"role": "assistant", "content": reply}
    if isinstance(reply, BaseModel):
        return {"role": "assistant", "content": reply.model_dump_json()}
    if isinstance(reply, Mapping):
        return {"role": "assistant", "content": json.dumps(dict(reply))}
    calls = [reply] if isinstance(reply, Call) else list(reply)
    return {
        "role": "assistant",
        "tool_calls": [
            {
                "id": f"call_{number}_{index}",
                "type": "function",
                "function": {"name": one.tool_name, "arguments": canonical(dict(one.arguments))},
            }
            for index, one in enumerate(calls)
        ],
    }
