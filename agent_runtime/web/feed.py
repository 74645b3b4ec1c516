"""Tells open pages at once that what they show has changed: server-sent events."""

from __future__ import annotations

import asyncio
import hashlib
import json
from traceback import format_exc

import structlog
from aiohttp import web

from agent_runtime.errors import CountersignError
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.approvals import DECIDED_VERSIONS, PENDING_VERSIONS
from agent_runtime.store.database import Database
from agent_runtime.web.authentication import Identity
from agent_runtime.web.endpoint import Endpoint, nothing
from agent_runtime.web.events import HEARTBEAT
from agent_runtime.web.waiting import WAITING, wait_until

log = structlog.get_logger(__name__)

LASTS = 300.0
"""Seconds after which a page is asked to open its feed again, so that it is looked at anew who it is."""

SHOWN = 50
"""Waiting approvals on a page, and as many waiting executions; the API lists the rest."""

RECENT = 20
"""Approvals on a page that were decided last."""


async def mark(database: Database) -> tuple[str, int]:
    """What changes whenever the page would, and how many approvals wait (at most one more than are shown)."""
    waiting = await database.all(PENDING_VERSIONS, b_limit=SHOWN + 1)
    decided = await database.all(DECIDED_VERSIONS, b_limit=RECENT)
    text = json.dumps([[*map(tuple, waiting)], [*map(tuple, decided)]])
    return hashlib.sha256(text.encode()).hexdigest()[:16], len(waiting)


class Looks:
    """Looks for all pages at once: whoever asks while one is under way shares the next, which sees all that was there
    when they asked.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._under_way: asyncio.Task[tuple[str, int]] | None = None
        self._next: asyncio.Task[tuple[str, int]] | None = None

    async def mark(self) -> tuple[str, int]:
        """See `mark`."""
        if self._next is None:
            self._next = asyncio.create_task(self._look(self._under_way), name="countersign-feed")
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._next)

    async def _look(self, before: asyncio.Task[tuple[str, int]] | None) -> tuple[str, int]:
        if before is not None:
            await asyncio.wait([before])
        self._under_way, self._next = self._next, None
        return await mark(self._database)


LOOKS = web.AppKey("looks", Looks)


async def feed(request: web.Request, identity: Identity, _: None) -> web.StreamResponse:
    """`changed`, with how many wait, at the start and whenever an approval is asked, moves or ends."""
    with request.app[WAITING].page(identity.actor.principal):
        return await _feed(request)


async def _feed(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    told, quiet_since = "", asyncio.get_running_loop().time()

    async def tell() -> bool:
        nonlocal told, quiet_since
        now, waiting = await request.app[LOOKS].mark()
        if now != told:
            data = json.dumps({"mark": now, "waiting": waiting})
            await response.write(f"event: changed\ndata: {data}\n\n".encode())
        elif asyncio.get_running_loop().time() - quiet_since >= HEARTBEAT:
            await response.write(b": still here\n\n")
        else:
            return False
        told, quiet_since = now, asyncio.get_running_loop().time()
        return False

    try:
        await wait_until(request, "approvals", tell, seconds=LASTS, counted=True)
        await response.write(b"event: again\ndata:\n\n")
        await response.write_eof()
    except ConnectionError:
        log.debug("feed: the page is gone")
    except CountersignError as error:
        # The status line is long sent; the page tries again by itself.
        log.warning("feed broken off", reason=error.message)
        await response.write_eof()
    except Exception:  # noqa: BLE001 - logged, and the stream is broken off: the page opens another one
        log.error("feed failed", traceback=format_exc())
        if request.transport is not None:
            request.transport.abort()
    return response


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/feed",
        summary="Server-sent events: `changed` whenever an approval is asked, moves or ends",
        find=nothing,
        scope=Scope.read,
        answer=feed,
        answers={200: "text/event-stream"},
        refusals=(403, 503),
    ),
)
