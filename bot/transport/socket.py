"""Socket Mode (docs.slack.dev/apis/events-api/using-socket-mode): WebSockets that we open, envelopes in, acks out.

Several connections, each replaced before it is cut: an envelope that gets lost with its connection may be a click, and
Slack sends clicks once.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import structlog

from bot.slack.client import SlackAway, SlackClient, SlackRefused
from bot.transport.admission import Admission, Full

log = structlog.get_logger(__name__)

HEARTBEAT = 10.0
"""Seconds between pings; a connection that does not answer is given up and replaced."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
SETTLED = 10.0
"""Seconds that a connection must have lived to count as good; others are replaced after a growing pause."""

DRAIN_SECONDS = 3.0

Envelope = Mapping[str, Any]
Answer = tuple[bool, Any]
"""Whether the envelope is to be acknowledged, and the payload of the ack (None: none)."""


class SocketMode:
    """Keeps `connections` open while `run` runs. `receive` handles one envelope that `admission` takes."""

    def __init__(
        self,
        client: SlackClient,
        receive: Callable[[Envelope], Awaitable[Answer]],
        connections: int,
        admission: Admission,
    ) -> None:
        self._client = client
        self._receive = receive
        self._wanted = connections
        self._admission = admission
        self._open: list[aiohttp.ClientWebSocketResponse] = []
        self._readers: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[None]] = set()
        self._slots: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self._warned_of = 0
        self.problem = ""

    @property
    def connected(self) -> int:
        """Connections that are open."""
        return sum(not socket.closed for socket in self._open)

    async def start(self) -> None:
        """Opens the connections in the background, and keeps them open."""
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._slots = [
            asyncio.create_task(self._keep_open(), name=f"countersign-socket-{slot}") for slot in range(self._wanted)
        ]

    async def stop(self) -> None:
        """Lets what has arrived finish (DRAIN_SECONDS at most), then closes."""
        for slot in self._slots:
            slot.cancel()
        await asyncio.gather(*self._slots, return_exceptions=True)
        if self._handling:
            await asyncio.wait(self._handling, timeout=DRAIN_SECONDS)
        await asyncio.gather(*(socket.close() for socket in list(self._open)), return_exceptions=True)
        remaining = [*self._readers, *self._handling]
        for task in remaining:
            task.cancel()
        await asyncio.gather(*remaining, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _keep_open(self) -> None:
        """One connection after the other; the next one is opened before Slack cuts the last."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            try:
                socket = await self._connect()
            except (SlackRefused, SlackAway, aiohttp.ClientError, TimeoutError, OSError) as error:
                failures += 1
                self.problem = str(error) or type(error).__name__
                log.warning("slack: cannot open a Socket Mode connection", reason=self.problem, failures=failures)
                await asyncio.sleep(_pause(failures))
                continue
            opened_at = loop.time()
            await self._until_over(socket)
            if loop.time() - opened_at >= SETTLED:
                failures = 0
            else:
                failures += 1
                await asyncio.sleep(_pause(failures))

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        assert self._session is not None
        return await self._session.ws_connect(
            await self._client.connection_url(),
            heartbeat=HEARTBEAT,
            proxy=self._client.proxy,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
        )

    async def _until_over(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Reads until Slack announces the end of the connection, or it ends; what still comes is read on meanwhile."""
        announced = asyncio.Event()
        self._open.append(socket)
        reader = asyncio.create_task(self._read(socket, announced), name="countersign-socket-reader")
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        waiting = asyncio.create_task(announced.wait())
        try:
            await asyncio.wait({reader, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse, announced: asyncio.Event) -> None:
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT and isinstance(frame := json.loads(message.data), dict):
                    self._take(socket, frame, announced)
        except (aiohttp.ClientError, ValueError, OSError) as error:
            log.warning("slack: a Socket Mode connection failed", reason=str(error) or type(error).__name__)
        finally:
            self._open.remove(socket)
            await socket.close()

    def _take(self, socket: aiohttp.ClientWebSocketResponse, frame: Envelope, announced: asyncio.Event) -> None:
        kind = frame.get("type")
        if kind == "hello":
            self._hello(frame)
        elif kind == "disconnect":
            reason = str(frame.get("reason", ""))
            if reason == "link_disabled":
                self.problem = "Socket Mode is turned off in the app's settings"
            log.info("slack: a Socket Mode connection is about to end", reason=reason)
            announced.set()
        elif "envelope_id" in frame:
            self._handle(socket, frame)

    def _hello(self, frame: Envelope) -> None:
        self.problem = ""
        count = int(frame.get("num_connections") or 0)
        if count > self._wanted and count != self._warned_of:
            self._warned_of = count
            log.warning(
                "slack: another process is connected as this app; each delivery goes to one of them",
                all=count,
                ours=self._wanted,
            )

    def _handle(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> None:
        """What is not taken is not acknowledged: Slack brings an event again, and tells whoever clicked."""
        try:
            leave = self._admission.take(
                envelope.get("payload") or {},
                event=envelope.get("type") == "events_api",
                again=bool(envelope.get("retry_attempt")),
            )
        except Full:
            return
        task = asyncio.create_task(self._answer(socket, envelope), name="countersign-envelope")
        self._handling.add(task)
        task.add_done_callback(lambda _: leave())
        task.add_done_callback(self._handled)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("slack: a delivery failed", exc_info=error)

    async def _answer(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> None:
        acknowledged, payload = await self._receive(envelope)
        if not acknowledged:
            return
        ack = {"envelope_id": envelope["envelope_id"]}
        if payload is not None:
            ack["payload"] = payload
        # Slack takes an ack on any of the app's connections.
        for candidate in (socket, *self._open):
            if candidate.closed:
                continue
            try:
                await candidate.send_json(ack)
            except (aiohttp.ClientError, OSError) as error:
                log.warning("slack: an ack could not be sent", reason=str(error) or type(error).__name__)
                continue
            return


def _pause(failures: int) -> float:
    """Seconds to wait: doubling, bounded, spread so that processes do not come back all at once."""
    longest: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311
