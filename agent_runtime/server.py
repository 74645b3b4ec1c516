"""The server: a replica with its HTTP doors, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from aiohttp import web

from agent_runtime.agent import Agent
from agent_runtime.errors import InvalidSetting
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings, load
from agent_runtime.web.app import create_app

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up; `url` is where it listens."""

    url: str
    runtime: Replica


@asynccontextmanager
async def running(
    agents: Sequence[Agent], *, settings: Settings | None = None, env_file: str | None = None
) -> AsyncIterator[Server]:
    """A server for `agents` with everything that is configured; leaves after a graceful shutdown.

    Raises InvalidSetting naming the setting and the remedy, SchemaMismatch or StoreUnavailable.
    """
    settings = settings or load(Settings, env_file=env_file)
    async with Replica(settings, env_file=env_file) as runtime:
        await runtime.deploy(*agents)
        routes = [route for surface in runtime.surfaces for route in surface.routes()]
        app = create_app(runtime.database, settings, routes=routes, status=runtime.status)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
        await runner.setup()
        try:
            yield Server(await _listen(runner, settings), runtime)
        finally:
            await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: Settings) -> str:
    site = web.TCPSite(runner, settings.host, settings.port)
    try:
        await site.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InvalidSetting(
                f"COUNTERSIGN_PORT: {settings.port} on {settings.host} is in use; choose another, or 0 for any free one"
            ) from error
        raise InvalidSetting(f"COUNTERSIGN_HOST: cannot listen on {settings.host}: {error.strerror}") from error
    port = runner.addresses[0][1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{port}"


async def serve(
    agents: Sequence[Agent],
    *,
    settings: Settings | None = None,
    env_file: str | None = None,
    ready: Callable[[Server], None] = lambda server: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serves until SIGTERM, SIGINT or `stop`; `ready` is called once it listens."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as restore:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
            restore.callback(loop.remove_signal_handler, signum)
        async with running(agents, settings=settings, env_file=env_file) as server:
            ready(server)
            await stop.wait()
            log.info("stopping: no new claims; what runs has 30 s to finish, what waits stays waiting")
