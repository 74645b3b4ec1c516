"""A local workspace whose people send more than can be answered, and what came of what was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from agent_runtime.conformance.agents import AGENT, REVIEWER
from agent_runtime.conformance.answering import Answers, Request, ask, at_rate
from agent_runtime.conformance.doors import Shown
from agent_runtime.conformance.flooded import Target
from agent_runtime.conformance.waiting import until
from agent_runtime.store.approvals import VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.executions import BY_IDEMPOTENCY_KEY
from bot.conformance import click_payload, signed
from bot.sandbox.app import Sandbox
from bot.transport.gate import FORM_TYPE, JSON_TYPE
from bot.transport.http import PATH

STRANGER = "U0STRANGER"
REQUESTERS = ("U0REQUESTER", "U0REVIEWER2", "U0BYSTANDER")

NO_TOOL = "nothing"
"""What the model calls: no tool of that name is there, so that no effect slows the server down."""

CLICK_EVERY = 0.25
"""Seconds between the honest clicks amid a flood."""

SAYING_NO = 503
AGAIN = "X-Slack-Retry-Num"


@dataclass
class Flooded:
    """One workspace, what its people do, and what they are told. `numbers` tell one thing from others."""

    sandbox: Sandbox
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _second: int = 0

    @property
    def environment(self) -> Mapping[str, str]:
        """Settings of a server for this workspace, without those of how it is reached."""
        config = self.sandbox.config
        return {
            "SLACK_BOT_TOKEN": config.bot_token,
            "COUNTERSIGN_SLACK_API_URL": self.sandbox.api_url,
            "COUNTERSIGN_REVIEWERS": REVIEWER,
            "COUNTERSIGN_APPROVALS_CHANNEL": config.channels[1].id,
        }

    async def ready(self, target: Target) -> None:
        """Until the server knows whose bot it is, and who everybody is. Raises RuntimeError."""

        async def connected() -> bool:
            async with target.http.get(f"{target.url}/readyz") as answer:
                told = await answer.json()
            return bool(told["checks"]["surfaces"]["slack"]["state"] == "connected")

        if not await until(connected, within=30):
            raise RuntimeError("the server does not reach the local workspace")

    # --- what they send ---

    def mention(self, event_id: str, user: str, *, thread: str = "") -> dict[str, Any]:
        """An `app_mention` event (docs.slack.dev/reference/events/app_mention)."""
        config = self.sandbox.config
        event: dict[str, Any] = {
            "type": "app_mention",
            "user": user,
            "text": f"<@{config.bot_user_id}> {AGENT} {event_id} {NO_TOOL}",
            "ts": f"{1_700_000_000 + next(self.numbers)}.000200",
            "channel": config.channels[0].id,
            "team": config.team_id,
        }
        if thread:
            event["thread_ts"] = thread
        return {
            "type": "event_callback",
            "event_id": event_id,
            "team_id": config.team_id,
            "api_app_id": config.app_id,
            "event": event,
            "authorizations": [{"team_id": config.team_id, "user_id": config.bot_user_id, "is_bot": True}],
        }

    def click(self, shown: Shown, user: str) -> dict[str, Any]:
        """A `block_actions` payload (docs.slack.dev/reference/interaction-payloads/block_actions-payload)."""
        return click_payload(shown, self.sandbox, next(self.numbers), user)

    def mention_request(self, event_id: str, user: str, *, thread: str = "") -> Request:
        """As Slack posts it, unsigned."""
        body = json.dumps(self.mention(event_id, user, thread=thread)).encode()
        return Request(event_id, PATH, body, {"Content-Type": JSON_TYPE})

    def click_request(self, shown: Shown, user: str) -> Request:
        """The same of a click."""
        payload = self.click(shown, user)
        body = urlencode({"payload": json.dumps(payload)}).encode()
        return Request(f"click {next(self.numbers)} of {user}", PATH, body, {"Content-Type": FORM_TYPE})

    def signed(self, request: Request) -> Request:
        """Signed when it is sent."""
        at = int(time.time()) - 2 * (AGAIN in request.headers)
        headers = {**request.headers, **signed(request.body, self.sandbox.config.signing_secret, at=at)}
        return Request(request.name, request.path, request.body, headers)

    def unused_second(self) -> int:
        """When to sign what was sent before (Unix seconds): the same, signed at the same second, is a replay."""
        self._second = max(self._second + 1, int(time.time()))
        return self._second

    async def send(self, target: Target, request: Request, answers: Answers, *, expected: set[int]) -> int:
        """Signs and sends one; the status of the answer."""
        return await ask(target.wire, self.signed(request), answers, expected=expected)

    async def send_all(self, target: Target, sent: Sequence[Request], answers: Answers, each_second: float) -> None:
        """At that rate, whether those before are answered or not."""

        async def send(request: Request) -> int:
            return await self.send(target, request, answers, expected={200, SAYING_NO})

        await at_rate(sent, send, each_second)

    async def clicks(self, target: Target, approvals: Sequence[Shown], answers: Answers) -> None:
        """The reviewer decides on one after the other, however much else comes."""
        for shown in approvals:
            await self.send(target, self.click_request(shown, REVIEWER), answers, expected={200})
            await asyncio.sleep(CLICK_EVERY)

    @property
    def strangers(self) -> Sequence[str]:
        """Those who may decide nothing."""
        return [user.id for user in self.sandbox.config.users if user.id.startswith(STRANGER)]

    # --- what came of it ---

    async def not_started(self, database: Database, acknowledged: Sequence[str]) -> list[str]:
        """Acknowledged mentions that no execution came of."""
        lost = []
        for number, event_id in enumerate(sorted(set(acknowledged))):
            found = []
            for user in REQUESTERS:
                principal = f"slack:{self.sandbox.config.team_id}:{user}"
                found += await database.all(BY_IDEMPOTENCY_KEY, b_requested_by=principal, b_agent=AGENT, b_key=event_id)
            if len(found) != 1:
                lost.append(f"{event_id}: acknowledged, and {len(found)} executions are there")
            if number % 100 == 99:
                await asyncio.sleep(0)
        return lost

    async def undecided(self, target: Target, approvals: Sequence[Shown]) -> list[str]:
        """Approvals that the reviewer's click did not decide."""
        wrong = []
        for shown in approvals:
            votes = await target.database.all(VOTES, b_id=shown.approval_request_id)
            if [vote.principal.rpartition(":")[2] for vote in votes] != [REVIEWER]:
                wrong.append(f"{shown.approval_request_id}: {len(votes)} decisions after the click of who may decide")
        return wrong

    def told(self, user: str) -> int:
        """How many messages the workspace shows to them alone."""
        logs = self.sandbox.server.workspace.logs.values()
        return sum(message.ephemeral_to == user for log in logs for message in log)


def clicks_in(seconds: float) -> int:
    """How many honest clicks a flood of so many seconds has room for."""
    return max(2, round(seconds / CLICK_EVERY))


def again(request: Request) -> Request:
    """The same event, as Slack brings it a second time."""
    return Request(request.name, request.path, request.body, {**request.headers, AGAIN: "1"})
