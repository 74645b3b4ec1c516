"""The scripted model inside a test: it says what the test tells it to, and records what it was asked."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from aiohttp import web

from bot.scripted_model.errors import ApiError
from bot.scripted_model.reply import Reply, Text
from bot.scripted_model.request import ChatRequest
from bot.scripted_model.scripts import scripted_reply
from bot.scripted_model.server import chat_app

Said: TypeAlias = Reply | str
Messages: TypeAlias = Sequence[Mapping[str, Any]]
Handler: TypeAlias = Callable[[Messages], Said]


class ScriptedModel:
    """What the model says, and what it was asked.

    `replies`: a function from the messages to a reply, or replies that are given in the order of the
    requests (text stands for `Text`). Without any, the sample agents' scripts speak. Past the last of them
    the answer is 422.
    """

    def __init__(self, replies: Handler | Sequence[Said] | None = None) -> None:
        self._handler = replies if callable(replies) else None
        self._replies = None if replies is None or callable(replies) else tuple(replies)
        self._lock = threading.Lock()
        self.requests: list[ChatRequest] = []
        self.errors: list[Exception] = []
        self.url = ""
        """`http://127.0.0.1:PORT` while served."""

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    @property
    def messages(self) -> list[list[Mapping[str, Any]]]:
        """The messages of each request, in the order they came."""
        return [list(request.messages) for request in self.requests]

    def answer(self, request: ChatRequest) -> Reply:
        """Record the request and say the reply to it. Raises ApiError (422) where there is none."""
        with self._lock:
            self.requests.append(request)
            turn = len(self.requests)
        if self._handler is not None:
            said = self._said_by(self._handler, request)
        elif self._replies is None:
            said = scripted_reply(request)
        elif turn <= len(self._replies):
            said = self._replies[turn - 1]
        else:
            raise ApiError(
                422, f"no reply is left for request {turn}; {len(self._replies)} were given", code="no_reply"
            )
        return Text(said) if isinstance(said, str) else said

    def _said_by(self, handler: Handler, request: ChatRequest) -> Said:
        try:
            return handler(request.messages)
        except Exception as error:
            # The client would only see a 500; the block that serves this model raises what happened.
            self.errors.append(error)
            raise


@asynccontextmanager
async def serve_scripted_model(
    replies: Handler | Sequence[Said] | None = None,
) -> AsyncIterator[ScriptedModel]:
    """Serve a `ScriptedModel` on a free port of 127.0.0.1 for the time of the block.

    Its `base_url` is what the client takes. What a test's own function raised is raised again at the block's
    end.
    """
    model = ScriptedModel(replies)
    runner = web.AppRunner(chat_app(model.answer), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        model.url = f"http://{host}:{port}"
        yield model
    finally:
        await runner.cleanup()
    if model.errors:
        raise model.errors[0]
