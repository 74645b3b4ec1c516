"""The server: a replica with its HTTP doors, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from agent_runtime.agent import Agent
from agent_runtime.engine.model import preload
from agent_runtime.errors import WrongLoop
from agent_runtime.replica import Replica
from agent_runtime.sdk.logs import keep_quiet
from agent_runtime.settings import Settings, load
from agent_runtime.web.app import check_webhook_secret, create_app
from agent_runtime.web.listening import bind, closed_at_the_end, listen, runner_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up; `url` is where it listens."""

    url: str
    runtime: Replica


@asynccontextmanager
async def running(
    agents: Sequence[Agent],
    *,
    settings: Settings | None = None,
    env_file: str | None = None,
    auto_port: bool = False,
) -> AsyncIterator[Server]:
    """A server for `agents` with everything that is configured; leaves after a graceful shutdown.

    `auto_port`: where the port is taken, any free one.

    Raises InvalidSetting naming the setting and the remedy, SchemaMismatch or StoreUnavailable.
    """
    settings = settings or load(Settings, env_file=env_file)
    check_webhook_secret(settings)
    sockets = await bind(settings.host, settings.port, auto_port=auto_port)  # before anything is done that others see
    with closed_at_the_end(sockets):
        async with _served(agents, sockets, settings, env_file) as server:
            yield server


@asynccontextmanager
async def _served(
    agents: Sequence[Agent], sockets: Sequence[socket.socket], settings: Settings, env_file: str | None
) -> AsyncIterator[Server]:
    async with Replica(settings, env_file=env_file, callbacks=True) as runtime:
        await runtime.deploy(*agents)
        routes = [route for surface in runtime.surfaces for route in surface.routes()]
        app = create_app(
            runtime.database,
            settings,
            defaults=runtime.defaults,
            routes=routes,
            status=runtime.status,
            people=runtime.actor,
            calls=runtime.calls,
            agents=runtime.agents,
        )
        runner = runner_of(app)
        await runner.setup()
        try:
            url = await listen(runner, sockets, settings.host)
            async with _preloaded(bool(agents)):
                yield Server(url, runtime)
        finally:
            await runner.cleanup()


@asynccontextmanager
async def _preloaded(wanted: bool) -> AsyncIterator[None]:
    """The model's client is imported beside whatever happens, so that no first execution holds everything up."""
    loading = asyncio.create_task(asyncio.to_thread(preload)) if wanted else None
    try:
        yield
    finally:
        if loading is not None:
            await asyncio.gather(loading, return_exceptions=True)  # whoever uses it is told what is wrong with it


SETTLED = 5.0
"""Seconds after which what a server has loaded is there to stay: the collector, which takes a tenth of the time else,
need not look at it again.
"""


async def serve(
    agents: Sequence[Agent],
    *,
    settings: Settings | None = None,
    env_file: str | None = None,
    ready: Callable[[Server], None] = lambda server: None,
    stop: asyncio.Event | None = None,
    auto_port: bool = False,
) -> None:
    """Serves until `stop`, in the main thread also until SIGTERM or SIGINT; `ready` is called once it listens."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as restore:
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(signum, stop.set)
                restore.callback(loop.remove_signal_handler, signum)
            restore.callback(loop.call_later(SETTLED, gc.freeze).cancel)
        async with running(agents, settings=settings, env_file=env_file, auto_port=auto_port) as server:
            ready(server)
            await stop.wait()
            log.info("stopping: no new claims; what runs has 30 s to finish, what waits stays waiting")


def run_agents(agents: Sequence[Agent], *, host: str | None, port: int | None, auto_port: bool) -> None:
    """What `Agent.run` does: serves them in this thread, with `.env` in this folder, and says where.

    Raises InvalidSetting, SchemaMismatch or StoreUnavailable, and WrongLoop where an event loop runs in this thread.
    """
    if _runs_a_loop():
        raise WrongLoop("run() would block the event loop of this thread; call it from a thread of its own")
    keep_quiet()
    settings: Settings = load(Settings, env_file=ENV_FILE, host=host, port=port)
    asyncio.run(serve(agents, settings=settings, env_file=ENV_FILE, ready=_announce, auto_port=auto_port))


ENV_FILE = ".env"


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _announce(server: Server) -> None:
    lines = [f"API and dashboard: {server.url}", f"Agents: {', '.join(sorted(server.runtime.agents))}"]
    lines += [f"{surface.name}: {surface.status().get('summary', 'configured')}" for surface in server.runtime.surfaces]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
