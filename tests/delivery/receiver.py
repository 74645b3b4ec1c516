"""A receiver of webhooks on a free port of this machine, and the sender's signature checked as the standard says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def is_signed(self, secret: str) -> bool:
        """Standard Webhooks, "Verifying signatures": HMAC-SHA256 of id.timestamp.payload, base64, after `v1,`."""
        key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


@dataclass(slots=True)
class Receiver:
    """`answer` decides on each request; by default it is taken."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], web.StreamResponse] = lambda received: web.Response(status=204)
    hangs: asyncio.Event | None = None
    """While this is not set, nothing is answered."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.path, headers, await request.read())
        self.received.append(received)
        if self.hangs is not None:
            await self.hangs.wait()
        return self.answer(received)

    def types(self) -> list[str]:
        return [received.json["type"] for received in self.received]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens until the end of the block."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        if receiver.hangs is not None:
            receiver.hangs.set()
        await runner.cleanup()
