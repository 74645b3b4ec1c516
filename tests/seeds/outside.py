"""Outsiders of a served program, at the command line: `curl` and `openssl` where they are, else the same bytes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.e2e.waiting import until

SECRET = "a-secret-of-sufficient-length"
WEBHOOK = "/api/v1/webhooks/approval-response"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any


@dataclass(slots=True)
class Outside:
    """Talks to the server at `url`; `explain` is what it logged, for a test that fails."""

    url: str
    explain: Callable[[], str]
    secret: str = SECRET

    async def start(self, target: str, **given: Any) -> str:
        """Starts `agent.reasoner` asynchronously; the id of the execution."""
        answer = await self.post(f"/api/v1/execute/async/{target}", json.dumps({"input": given}))
        assert answer.status == 202, answer.body
        return str(answer.body["execution_id"])

    async def execution(self, execution_id: str) -> dict[str, Any]:
        answer = await self.get(f"/api/v1/executions/{execution_id}")
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.body
        return found

    async def becomes(self, execution_id: str, status: str, within: float = 60) -> dict[str, Any]:
        """The execution, once it has that status."""

        async def there() -> dict[str, Any] | None:
            found = await self.execution(execution_id)
            assert found["status"] not in {"failed", "cancelled"} or found["status"] == status, found["error"]
            return found if found["status"] == status else None

        return await until(there, f"{execution_id} is {status}", within=within, explain=self.explain)

    async def respond(self, request_id: str, decision: str, feedback: str = "") -> Answer:
        """A decision by the signed webhook."""
        body = json.dumps({"requestId": request_id, "decision": decision, "feedback": feedback})
        return await self.post(WEBHOOK, body, {"X-Webhook-Signature": f"sha256={await self.signature(body)}"})

    async def signature(self, body: str) -> str:
        if shutil.which("openssl") is None:
            return hmac.new(self.secret.encode(), body.encode(), hashlib.sha256).hexdigest()
        said = await _run("openssl", "dgst", "-sha256", "-hmac", self.secret, typed=body)
        return said.split()[-1]

    async def get(self, path: str) -> Answer:
        return await self._send("GET", path, None, {})

    async def post(self, path: str, body: str, headers: dict[str, str] | None = None) -> Answer:
        return await self._send("POST", path, body, {"Content-Type": "application/json", **(headers or {})})

    async def _send(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        url = f"{self.url}{path}"
        if shutil.which("curl") is not None:
            given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
            given += ["-d", body] if body is not None else []
            said = await _run("curl", "-sS", "-X", method, "-w", "\n%{http_code}", *given, url)
            text, _, status = said.rpartition("\n")
            return Answer(int(status), json.loads(text))
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=body, headers=headers) as answer,
        ):
            return Answer(answer.status, await answer.json(content_type=None))


async def _run(*command: str, typed: str = "") -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = await process.communicate(typed.encode())
    assert process.returncode == 0, err.decode()
    return out.decode()
