"""A model in the test's own process: it says what the test tells it to, and keeps what it was asked."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from agent_runtime.engine.model import ModelRequest


def says(content: str, **more: Any) -> dict[str, Any]:
    """A last word."""
    return {"message": {"role": "assistant", "content": content}, "usage": {}, "model": "test", **more}


def calls(*named: tuple[str, Mapping[str, Any] | str], words: str = "") -> dict[str, Any]:
    """Calls of one turn, by tool and arguments; text goes out as it is. Their ids are call_0, call_1, …"""
    tool_calls = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for number, (name, given) in enumerate(named)
    ]
    message = {"role": "assistant", "tool_calls": tool_calls, **({"content": words} if words else {})}
    return {"message": message, "usage": {}, "model": "test"}


class Replies:
    """A `Model` that gives its n-th reply to a request with n replies in it, however often that is asked.

    A reply may be a function of the request (also `async def`), and an exception is raised.
    """

    def __init__(self, *replies: Any) -> None:
        self.replies = replies
        self.requests: list[ModelRequest] = []

    @property
    def heard(self) -> list[str]:
        """The contents of the tool messages in the last request, in order."""
        return [str(said["content"]) for said in self.requests[-1].messages if said["role"] == "tool"]

    async def complete(self, request: ModelRequest) -> dict[str, Any]:
        self.requests.append(request)
        reply = self.replies[sum(said["role"] == "assistant" for said in request.messages)]
        if callable(reply):
            reply = reply(request)
            reply = await reply if inspect.isawaitable(reply) else reply
        if isinstance(reply, Exception):
            raise reply
        return dict(reply)

    async def close(self) -> None:
        pass
