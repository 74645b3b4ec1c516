"""As much of a web framework as the approval endpoints use: over real HTTP, plain functions in worker threads."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from aiohttp import web


class WebApplication:
    """`@app.post(path)` makes a function an endpoint: its arguments are those in the path and in the query."""

    def __init__(self) -> None:
        self.state = SimpleNamespace()
        self._application = web.Application()

    def post(self, path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def decorate(endpoint: Callable[..., Any]) -> Callable[..., Any]:
            async def handle(request: web.Request) -> web.Response:
                given = {**request.query, **request.match_info}
                missing = set(inspect.signature(endpoint).parameters) - set(given)
                if missing:
                    return web.json_response({"missing": sorted(missing)}, status=422)
                return web.json_response(await asyncio.to_thread(endpoint, **given))

            self._application.router.add_post(path, handle)
            return endpoint

        return decorate

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Its URL, while it is served on any free port."""
        runner = web.AppRunner(self._application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
