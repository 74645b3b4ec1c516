"""One question to the model outside a conversation: a system and a user message, text or a schema's value back."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import TypeAdapter

from agent_runtime.agent import structured_output
from agent_runtime.engine.model import Model, ModelRequest
from agent_runtime.engine.output import fitted
from agent_runtime.errors import InvalidRequest, ModelUnavailable

TRIES = 3
"""Tries while the model's service is away, one and two seconds apart; then the execution is postponed."""


async def ask(model: Model, name: str, system: str, user: str, schema: Any) -> dict[str, Any]:
    """{"value": text or the schema's value as JSON, "usage": …, "model": …}.

    An answer that does not fit the schema is asked again once, with the reason. Raises ModelUnavailable, ModelRefused,
    or ValueError where the second answer does not fit either.
    """
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": user})
    adapter: TypeAdapter[Any] | None = None if schema is None else TypeAdapter(schema)
    wanted = None if adapter is None else structured_output(schema, adapter)
    problem = ""
    for _ in range(2):
        reply = await _complete(model, ModelRequest(name, messages, response_format=wanted))
        text = str(reply["message"].get("content") or "")
        about = {"usage": reply.get("usage", {}), "model": reply.get("model", "")}
        if adapter is None:
            return {"value": text, **about}
        try:
            return {"value": fitted(adapter, text), **about}
        except InvalidRequest as error:
            problem = error.message
            messages += [{"role": "assistant", "content": text}, {"role": "user", "content": problem}]
    raise ValueError(problem)


async def _complete(model: Model, request: ModelRequest) -> dict[str, Any]:
    for pause in range(TRIES - 1):
        try:
            return await model.complete(request)
        except ModelUnavailable:
            await asyncio.sleep(1 << pause)
    return await model.complete(request)
