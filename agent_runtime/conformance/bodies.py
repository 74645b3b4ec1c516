"""Bodies that must be refused by their code, cheaply: large, deep, slow, malformed, unsigned."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import itertools
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent_runtime.conformance.agents import AGENT
from agent_runtime.conformance.answering import Answers, Request, ask
from agent_runtime.conformance.doors import WEBHOOK_SECRET
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.usage import processor_seconds

if TYPE_CHECKING:
    from agent_runtime.conformance.flooded import Target

AT_ONCE = 50
JSON = {"Content-Type": "application/json"}
WEBHOOK = "/api/v1/webhooks/approval-response"
STARTING = f"/api/v1/execute/async/{AGENT}"
ASKING = "/api/v1/approvals"

CHEAP = 0.05
"""Seconds of the processor that refusing one of these may cost on average; the largest has 1 MiB."""

LARGE = b'{"prompt": "' + b"x" * (1024 * 1024) + b'"}'
DEEP = b'{"input": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}"
BOMB = gzip.compress(b'{"prompt": "' + b"x" * (8 * 1024 * 1024) + b'"}')
FIELDS = b"{" + b",".join(b'"f%d": 1' % number for number in range(10_000)) + b"}"

MALFORMED: Sequence[tuple[str, bytes, int]] = (
    ("1 MiB", LARGE, 413),
    ("10,000 levels", DEEP, 422),
    ("10,000 fields", FIELDS, 422),
    ("not UTF-8", b'{"prompt": "\xff\xfe"}', 422),
    ("NaN", b'{"prompt": NaN}', 422),
    ("1e999", b'{"input": {"a": 1e999}}', 422),
    ("an integer of 5,000 digits", b'{"input": {"a": ' + b"9" * 5_000 + b"}}", 422),
    ("a key twice", b'{"prompt": "a", "prompt": "b"}', 422),
    ("half an object", b'{"prompt": "a"', 422),
)
"""What JSON endpoints refuse, and by which status."""


async def bodies(target: Target, each: int) -> Finding:
    """Each of them `each` times, through the API and the webhook; and bodies that never come whole."""
    began = time.monotonic()
    (shown,) = await target.ask_for(f"bodies-{time.monotonic_ns()}", 1)
    deciding = f"{ASKING}/{shown.approval_request_id}/decision"
    requests = [
        (Request(f"{name} at {path}", path, body, JSON), status)
        for path in (STARTING, ASKING, deciding)
        for name, body, status in MALFORMED
    ]
    requests += [(Request(f"{name} at {WEBHOOK}", WEBHOOK, body, _signed(body)), st) for name, body, st in MALFORMED]
    requests += [
        (Request("a wrong signature", WEBHOOK, body, {**JSON, "X-Webhook-Signature": "sha256=" + "0" * 64}), 401)
        for body in (b"{}", DEEP)
    ]
    requests.append((Request("8 MiB, packed", STARTING, BOMB, {**JSON, "Content-Encoding": "gzip"}), 413))
    answers = Answers()
    computed = processor_seconds(target.server.pid)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(request: Request, expected: int) -> None:
        async with turns:
            await ask(target.wire, request, answers, expected={expected})

    await asyncio.gather(*(one(*each_of) for each_of in itertools.chain(*([one] * each for one in requests))))
    computed = (processor_seconds(target.server.pid) - computed) / (each * len(requests))
    return Finding(
        "P14",
        f"{len(requests)} kinds of bad bodies",
        {**answers.figures(), "ms of the processor each": round(computed * 1000, 1)},
        (*answers.violations, *([f"refusing one took {computed:.2f} s of the processor"] if computed > CHEAP else [])),
        time.monotonic() - began,
    )


def _signed(body: bytes) -> dict[str, str]:
    signature = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {**JSON, "X-Webhook-Signature": f"sha256={signature}"}
