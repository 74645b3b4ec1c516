"""Clients that are killed (kill -9) amid their requests: nothing of them is kept, and what they asked stands once."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent_runtime.conformance import clients
from agent_runtime.conformance.answering import Answers, Request, ask
from agent_runtime.conformance.bodies import JSON, STARTING
from agent_runtime.conformance.connections import SLOW_BODY, SLOW_HEADERS
from agent_runtime.conformance.feeds import PATIENCE
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.waiting import until

if TYPE_CHECKING:
    from agent_runtime.conformance.flooded import Target

LET_GO_WITHIN = 10.0
"""Seconds after which a server keeps nothing of a client that is gone; who waits is looked after every second."""

OTHERS = 8
"""Descriptors by which a server may differ from before: connections to its database and its surfaces."""

OTHER_REQUESTS = 20
ASKED_AGAIN_AT_ONCE = 20


async def gone(target: Target, killed: int) -> Finding:
    """So many clients of one process: silent, in their headers or body, waiting, listening, and starting something."""
    began = time.monotonic()
    target.wire.close()
    flood = time.monotonic_ns()
    (shown,) = await target.ask_for(f"left-{flood}", 1)
    before = _descriptors(target)
    keys = [f"asked-{flood}-{number}" for number in range(killed // 7)]
    requests = _requests(shown.approval_request_id, target.people.started[f"left-{flood}-0"], keys, killed)
    await _kill(target, requests)
    died = time.monotonic()
    answers = Answers()
    for number in range(OTHER_REQUESTS):
        health = Request(f"request {number} after they died", "/healthz", b"", {"Connection": "close"}, "GET")
        await ask(target.wire, health, answers, expected={200})

    async def let_go() -> bool:
        return _descriptors(target) <= before + OTHERS

    free = await until(let_go, within=LET_GO_WITHIN)
    after = time.monotonic() - died
    started = await _ask_again(target, keys, answers)
    kept = [] if free else [f"{_descriptors(target) - before} descriptors are still held {LET_GO_WITHIN:g} s later"]
    twice = [] if started == len(keys) else [f"{len(keys)} starts, asked for again under their keys, are {started}"]
    return Finding(
        "P14",
        "clients killed (kill -9) in the middle of their requests",
        {
            "killed": len(requests),
            "s until the server had let go": round(after, 1),
            "starts asked for again": len(keys),
            "executions of these": started,
            **answers.figures(),
        },
        (*kept, *twice, *answers.violations),
        time.monotonic() - began,
    )


def _requests(approval_request_id: str, execution_id: str, keys: Sequence[str], wanted: int) -> Sequence[bytes]:
    """What they had sent when they died."""
    starts = [_start(key) for key in keys]
    others = (
        b"",
        SLOW_HEADERS,
        SLOW_BODY % b"/slack/events",
        _get(f"/api/v1/approvals/{approval_request_id}?wait={PATIENCE}"),
        _get(f"/api/v1/executions/{execution_id}/events"),
        _get("/feed"),
    )
    return [*(others[number % len(others)] for number in range(wanted - len(starts))), *starts]


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def _start(key: str) -> bytes:
    head = (
        f"POST {STARTING} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
    )
    return f"{head}Content-Length: {len(_body(key))}\r\n\r\n".encode() + _body(key)


def _body(key: str) -> bytes:
    return json.dumps({"prompt": f"{key} idempotent"}).encode()


async def _kill(target: Target, requests: Sequence[bytes]) -> None:
    """Has a process send them, and kills it."""
    at = urlsplit(target.url)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        clients.__file__,
        str(at.hostname),
        str(at.port),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("".join(f"{request.hex()}\n" for request in requests).encode())
        process.stdin.write_eof()
        sent = await process.stdout.readline()
        if int(sent or b"0") != len(requests):
            raise RuntimeError(f"{len(requests)} clients were to connect; they said {sent!r}")
    finally:
        process.kill()
        await process.wait()


async def _ask_again(target: Target, keys: Sequence[str], answers: Answers) -> int:
    """Asks for the same under the same keys, as a client does that was not answered; how many executions there are."""
    turns = asyncio.Semaphore(ASKED_AGAIN_AT_ONCE)

    async def one(key: str) -> str:
        async with turns:
            headers = {**JSON, "Idempotency-Key": key}
            await ask(target.wire, Request(key, STARTING, _body(key), headers), answers, expected={202})
        status, told = await target.people.post(target.url, STARTING, json.loads(_body(key)), **headers)
        return str(told["execution_id"]) if status == 202 else ""

    found = await asyncio.gather(*map(one, keys))
    return len({execution_id for execution_id in found if execution_id})


def _descriptors(target: Target) -> int:
    """How many files and connections the server has open (man 5 proc)."""
    return sum(1 for _ in Path(f"/proc/{target.server.pid}/fd").iterdir())
