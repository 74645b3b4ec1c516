"""JSON over HTTP to one server: a connection pool, refusals as errors, and another try where that changes nothing."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp

from agent_runtime.errors import CountersignError, InvalidRequest, InvalidSetting, ServerUnavailable
from agent_runtime.sdk.wire import raise_refusal

Answer = dict[str, Any]

RETRIES = (0.1, 0.5, 2.0)
"""Pauses in seconds before a request is sent again where the server was away, each at random up to a half longer or
shorter, so that clients whose server comes back do not all come back with it; what is not idempotent is sent once.
"""


class Transport:
    """One server. `close` it; it opens itself."""

    def __init__(self, server_url: str, api_token: str | None, timeout_seconds: float) -> None:
        if not server_url.startswith(("http://", "https://")):
            raise InvalidSetting(f"server_url: {server_url!r} must begin with http:// or https://")
        self.server_url = server_url.rstrip("/")
        self.timeout_seconds = timeout_seconds
        self._headers = {"Authorization": f"Bearer {api_token}"} if api_token else {}
        self._opened: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            timeout = aiohttp.ClientTimeout(total=self.timeout_seconds)
            self._opened = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self._opened

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def read(self, path: str, **query: str | float | None) -> Answer:
        """GET, tried again. A long poll's own `wait` is added to the time that the answer may take."""
        params = {name: str(value) for name, value in query.items() if value is not None}
        timeout = aiohttp.ClientTimeout(total=self.timeout_seconds + float(query.get("wait") or 0))
        return await self._again("GET", path, params=params, timeout=timeout)

    async def send(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, idempotent: bool = True
    ) -> Answer:
        """POST; tried again where it is `idempotent`."""
        exchange = self._again if idempotent else self._exchange
        return await exchange("POST", path, json=dict(body), headers=dict(headers or {}))

    async def _again(self, method: str, path: str, **options: Any) -> Answer:
        for pause in RETRIES:
            try:
                return await self._exchange(method, path, **options)
            except CountersignError as error:
                if not may_pass(error):
                    raise
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
        return await self._exchange(method, path, **options)

    async def _exchange(self, method: str, path: str, **options: Any) -> Answer:
        try:
            async with self.session.request(method, self.server_url + path, **options) as response:
                await raise_refusal(response)
                answer: Answer = await response.json()
                return answer
        except TimeoutError as error:
            raise ServerUnavailable(f"{self.server_url}: no answer within {self.timeout_seconds:g} s") from error
        except (aiohttp.ClientError, ConnectionError, json.JSONDecodeError) as error:
            raise ServerUnavailable(f"{self.server_url}: {error}") from error


def may_pass(error: CountersignError) -> bool:
    """Whether asking again may help: the server is away or busy, and this is no other server's refusal."""
    return error.status == 503 and error.details.get("status", 503) >= 500


def part(text: str) -> str:
    """One part of a path."""
    if not text:
        raise InvalidRequest("an id or a name must not be empty")
    return quote(text, safe="")
