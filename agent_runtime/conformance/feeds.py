"""Floods of those who wait: long polls, event streams and open pages; whoever was let in hears of the decision."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent_runtime.conformance.answering import Answers, Request, ask
from agent_runtime.conformance.bodies import ASKING, JSON
from agent_runtime.conformance.doors import Shown
from agent_runtime.conformance.figures import Finding
from agent_runtime.store.approvals import GET_APPROVAL

if TYPE_CHECKING:
    from agent_runtime.conformance.flooded import Target

APPROVALS = 4
"""What all of them wait for."""

PATIENCE = 60
"""Seconds that a long poll waits at most (LONGEST_WAIT of the API)."""

OPENED_AT_ONCE = 100
SETTLED = 0.3
"""Seconds between the last one and the decisions, so that all wait then."""

TOLD_WITHIN = 10.0
"""Seconds after the decisions within which the last one has heard of them."""


@dataclass
class Heard:
    """What came of those who wait: how many were let in, and when they were told."""

    statuses: Counter[int] = field(default_factory=Counter)
    told_at: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


async def feeds(target: Target, waiting: int, pages: int) -> Finding:
    """So many long polls and event streams (a third of them), and so many pages; then the decisions."""
    began = time.monotonic()
    approvals = await target.ask_for(f"awaited-{time.monotonic_ns()}", APPROVALS)
    paths = [*await _paths(target, approvals, waiting), *["/feed"] * pages]
    heard, honest = Heard(), Answers()
    opening = asyncio.Semaphore(OPENED_AT_ONCE)
    listening = [asyncio.create_task(_listen(target, path, opening, heard)) for path in paths]
    await _opened(listening, opening)
    decided_at = time.monotonic()
    for shown in approvals:
        body = json.dumps({"decision": "approved", "digest": shown.digest}).encode()
        decision = Request("a decision amid them", f"{ASKING}/{shown.approval_request_id}/decision", body, JSON)
        await ask(target.wire, decision, honest, expected={200})
    _, left = await asyncio.wait(listening, timeout=TOLD_WITHIN)
    for one in left:
        one.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    unheard = [f"{len(left)} heard nothing for {TOLD_WITHIN:g} s after the decisions"] if left else []
    return Finding(
        "P14",
        "long polls, event streams and pages that wait",
        {
            "opened": len(paths),
            "answered": " ".join(f"{status}:{n}" for status, n in sorted(heard.statuses.items())),
            "let in and not told": len(left),
            "s until the last was told": round(max(heard.told_at, default=decided_at) - decided_at, 2),
            "decisions meanwhile": len(honest.seconds),
            "s at most": round(honest.slowest, 2),
        },
        (*unheard, *heard.wrong, *honest.violations),
        time.monotonic() - began,
    )


async def _paths(target: Target, approvals: Sequence[Shown], waiting: int) -> Sequence[str]:
    paths: list[str] = []
    for shown in approvals:
        approval = await target.database.one(GET_APPROVAL, b_id=shown.approval_request_id)
        assert approval is not None
        polled = f"{ASKING}/{shown.approval_request_id}?wait={PATIENCE}"
        streamed = f"/api/v1/executions/{approval.execution_id}/events"
        paths += [polled, polled, streamed]
    return [paths[number % len(paths)] for number in range(waiting)]


async def _opened(listening: Sequence[asyncio.Task[None]], opening: asyncio.Semaphore) -> None:
    """Until all have sent their requests, and what is refused has been."""
    await asyncio.sleep(0)
    for _ in range(OPENED_AT_ONCE):
        await opening.acquire()
    await asyncio.sleep(SETTLED)


async def _listen(target: Target, path: str, opening: asyncio.Semaphore, heard: Heard) -> None:
    """One that waits: it is refused at once, or told what it waits for."""
    at = urlsplit(target.url)
    async with opening:
        try:
            reader, writer = await asyncio.open_connection(at.hostname, at.port)
        except OSError as error:
            heard.wrong.append(f"{path}: {type(error).__name__}")
            return
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode())
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        heard.statuses[status] += 1
        if status == 503 and b"retry-after: " not in head:
            heard.wrong.append(f"{path}: refused without saying when to come again")
        elif status == 200:
            await _until_said(reader, *((b"event: changed", 2) if path == "/feed" else (b"approved", 1)))
            heard.told_at.append(time.monotonic())
        elif status != 503:
            heard.wrong.append(f"{path}: answered {status}")
    except (OSError, EOFError) as error:
        heard.wrong.append(f"{path}: {type(error).__name__} before it was told")
    finally:
        writer.close()


async def _until_said(reader: asyncio.StreamReader, wanted: bytes, times: int) -> None:
    """Raises EOFError where it ends before."""
    said = b""
    while said.count(wanted) < times:
        more = await reader.read(65536)
        if not more:
            raise EOFError
        said += more
