"""How many connections a server holds: past a limit the longest at rest gives way, or a newcomer is refused.

Without a limit, sockets that are opened and left silent would use up the descriptors that the database needs too.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

log = structlog.get_logger(__name__)

AT_MOST = 4_096
"""Connections of one server. One that rests takes about 15 KB, one whose body is on its way 400 KB at most."""

KEPT_ALIVE = 75.0
"""Seconds that a connection may rest, or take for a request's headers: longer than usual proxies keep theirs (60)."""

BACKLOG = 1_024
"""Connections that the system keeps until they are taken."""

_FILES_WANTED = 65_536
_FILES_OF_OTHERS = 256
"""Descriptors that are left for the database, Slack and the agents' own."""

SAID_EVERY = 10.0
"""Seconds between lines in the log about newcomers that were refused."""

_WORDS = b"too many connections; try again in a moment\n"
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_WORDS), _WORDS)
)
_REFUSED_AT_ONCE = 100
_SECONDS_TO_READ_IT = 1.0


class Connections:
    """The open connections of one server. `refused` and `dropped` count since the start."""

    def __init__(self, at_most: int = AT_MOST) -> None:
        self.at_most = at_most
        self.refused = 0
        self.dropped = 0
        self._resting: OrderedDict[web.RequestHandler, None] = OrderedDict()
        self._refusing: set[_Refusal] = set()
        self._said_at = -SAID_EVERY

    def accept(self, server: web.Server, make: Callable[[], web.RequestHandler]) -> asyncio.Protocol:
        """What serves a connection that was just made: what `make` makes for `server`, or a refusal."""
        is_open = server.connections
        if len(is_open) >= self.at_most and not self._drop_longest_resting():
            self.refused += 1
            self._say()
            return _Refusal(self._refusing)
        if len(self._resting) > 2 * len(is_open) + 64:  # most of them are closed
            alive = set(is_open)
            self._resting = OrderedDict.fromkeys(one for one in self._resting if one in alive)
        handler = make()
        self._resting[handler] = None
        return handler

    def begins(self, request: web.Request) -> bool:
        """The connection of `request` is busy; whether it was accepted here and is to be given to `ends`."""
        if request.protocol not in self._resting:
            return False
        del self._resting[request.protocol]
        return True

    def ends(self, request: web.Request) -> None:
        """It rests again."""
        if request.transport is not None:
            self._resting[request.protocol] = None

    def _drop_longest_resting(self) -> bool:
        while self._resting:
            handler, _ = self._resting.popitem(last=False)
            if handler.transport is not None:
                handler.force_close()
                self.dropped += 1
                self._say()
                return True
        return False

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said_at >= SAID_EVERY:
            self._said_at = now
            log.error("too many connections", at_most=self.at_most, refused=self.refused, dropped=self.dropped)


CONNECTIONS = web.AppKey("connections", Connections)


@web.middleware
async def connections(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Knows which connections are busy."""
    known = request.app[CONNECTIONS]
    ours = known.begins(request)
    try:
        return await handler(request)
    finally:
        if ours:
            known.ends(request)


def as_many_as_files_allow() -> int:
    """How many connections this process can hold beside its other files; raises its own limit of these before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, _FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return AT_MOST
    return max(1, min(AT_MOST, soft - _FILES_OF_OTHERS))


class _Refusal(asyncio.Protocol):
    """Says so, whatever is asked, and closes once that can have been read."""

    def __init__(self, all_of_them: set[_Refusal]) -> None:
        self._all = all_of_them

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_REFUSAL)
        if len(self._all) >= _REFUSED_AT_ONCE:
            transport.close()
            return
        self._all.add(self)
        transport.write_eof()
        asyncio.get_running_loop().call_later(_SECONDS_TO_READ_IT, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
