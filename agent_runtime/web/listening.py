"""Addresses of the server: bound before anything else is done, listened on once all is ready."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from aiohttp import web

from agent_runtime.errors import InvalidSetting
from agent_runtime.web.connections import BACKLOG, CONNECTIONS, KEPT_ALIVE
from agent_runtime.web.unreadable import Handler, ServerLog


async def bind(host: str, port: int, *, auto_port: bool = False) -> list[socket.socket]:
    """Sockets on `host` and `port` (0: any free one) that answer nobody yet: a connection is refused until `listen`.

    `auto_port`: where the port is taken, any free one. Raises InvalidSetting naming the setting and the remedy.
    """
    try:
        bound = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
    except OSError as error:
        if auto_port and port and error.errno == errno.EADDRINUSE:
            return await bind(host, 0)
        raise _refused(error, host, port) from error
    sockets = [one.dup() for one in bound.sockets]
    bound.close()
    return sockets


@contextmanager
def closed_at_the_end(sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Lets go of the addresses at last, whatever comes between."""
    try:
        yield
    finally:
        for one in sockets:
            one.close()


def runner_of(app: web.Application) -> web.AppRunner:
    """What serves an application of `create_app`; to be set up, and cleaned up at the end."""
    return web.AppRunner(app, shutdown_timeout=5)


class _Site(web.BaseSite):
    """A bound socket, with as many connections as the application wants."""

    def __init__(self, runner: web.AppRunner, bound: socket.socket) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._bound = bound
        server = _server_of(runner)
        self._accept = partial(runner.app[CONNECTIONS].accept, server, partial(_handler, server))

    @property
    def name(self) -> str:
        return "http://{}:{}".format(*self._bound.getsockname()[:2])

    async def start(self) -> None:
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=self._bound, backlog=self._backlog)


def _handler(server: web.Server) -> web.RequestHandler:
    """What serves one connection."""
    options: dict[str, Any] = {"access_log": None, "logger": ServerLog(), "keepalive_timeout": KEPT_ALIVE}
    return Handler(server, loop=asyncio.get_running_loop(), **options)


def _server_of(runner: web.AppRunner) -> web.Server:
    assert runner.server is not None, "set up before"
    return runner.server


async def listen(runner: web.AppRunner, sockets: Sequence[socket.socket], host: str) -> str:
    """Serves on what `bind` gave for `host`; returns the URL from here. Raises InvalidSetting."""
    for one in sockets:
        try:
            await _Site(runner, one).start()
        except OSError as error:  # another process was as quick, and listens already
            raise _refused(error, host, one.getsockname()[1]) from error
    shown = _FROM_HERE.get(host, host)
    bound = runner.addresses[0][1]
    return f"http://[{shown}]:{bound}" if ":" in shown else f"http://{shown}:{bound}"


_FROM_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - the way to a server that listens everywhere


def _refused(error: OSError, host: str, port: int) -> InvalidSetting:
    if error.errno != errno.EADDRINUSE:
        return InvalidSetting(f"COUNTERSIGN_HOST: cannot listen on {host}: {error.strerror}")
    return InvalidSetting(f"COUNTERSIGN_PORT: {port} on {host} is in use; choose another, or 0 for any free one")
