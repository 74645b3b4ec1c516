"""The aiohttp application: Web API, sockets, response URLs, control endpoints and page on one port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.sandbox import pages, storage
from bot.sandbox.config import SandboxConfig
from bot.sandbox.control import routes as control
from bot.sandbox.interactions import routes as responses
from bot.sandbox.server import SandboxServer
from bot.sandbox.web_api import dispatch
from bot.sandbox.workspace.files import MAX_BYTES

SERVER: web.AppKey[SandboxServer] = web.AppKey("sandbox_server", SandboxServer)


@dataclass(frozen=True)
class Sandbox:
    """A running workspace. `url` has no slash at its end; `api_url` is a Slack client's `base_url`."""

    url: str
    api_url: str
    config: SandboxConfig
    server: SandboxServer


def create_app(
    config: SandboxConfig | None = None, *, announce: Callable[[dict[str, Any]], None] | None = None
) -> web.Application:
    """The application for one workspace.

    Args:
        config: None takes the defaults.
        announce: told what the page asks of the app's process, for example `{"event": "server.kill"}`.
    """
    server = SandboxServer(config or SandboxConfig(), announce=announce or (lambda event: None))
    app = web.Application(client_max_size=MAX_BYTES + 1024 * 1024, middlewares=[_learn_address])
    app[SERVER] = server
    app.add_routes(dispatch.routes(server))
    app.add_routes([web.get("/link/", server.socket_mode.serve)])
    app.add_routes(responses.routes(server))
    app.add_routes(storage.routes(server))
    app.add_routes(control.routes(server))
    app.add_routes(pages.routes())
    app.on_startup.append(_start)
    app.on_shutdown.append(_close)
    return app


@asynccontextmanager
async def running_sandbox(
    config: SandboxConfig | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[dict[str, Any]], None] | None = None,
) -> AsyncIterator[Sandbox]:
    """Serves a workspace while the block runs. Port 0 takes any free one."""
    app = create_app(config, announce=announce)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: int = runner.addresses[0][1]
        server = app[SERVER]
        server.base_url = f"http://{_in_url(host)}:{bound}"
        yield Sandbox(server.base_url, f"{server.base_url}/api/", server.config, server)
    finally:
        await runner.cleanup()


def _in_url(host: str) -> str:
    """A host that can be connected to: the wildcard addresses can't."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - not bound here
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


@web.middleware
async def _learn_address(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Where nobody said under which address the workspace is served, the first request does."""
    server = request.app[SERVER]
    if not server.base_url:
        server.base_url = f"{request.scheme}://{request.host}"
    return await handler(request)


async def _start(app: web.Application) -> None:
    await app[SERVER].start()


async def _close(app: web.Application) -> None:
    await app[SERVER].close()
