"""Doors through which one approval is decided at the same moment, and what each is answered."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from agent_runtime.conformance.people import PATIENCE
from agent_runtime.conformance.processes import Zygote
from agent_runtime.core.approval import Decision, parse_verdict
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import AlreadyResolved, ApprovalExpired
from agent_runtime.operations.resolve import resolve
from agent_runtime.store.database import Database

WEBHOOK_SECRET = "a-secret-of-the-conformance-run"  # noqa: S105 - of a scratch deployment that ends with the run


@dataclass(frozen=True, slots=True)
class Answer:
    """What a resolver was told: that it `won`, or the words of a refusal. `told` False: neither (such as a click, which
    Slack acknowledges either way; the clicker is told in Slack).
    """

    won: bool
    words: str = ""
    told: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """What a resolver knows of an approval."""

    approval_request_id: str
    digest: str


Door = Callable[[Shown, str, str], Awaitable[Answer]]
"""Decides `(approval, verdict, words)`."""


def api(http: aiohttp.ClientSession, url: str) -> Door:
    """The HTTP API."""

    async def decide(shown: Shown, verdict: str, words: str) -> Answer:
        path = f"{url}/api/v1/approvals/{shown.approval_request_id}/decision"
        body = {"decision": verdict, "feedback": words, "digest": shown.digest}
        async with http.post(path, json=body, timeout=PATIENCE) as answer:
            return answered(answer.status, await answer.json(content_type=None))

    return decide


def webhook(http: aiohttp.ClientSession, url: str) -> Door:
    """The signed webhook."""

    async def decide(shown: Shown, verdict: str, words: str) -> Answer:
        body = json.dumps({"requestId": shown.approval_request_id, "decision": verdict, "feedback": words}).encode()
        signature = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-Webhook-Signature": f"sha256={signature}"}
        path = f"{url}/api/v1/webhooks/approval-response"
        async with http.post(path, data=body, headers=headers, timeout=PATIENCE) as answer:
            return answered(answer.status, await answer.json(content_type=None))

    return decide


_VERBS = {"approved": ("approve", "--comment"), "rejected": ("reject", "--reason")}


def command_line(zygote: Zygote) -> Door:
    """`countersign approvals …`, a process each time. Only approving takes the digest of what was shown."""

    async def decide(shown: Shown, verdict: str, words: str) -> Answer:
        verb, option = _VERBS.get(verdict, ("request-changes", "--changes"))
        known = ["--digest", shown.digest] if verdict == "approved" else []
        status, said = await zygote.command("approvals", verb, shown.approval_request_id, option, words, *known)
        return Answer(status == 0 and " already" not in said, said)

    return decide


def database(database: Database, via: Via) -> Door:
    """Whoever holds the database, as the SDK does."""

    async def decide(shown: Shown, verdict: str, words: str) -> Answer:
        decision = Decision(parse_verdict(verdict), words, digest=shown.digest)
        try:
            resolution = await database.write(resolve, shown.approval_request_id, decision, by=LOCAL_OPERATOR, via=via)
        except (AlreadyResolved, ApprovalExpired) as refused:
            return Answer(False, refused.message)
        return Answer(not resolution.already_processed)

    return decide


def answered(status: int, body: dict[str, Any]) -> Answer:
    """What the API's or a page's answer to a decision says."""
    if status == 200:
        return Answer(not body.get("already_processed"))
    return Answer(False, str(body.get("detail") or ""), told=status == 409)
