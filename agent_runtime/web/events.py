"""The audit trail: an execution's as server-sent events, an approval's as a list."""

from __future__ import annotations

import asyncio
import re
from traceback import format_exc
from typing import Any

import structlog
from aiohttp import web

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.execution import TERMINAL, Execution
from agent_runtime.errors import CountersignError, InvalidRequest
from agent_runtime.operations.tokens import Scope
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_APPROVAL, EVENTS_OF_STREAM
from agent_runtime.store.executions import STANDING
from agent_runtime.web import find
from agent_runtime.web.answers import EventAnswer, EventPage
from agent_runtime.web.authentication import DATABASE, Identity, identify
from agent_runtime.web.endpoint import Endpoint, answered
from agent_runtime.web.problems import problem_of
from agent_runtime.web.queries import Cursor, Page, cursor_of, query_of
from agent_runtime.web.views import event_answers
from agent_runtime.web.waiting import WAITING, is_gone, wait_until

log = structlog.get_logger(__name__)

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the connection."""

LOOKED_AT_AGAIN = 60.0
"""Seconds after which it is looked at anew who listens: a token that was revoked meanwhile hears no more."""

_BATCH = 200
_SEQUENCE = re.compile(r"\d{1,15}", re.ASCII)


async def stream(request: web.Request, identity: Identity, execution: Execution) -> web.StreamResponse:
    """Every event so far, then each as it is recorded (HTML standard, 9.2); ends when the execution has ended.

    A client that reconnects after the last event gets 204, which tells it to stop.
    """
    last = _last_event_id(request)
    if execution.terminal and not await _events(request.app[DATABASE], execution.execution_id, last):
        return web.Response(status=204)
    with request.app[WAITING].admitted():  # once the status line is sent, a refusal could not be told as one
        return await _stream(request, execution, last)


async def _stream(request: web.Request, execution: Execution, last: int) -> web.StreamResponse:
    database = request.app[DATABASE]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    quiet_since = known_since = asyncio.get_running_loop().time()

    async def send_new() -> bool:
        nonlocal last, quiet_since, known_since
        if asyncio.get_running_loop().time() - known_since >= LOOKED_AT_AGAIN and not is_gone(request):
            (await identify(request)).require(Scope.read)
            known_since = asyncio.get_running_loop().time()
        now = await database.one(STANDING, b_id=execution.execution_id)
        more = True
        while more and (rows := await _events(database, execution.execution_id, last)):
            shown = await event_answers(database, rows)
            await response.write("".join(map(_message, shown)).encode())
            last, quiet_since = rows[-1].seq, asyncio.get_running_loop().time()
            more = len(rows) == _BATCH
        if asyncio.get_running_loop().time() - quiet_since >= HEARTBEAT:
            await response.write(b": still here\n\n")
            quiet_since = asyncio.get_running_loop().time()
        return now is not None and now.status in TERMINAL

    try:
        await wait_until(request, f"execution:{execution.execution_id}", send_new, seconds=None, counted=True)
        await response.write_eof()
    except ConnectionError:
        log.debug("event stream: the client is gone", execution_id=execution.execution_id)
    except CountersignError as error:
        # The status line is long sent; a last event says that this is no end of the execution.
        log.warning("event stream broken off", execution_id=execution.execution_id, reason=error.message)
        await response.write(f"event: problem\ndata: {problem_of(error, request).text}\n\n".encode())
        await response.write_eof()
    except Exception:  # noqa: BLE001 - logged, and the stream is broken off
        log.error("event stream failed", execution_id=execution.execution_id, traceback=format_exc())
        if request.transport is not None:
            request.transport.abort()  # an end that no client takes for the end of the execution
    return response


def _message(event: EventAnswer) -> str:
    return f"id: {event.seq}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"


async def _events(database: Database, execution_id: str, after: int) -> list[Any]:
    return await database.all(EVENTS_OF_STREAM, b_stream=execution_id, b_after=after, b_limit=_BATCH)


def _last_event_id(request: web.Request) -> int:
    given = request.headers.getall("Last-Event-ID", [])
    if not given or given == [""]:
        return 0
    if len(given) > 1 or not _SEQUENCE.fullmatch(given[0]):
        raise InvalidRequest("Last-Event-ID: must be the id of an event of this stream, a number")
    return int(given[0])


async def of_approval(request: web.Request, identity: Identity, approval: ApprovalRequest) -> web.StreamResponse:
    database = request.app[DATABASE]
    query = query_of(request, Page)
    order = f"events:{approval.approval_request_id}"
    after = cursor_of(query.cursor, order).at if query.cursor is not None else 0
    rows = await database.all(
        EVENTS_OF_APPROVAL, b_approval=approval.approval_request_id, b_after=after, b_limit=query.limit + 1
    )
    more = len(rows) > query.limit
    page = EventPage(
        items=await event_answers(database, rows[: query.limit]),
        next_cursor=Cursor(order, rows[query.limit - 1].event_id, "").encoded() if more else None,
    )
    return answered(page)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/executions/{execution_id}/events",
        summary="The execution's events as they happen; ends with the execution",
        find=find.execution,
        scope=Scope.read,
        answer=stream,
        headers={"Last-Event-ID": "goes on after this event"},
        answers={200: "text/event-stream", 204: ""},
        refusals=(403, 404, 422, 503),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/approvals/{approval_request_id}/events",
        summary="What happened to an approval: when, who, through which door, and why; oldest first",
        find=find.approval,
        scope=Scope.read,
        answer=of_approval,
        query=Page,
        answers={200: EventPage},
        refusals=(403, 404, 422),
    ),
)
