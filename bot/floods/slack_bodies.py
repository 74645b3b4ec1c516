"""Bodies at Slack's door that its code must refuse: unsigned, large, stale, replayed, malformed, or too slow."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import time
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from agent_runtime.conformance.answering import Answers, Request, ask
from agent_runtime.conformance.bodies import AT_ONCE, CHEAP
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.flooded import Target
from agent_runtime.conformance.usage import processor_seconds
from bot.conformance import signed
from bot.floods.workspace import SAYING_NO, Flooded, clicks_in
from bot.transport.gate import FORM_TYPE, FRESH_SECONDS, JSON_TYPE, MAX_BYTES, MAX_DEPTH, MAX_FORM_FIELDS
from bot.transport.http import PATH, SECONDS_TO_SEND

SLOW_FOR = SECONDS_TO_SEND + 2.0
"""Seconds within which who sends slowly must be answered."""

DRIP_EVERY = 0.2

MIB = b"x" * (1024 * 1024)
DEEP = b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)
DEEPER = b"[" * 10_000 + b"]" * 10_000
FIELDS = urlencode([(f"f{number}", "1") for number in range(MAX_FORM_FIELDS + 1)]).encode()
SIGNED: Sequence[tuple[str, bytes, str, int]] = (
    ("1 MiB", MIB, JSON_TYPE, 413),
    ("a form of 1 MiB", MIB, FORM_TYPE, 413),
    ("a byte too many", b"x" * (MAX_BYTES + 1), JSON_TYPE, 413),
    ("half an object", b'{"type": "event_callback"', JSON_TYPE, 400),
    ("a list", b"[1, 2]", JSON_TYPE, 400),
    ("nothing", b"", JSON_TYPE, 400),
    ("not UTF-8", b'{"type": "\xff\xfe"}', JSON_TYPE, 400),
    ("one level too many", DEEP, JSON_TYPE, 400),
    ("10,000 levels", DEEPER, JSON_TYPE, 400),
    ("10,000 levels in a form", urlencode({"payload": DEEPER.decode()}).encode(), FORM_TYPE, 400),
    ("a payload that is no JSON", urlencode({"payload": "{"}).encode(), FORM_TYPE, 400),
    ("a field too many", FIELDS, FORM_TYPE, 400),
    ("plain text", b"{}", "text/plain", 415),
)
"""Signed as Slack would, and still refused, by this status."""


def bad(workspace: Flooded) -> Sequence[tuple[Request, int]]:
    """One of each kind, and how it is to be answered."""
    now, at = int(time.time()), workspace.unused_second()
    secret = workspace.sandbox.config.signing_secret

    def request(name: str, body: bytes, kind: str = JSON_TYPE, **headers: str) -> Request:
        return Request(name, PATH, body, {"Content-Type": kind, **{n.replace("_", "-"): v for n, v in headers.items()}})

    body = b'{"type": "event_callback"}'
    own = signed(body, secret, at=at)
    packed = gzip.compress(b'{"a": "' + MIB * 8 + b'"}')
    stale = signed(body, secret, at=now - FRESH_SECONDS - 60)
    ahead = signed(body, secret, at=now + FRESH_SECONDS + 60)
    return [
        *((request(name, sent, kind, **signed(sent, secret, at=at)), status) for name, sent, kind, status in SIGNED),
        (request("8 MiB, packed", packed, **signed(packed, secret, at=at), Content_Encoding="gzip"), 413),
        (request("1 MiB, unsigned", MIB), 413),
        (request("unsigned", body), 401),
        (request("10,000 levels, unsigned", DEEPER), 401),
        (request("signed with another secret", body, **signed(body, "another")), 401),
        (request("a signature of something else", b"{}", **own), 401),
        (request("signed too long ago", body, **stale), 401),
        (request("signed in the future", body, **ahead), 401),
        (request("no time", body, X_Slack_Signature=own["X-Slack-Signature"]), 401),
        (request("a time that is none", body, **(own | {"X-Slack-Request-Timestamp": "9" * 400})), 401),
        (request("half a signature", body, **(own | {"X-Slack-Signature": "v0=0"})), 401),
    ]


async def slack_bodies(workspace: Flooded, target: Target, each: int, slow: asyncio.Task[list[str]]) -> Finding:
    """Each kind `each` times, while the reviewer clicks; `slow` are the senders of `slowly`, who began before."""
    began = time.monotonic()
    answers, honest = Answers(), Answers()
    kinds = [bad(workspace) for _ in range(each)]
    approvals = await target.ask_for(f"clicked-amid-{next(workspace.numbers)}", clicks_in(0.5))
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(request: Request, status: int) -> None:
        async with turns:
            await ask(target.wire, request, answers, expected={status, SAYING_NO})

    async def all_kinds() -> float:
        computed = processor_seconds(target.server.pid)
        await asyncio.gather(*(one(*kind) for kind in itertools.chain(*kinds)))
        return (processor_seconds(target.server.pid) - computed) / (each * len(kinds[0]))

    computed, replayed, _ = await asyncio.gather(
        all_kinds(), _replays(workspace, target), workspace.clicks(target, approvals, honest)
    )
    told = await slow
    late = [wrong for wrong in told if wrong]
    undecided = await workspace.undecided(target, approvals)
    dear = [f"refusing one took {computed:.2f} s of the processor"] if computed > CHEAP else []
    return Finding(
        "P14",
        f"{len(kinds[0])} kinds of bad bodies as if from Slack",
        {
            **answers.figures(),
            "ms of the processor each": round(computed * 1000, 1),
            "sent too slowly": len(told),
            "of these not told so": len(late),
            "honest clicks meanwhile": len(honest.seconds),
            "s for the slowest click": round(honest.slowest, 2),
        },
        (*answers.violations, *honest.violations, *late, *replayed, *undecided, *dear),
        time.monotonic() - began,
    )


async def _replays(workspace: Flooded, target: Target) -> list[str]:
    """A request that was answered with success is refused the second time."""
    (shown,) = await target.ask_for(f"replayed-{next(workspace.numbers)}", 1)
    request = workspace.signed(workspace.click_request(shown, workspace.strangers[0]))
    answers = Answers()
    statuses = [await ask(target.wire, request, answers, expected={200, 401, SAYING_NO}) for _ in range(2)]
    first, second = statuses
    return answers.violations if first != 200 or second == 401 else [f"a replay was answered {second}"]


async def slowly(target: Target, senders: int) -> list[str]:
    """Who sends byte after byte, too slowly for Slack, is told so and holds nothing up; what is wrong with each."""
    at = urlsplit(target.url)
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON_TYPE}\r\nContent-Length: 2000\r\n\r\n"

    async def one(number: int) -> str:
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        dripping = asyncio.create_task(_drip(writer))
        writer.write(head.encode())
        try:
            async with asyncio.timeout(SLOW_FOR):
                said = await reader.read(200)
        except (TimeoutError, OSError) as error:
            return f"slow sender {number}: {type(error).__name__} after {SLOW_FOR:g} s"
        finally:
            dripping.cancel()
            writer.close()
        return "" if said.split(b" ")[1:2] in ([b"408"], [b"503"]) else f"slow sender {number}: answered {said[:40]!r}"

    return await asyncio.gather(*map(one, range(senders)))


async def _drip(writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        await asyncio.sleep(DRIP_EVERY)
        writer.write(b" ")
