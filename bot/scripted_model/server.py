"""The HTTP face: OpenAI's chat completions and models endpoints over a function that says the next reply."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from aiohttp import web

from bot.scripted_model.completion import chunks, completion
from bot.scripted_model.errors import ApiError
from bot.scripted_model.reply import Failure, Later, Reply
from bot.scripted_model.request import ChatRequest, parse_request

log = logging.getLogger(__name__)

Answer: TypeAlias = Callable[[ChatRequest], Reply]

MAX_BODY_BYTES = 16 * 1024 * 1024
MODEL = "scripted"


def chat_app(answer: Answer) -> web.Application:
    """An aiohttp application in which `answer` says what the model replies to each request."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors, _authentication])
    app[_ANSWER] = answer
    app.router.add_post("/v1/chat/completions", _chat_completions)
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/v1/models/{model}", _model)
    return app


_ANSWER: web.AppKey[Answer] = web.AppKey("answer")
_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        refusal = error
    except web.HTTPException as error:
        refusal = ApiError(error.status, f"{request.method} {request.path}: {error.reason}")
    log.info("%s %s refused: %s %s", request.method, request.path, refusal.status, refusal.message)
    return web.json_response(refusal.as_json(), status=refusal.status)


@web.middleware
async def _authentication(request: web.Request, handler: _Handler) -> web.StreamResponse:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise ApiError(
            401,
            "You didn't provide an API key: send it as a bearer token (any will do here).",
            code="invalid_api_key",
        )
    return await handler(request)


async def _models(request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [_described(MODEL)]})


async def _model(request: web.Request) -> web.Response:
    return web.json_response(_described(request.match_info["model"]))


def _described(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 0, "owned_by": "countersign"}


async def _chat_completions(request: web.Request) -> web.StreamResponse:
    try:
        body = await request.json()
    except ValueError as error:
        raise ApiError(400, f"We could not parse the JSON body of your request: {error}") from None
    asked = parse_request(body)
    reply = request.app[_ANSWER](asked)
    if isinstance(reply, Later):
        await asyncio.sleep(reply.seconds)
        reply = reply.reply
    if isinstance(reply, Failure):
        return _failed(request, reply)
    whole = completion(asked, reply, created=int(time.time()))
    log.info("%s: %s", whole["id"], whole["choices"][0]["finish_reason"])
    return await _streamed(request, asked, whole) if asked.stream else web.json_response(whole)


def _failed(request: web.Request, failure: Failure) -> web.Response:
    if failure.status is None:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the script drops this connection")
    body = failure.body
    if body is None:
        body = json.dumps(ApiError(failure.status, failure.message, kind="server_error").as_json())
    return web.Response(
        status=failure.status, text=body, headers=dict(failure.headers), content_type="application/json"
    )


async def _streamed(request: web.Request, asked: ChatRequest, whole: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    for chunk in chunks(asked, whole):
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response
