"""Requests that wait: woken by commits, looking at the database at least every second, ended with the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from aiohttp import web

from agent_runtime.errors import Overloaded
from agent_runtime.store.wakes import EVERYTHING
from agent_runtime.web.authentication import DATABASE

LOOK_EVERY = 1.0
"""Seconds between looks where nothing was announced: the truth, as announcements may be lost."""

WAITING_AT_MOST = 1_000
"""Requests of this server that may wait at once, so that a flood of them stays cheap."""


class Waiting:
    """How many requests wait, and whether they are to stop."""

    def __init__(self) -> None:
        self.count = 0
        self.stopping = False

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Counts one request. Raises Overloaded where too many wait already."""
        if self.count >= WAITING_AT_MOST:
            raise Overloaded("too many requests are waiting here; try again in a moment, or poll without waiting")
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


WAITING = web.AppKey("waiting", Waiting)


async def wait_until(
    request: web.Request, topic: str, look: Callable[[], Awaitable[bool]], *, seconds: float | None
) -> None:
    """Calls `look` now, whenever `topic` is announced and every second, until it returns True.

    Ends early once `seconds` have passed (None: no limit), the client is gone or the server stops. Raises Overloaded.
    """
    waiting = request.app[WAITING]
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    with waiting.admitted(), request.app[DATABASE].wakes.listen(topic) as woken:
        while True:
            woken.clear()
            if await look():
                return
            left = LOOK_EVERY if end is None else min(LOOK_EVERY, end - loop.time())
            if left <= 0 or waiting.stopping or is_gone(request):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await woken.wait()


def is_gone(request: web.Request) -> bool:
    """Whether the client has closed the connection."""
    return request.transport is None or request.transport.is_closing()


async def stop_waiting(app: web.Application) -> None:
    """Lets every waiting request answer at once; for the application's shutdown."""
    app[WAITING].stopping = True
    app[DATABASE].wakes.announce([EVERYTHING])
