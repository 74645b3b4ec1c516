"""Races, replays and tampering against a deployment that runs, through its HTTP API alone.

Every approval that is made is an outsider's, titled so that people know it, and ended before the run ends.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp

from agent_runtime.conformance.figures import Finding, percentile
from agent_runtime.conformance.waiting import until
from agent_runtime.errors import InvalidRequest

Json = dict[str, Any]

PATIENCE = aiohttp.ClientTimeout(total=30)
RESOLVERS = 16
FIRE_WITHIN = 5.0
SHORT_LIFE = 1.0
"""Seconds after which an approval expires that nobody decides."""

TITLE = "Conformance check: please ignore, it ends by itself"

BODIES: Sequence[tuple[str, bytes, frozenset[int]]] = (
    ("an unknown decision", b'{"decision":"maybe"}', frozenset({422})),
    ("no decision", b"{}", frozenset({422})),
    ("a decision said twice", b'{"decision":"rejected","decision":"approved"}', frozenset({400, 422})),
    ("a number that is none", b'{"decision":"approved","feedback":NaN}', frozenset({400, 422})),
    ("not JSON", b"decision=approved", frozenset({400, 415, 422})),
    ("100,000 brackets", b'{"decision":' + b"[" * 100_000 + b"]" * 100_000 + b"}", frozenset({400, 413, 422})),
    ("1 MiB", b'{"decision":"approved","feedback":"' + b"x" * 1_048_576 + b'"}', frozenset({413})),
    ("another digest", b'{"decision":"approved","digest":"' + b"0" * 64 + b'"}', frozenset({409, 422})),
    ("edits that are not allowed", b'{"decision":"approved","edited_arguments":{"a":2}}', frozenset({422})),
)
"""What a decision must not look like, and how it may be answered."""


@dataclass
class Remote:
    """A deployment at `url`; the token behind `http` has the scopes start, read and decide."""

    http: aiohttp.ClientSession
    url: str
    made: list[str] = field(default_factory=list)

    async def run(self, rounds: int) -> list[Finding]:
        """Raises InvalidRequest where the deployment does not take the token."""
        await self._ask()
        try:
            return [await self._races(rounds), await self._tampering(), await self._strangers(), await self._expiry()]
        finally:
            for identifier in self.made:
                await self._decide(identifier, {"decision": "rejected", "feedback": "conformance check ended"})

    async def _races(self, rounds: int) -> Finding:
        began = time.monotonic()
        violations: list[str] = []
        times: list[float] = []
        replayed = 0
        for _ in range(rounds):
            identifier = await self._ask()
            bodies = [
                {"decision": ("approved", "rejected", "request_changes")[number % 3], "feedback": f"resolver {number}"}
                for number in range(RESOLVERS)
            ]
            answers = await asyncio.gather(*(self._timed(identifier, body, times) for body in bodies))
            winners = [body for body, (status, _) in zip(bodies, answers, strict=True) if status == 200]
            if len(winners) != 1:
                statuses = dict(Counter(status for status, _ in answers))
                violations.append(f"{identifier}: {len(winners)} winners ({statuses})")
                continue
            decided = await self._get(identifier)
            by = str(decided.get("decided_by") or "")
            violations += [
                f"{identifier}: a loser was answered {status}: {told.get('detail')}"
                for status, told in answers
                if status != 200 and (status != 409 or by not in str(told.get("detail")))
            ]
            status, told = await self._decide(identifier, winners[0])
            replayed += status == 200 and bool(told.get("already_processed"))
        if replayed != rounds - sum("winners" in violation for violation in violations):
            violations.append(f"{replayed} of {rounds} replays were answered as processed already")
        figures: dict[str, int | float | str] = {
            "rounds": rounds,
            "replays that changed nothing": replayed,
            "ms p50": round(1000 * percentile(times, 0.5), 1),
            "ms p99": round(1000 * percentile(times, 0.99), 1),
        }
        return Finding("P2", f"{RESOLVERS} decisions at once", figures, tuple(violations), time.monotonic() - began)

    async def _tampering(self) -> Finding:
        began = time.monotonic()
        identifier = await self._ask()
        violations = []
        for name, body, allowed in BODIES:
            status, told = await self._send("POST", f"/api/v1/approvals/{identifier}/decision", body)
            if status not in allowed:
                violations.append(f"{name}: answered {status}: {told.get('detail')}")
        if (await self._get(identifier))["status"] != "pending":
            violations.append(f"{identifier}: one of these decided it")
        again = await self._asked(identifier, {"arguments": {"a": 2}})
        if again != 409:
            violations.append(f"another request under the same id: answered {again}")
        return Finding(
            "P5",
            "malformed, stale and tampered decisions",
            {"tried": len(BODIES) + 1, "refused": len(BODIES) + 1 - len(violations)},
            tuple(violations),
            time.monotonic() - began,
        )

    async def _strangers(self) -> Finding:
        """Without, and with a wrong, credential. A server of this machine without any token trusts its own requests."""
        began = time.monotonic()
        identifier = await self._ask()
        body = b'{"decision":"approved"}'
        path = f"/api/v1/approvals/{identifier}/decision"
        wrong = {"Authorization": "Bearer cs_" + secrets.token_urlsafe(32)}
        tries = [("a wrong token", path, wrong, {401})]
        tries.append(("an unsigned webhook", WEBHOOK, {"X-Webhook-Signature": "sha256=" + "0" * 64}, {401, 503}))
        tries.append(("a webhook without a signature", WEBHOOK, {}, {401, 503}))
        violations = []
        async with aiohttp.ClientSession() as stranger:
            for name, where, headers, allowed in tries:
                sent = body if where == path else f'{{"requestId":"{identifier}","decision":"approved"}}'.encode()
                async with stranger.post(
                    self.url + where, data=sent, headers={**JSON, **headers}, timeout=PATIENCE
                ) as answer:
                    if answer.status not in allowed:
                        violations.append(f"{name}: answered {answer.status}")
        if (await self._get(identifier))["status"] != "pending":
            violations.append(f"{identifier}: a stranger decided it")
        return Finding(
            "P13",
            "decisions by strangers",
            {"tried": len(tries), "refused": len(tries) - len(violations)},
            tuple(violations),
            time.monotonic() - began,
        )

    async def _expiry(self) -> Finding:
        began = time.monotonic()
        identifier = await self._ask(expires_in_hours=SHORT_LIFE / 3600)

        async def over() -> bool:
            return bool((await self._get(identifier))["status"] != "pending")

        fired = await until(over, within=SHORT_LIFE + FIRE_WITHIN)
        status, told = await self._decide(identifier, {"decision": "approved"})
        ended = (await self._get(identifier))["status"]
        violations = (
            ()
            if (fired, status, ended) == (True, 409, "expired")
            else (f"{identifier}: {ended}; approved afterwards: answered {status}: {told.get('detail')}",)
        )
        return Finding(
            "P7",
            "an approval that nobody decides",
            {"s until it expired": round(time.monotonic() - began, 1)},
            violations,
            time.monotonic() - began,
        )

    async def _timed(self, identifier: str, body: Json, times: list[float]) -> tuple[int, Json]:
        began = time.monotonic()
        answer = await self._decide(identifier, body)
        times.append(time.monotonic() - began)
        return answer

    async def _ask(self, **more: Any) -> str:
        identifier = f"conformance-{secrets.token_hex(8)}"
        status = await self._asked(identifier, {"arguments": {"a": 1}, **more})
        if status != 201:
            raise InvalidRequest(
                f"--url: asking for an approval was answered {status}; give --token one with the scopes start, read "
                "and decide (countersign tokens create conformance --scope start --scope read --scope decide)"
            )
        self.made.append(identifier)
        return identifier

    async def _asked(self, identifier: str, more: Json) -> int:
        body = {"approval_request_id": identifier, "title": TITLE, "tool_name": "conformance", **more}
        status, _ = await self._json("POST", "/api/v1/approvals", body)
        return status

    async def _decide(self, identifier: str, body: Json) -> tuple[int, Json]:
        return await self._json("POST", f"/api/v1/approvals/{identifier}/decision", body)

    async def _get(self, identifier: str) -> Json:
        _, told = await self._json("GET", f"/api/v1/approvals/{identifier}", None)
        return told

    async def _json(self, method: str, path: str, body: Json | None) -> tuple[int, Json]:
        async with self.http.request(method, self.url + path, json=body, timeout=PATIENCE) as answer:
            told: Json = await answer.json(content_type=None)
            return answer.status, told

    async def _send(self, method: str, path: str, body: bytes) -> tuple[int, Json]:
        try:
            async with self.http.request(
                method, self.url + path, data=BytesIO(body), headers=JSON, timeout=PATIENCE
            ) as answer:
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            return 413, {}  # closed while too much was being sent


WEBHOOK = "/api/v1/webhooks/approval-response"
JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def remote(url: str, token: str) -> AsyncIterator[Remote]:
    """The deployment at `url`; `token` may be empty on the server's own machine."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers) as http:
        yield Remote(http, url.rstrip("/"))
