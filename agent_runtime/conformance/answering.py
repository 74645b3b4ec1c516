"""Requests of a flood, and how each was answered."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agent_runtime.conformance.figures import percentile

IN_TIME = 3.0
"""Seconds in which Slack wants an answer, and in which people should have one."""

GIVEN_UP = 10.0
"""Seconds after which a request counts as not answered at all."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `name` tells it from others."""

    name: str
    path: str
    body: bytes
    headers: dict[str, str]
    method: str = "POST"


@dataclass
class Answers:
    """How the requests of one flood were answered: by status, how fast, and what was wrong."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    """Names of those that were answered 200."""
    violations: list[str] = field(default_factory=list)

    @property
    def slowest(self) -> float:
        return max(self.seconds, default=0.0)

    def figures(self) -> dict[str, int | float | str]:
        """As a finding shows them."""
        return {
            "sent": sum(self.statuses.values()),
            "answered": " ".join(f"{status}:{n}" for status, n in sorted(self.statuses.items())),
            "s at the 99th percentile": round(percentile(self.seconds, 0.99), 2),
            "s at most": round(self.slowest, 2),
        }


class Wire:
    """Connections to one server, kept and used again; as many as requests are under way. Much cheaper than a client
    library, so that what is measured is the server.
    """

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self._host, self._port = str(at.hostname), int(at.port or 80)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, request: Request) -> tuple[int, bytes]:
        """The status of the answer, and its head. Raises OSError or EOFError where there is none."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        head = "\r\n".join([*lines, f"Content-Length: {len(request.body)}", "", ""]).encode()
        try:
            writer.write(head + request.body)
            told = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = _LENGTH.search(told)
            await (reader.readexactly(int(length[1])) if length is not None else reader.read())
        except BaseException:
            writer.close()
            raise
        if length is None or b"connection: close" in told:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(told.split(b" ", 2)[1]), told

    def close(self) -> None:
        """Closes what is idle."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


_LENGTH = re.compile(rb"content-length: (\d+)")


async def ask(wire: Wire, request: Request, answers: Answers, *, expected: Iterable[int]) -> int:
    """One request, and what is wrong with its answer; returns the status, 0 where there was none."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(GIVEN_UP):
            status, told = await wire.send(request)
    except (OSError, EOFError, TimeoutError) as error:
        answers.statuses[0] += 1
        answers.violations.append(f"{request.name}: {type(error).__name__} after {time.monotonic() - began:.1f} s")
        return 0
    took = time.monotonic() - began
    answers.statuses[status] += 1
    answers.seconds.append(took)
    if took > IN_TIME:
        answers.violations.append(f"{request.name}: answered {status} after {took:.1f} s")
    if status not in expected:
        answers.violations.append(f"{request.name}: answered {status}")
    if status == 503 and b"retry-after: " not in told:
        answers.violations.append(f"{request.name}: refused without saying when to come again")
    if status == 200:
        answers.acknowledged.append(request.name)
    return status


async def at_rate(
    requests: Iterable[Request], send: Callable[[Request], Awaitable[object]], each_second: float
) -> None:
    """Sends them at that rate, whether the ones before are answered or not; returns when all are."""
    began = time.monotonic()
    sending: set[asyncio.Task[object]] = set()
    for number, request in enumerate(requests):
        if (ahead := began + number / each_second - time.monotonic()) > 0:
            await asyncio.sleep(ahead)
        task: asyncio.Task[object] = asyncio.ensure_future(send(request))
        sending.add(task)
        task.add_done_callback(sending.discard)
        if number % 50 == 49:
            await asyncio.sleep(0)
    await asyncio.gather(*sending)
