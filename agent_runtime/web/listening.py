"""Addresses of the server: bound before anything else is done, listened on once all is ready."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web

from agent_runtime.errors import InvalidSetting


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


async def listen(runner: web.AppRunner, sockets: Sequence[socket.socket], host: str) -> str:
    """Serves on what `bind` gave for `host`; returns the URL from here. Raises InvalidSetting."""
    for one in sockets:
        try:
            await web.SockSite(runner, one).start()
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
