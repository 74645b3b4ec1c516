"""Requests that wait: woken by commits, looking at the database at least every second, ended with the server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress

from aiohttp import web

from agent_runtime.errors import Overloaded
from agent_runtime.store.wakes import EVERYTHING
from agent_runtime.web.authentication import DATABASE

LOOK_EVERY = 1.0
"""Seconds between looks where nothing was announced: the truth, as announcements may be lost."""

WAITING_AT_MOST = 1_000
"""Requests of programs that may wait here at once, so that a flood of them stays cheap."""

PAGES_AT_MOST, PAGES_OF_ONE = 1_000, 100
"""Open pages in all, and of one principal. They are counted apart: programs that wait keep no person's page from
hearing what changes.
"""


class Waiting:
    """How many requests wait, and whether they are to stop."""

    def __init__(self) -> None:
        self.count = 0
        self.pages: Counter[str] = Counter()
        """By principal."""
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

    @contextmanager
    def page(self, principal: str) -> Iterator[None]:
        """Counts one open page. Raises Overloaded."""
        if self.pages.total() >= PAGES_AT_MOST or self.pages[principal] >= PAGES_OF_ONE:
            raise Overloaded("too many pages are open here; this one is not told what changes, and can be reloaded")
        self.pages[principal] += 1
        try:
            yield
        finally:
            self.pages[principal] -= 1
            self.pages += Counter()  # forgets who has none


WAITING = web.AppKey("waiting", Waiting)


async def wait_until(
    request: web.Request,
    topic: str,
    look: Callable[[], Awaitable[bool]],
    *,
    seconds: float | None,
    counted: bool = False,
) -> None:
    """Calls `look` now, whenever `topic` is announced and every second, until it returns True.

    Ends early once `seconds` have passed (None: no limit), the client is gone or the server stops. Raises Overloaded,
    unless it is `counted` already.
    """
    waiting = request.app[WAITING]
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    room = nullcontext() if counted else waiting.admitted()
    with room, request.app[DATABASE].wakes.listen(topic) as woken:
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
