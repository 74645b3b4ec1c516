"""Socket Mode: WebSockets that the app opens, envelopes down, acks up.

Source: docs.slack.dev/apis/events-api/using-socket-mode and slack_sdk's clients. Up to ten connections; each
envelope goes down one of them; `disconnect` frames announce the end of one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import uuid
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from bot.sandbox.config import SandboxConfig
from bot.sandbox.delivery.outgoing import Ack, Outgoing
from bot.sandbox.faults import Faults

MAX_CONNECTIONS = 10
TICKET_SECONDS = 30.0
WARNING_SECONDS = 10.0  # "warning: the connection will be closed in about 10 seconds"

log = logging.getLogger(__name__)


class Connection:
    """One WebSocket of the app's. `accepts` is False once a disconnect frame has gone down it."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self._request = request
        self.accepts = True

    def cut(self) -> None:
        """Ends the TCP connection without a closing handshake."""
        if self._request.transport is not None:
            self._request.transport.abort()


class SocketMode:
    """The connections and the envelopes that wait for their ack.

    Args:
        faults: gives the faults that are on.
        changed: called when the number of connections changes.
    """

    def __init__(
        self,
        config: SandboxConfig,
        *,
        now: Callable[[], float],
        faults: Callable[[], Faults],
        changed: Callable[[], None],
    ) -> None:
        self._config = config
        self._now = now
        self._faults = faults
        self._changed = changed
        self._tickets: dict[str, float] = {}
        self._connections: list[Connection] = []
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._turn = 0
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    def open_url(self, base_url: str) -> str:
        """A URL to connect to within 30 s, as `apps.connections.open` answers it."""
        now = self._now()
        self._tickets = {ticket: until for ticket, until in self._tickets.items() if until > now}
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = now + TICKET_SECONDS
        socket_base = "ws" + base_url.removeprefix("http")
        return f"{socket_base}/link/?ticket={ticket}&app_id={self._config.app_id}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket endpoint."""
        if self._tickets.get(request.query.get("ticket", ""), 0) <= self._now():
            return web.json_response({"ok": False, "error": "invalid_ticket"}, status=401)
        socket = web.WebSocketResponse(heartbeat=30)
        try:
            await socket.prepare(request)
        except ConnectionError:
            log.info("a Socket Mode connection was lost before it was open")
            return socket
        connection = Connection(socket, request)
        if len(self._connections) >= MAX_CONNECTIONS:
            await socket.send_json(self._disconnect_frame("too_many_websockets"))
            await socket.close()
            return socket
        self._connections.append(connection)
        self._changed()
        try:
            await socket.send_json(self._hello(request))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._take(message.data)
        except ConnectionError:
            log.info("a Socket Mode connection was lost")
        finally:
            self._connections.remove(connection)
            self._changed()
        return socket

    async def deliver(self, outgoing: Outgoing) -> Ack:
        connection = self._next_connection()
        if connection is None:
            return Ack(False, reason="connection_failed")
        envelope_id = str(uuid.uuid4())
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = answer
        try:
            async with asyncio.timeout(self._config.ack_seconds):
                await connection.socket.send_json(_envelope(outgoing, envelope_id))
                payload = await answer
                await asyncio.sleep(self._faults().delay_acks)
        except TimeoutError:
            return Ack(False, reason="http_timeout")
        except ConnectionError:
            return Ack(False, reason="connection_failed")
        finally:
            del self._waiting[envelope_id]
        return Ack(True, payload)

    def drop(self) -> None:
        """Cuts every connection."""
        for connection in self._connections:
            connection.cut()

    async def disconnect(self, reason: str) -> None:
        """Sends a `disconnect` frame down every connection, and closes those that the app leaves open.

        After a `warning` a connection still gets envelopes until it is closed; after others it gets none."""
        for connection in [c for c in self._connections if not c.socket.closed]:
            connection.accepts = reason == "warning"
            await connection.socket.send_json(self._disconnect_frame(reason))
            task = asyncio.create_task(self._close_later(connection))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        for connection in list(self._connections):
            await connection.socket.close(code=1001)

    async def _close_later(self, connection: Connection) -> None:
        await asyncio.sleep(WARNING_SECONDS * self._config.time_scale)
        await connection.socket.close()

    def _next_connection(self) -> Connection | None:
        """Slack promises no order among connections; here each has its turn."""
        usable = [c for c in self._connections if c.accepts and not c.socket.closed]
        if not usable:
            return None
        self._turn += 1
        return usable[self._turn % len(usable)]

    def _take(self, data: str) -> None:
        try:
            frame = json.loads(data)
        except (ValueError, RecursionError):
            log.warning("the app sent a frame that is not JSON")
            return
        envelope_id = frame.get("envelope_id") if isinstance(frame, dict) else None
        answer = self._waiting.get(envelope_id) if isinstance(envelope_id, str) else None
        if answer is None or answer.done():
            log.warning("the app acknowledged an envelope that waits for no ack (any more)")
            return
        answer.set_result(frame.get("payload"))

    def _hello(self, request: web.Request) -> dict[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self._connections),
            "debug_info": {"host": request.host, "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._config.app_id},
        }

    def _disconnect_frame(self, reason: str) -> dict[str, Any]:
        return {"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}}


def _envelope(outgoing: Outgoing, envelope_id: str) -> dict[str, Any]:
    envelope = {
        "envelope_id": envelope_id,
        "type": outgoing.kind,
        "payload": outgoing.payload,
        "accepts_response_payload": outgoing.kind != "events_api",
    }
    if outgoing.kind == "events_api":
        envelope |= {"retry_attempt": outgoing.retry_num, "retry_reason": outgoing.retry_reason}
    return envelope
