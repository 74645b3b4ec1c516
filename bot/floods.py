"""Floods from Slack for `countersign conformance`: mentions and clicks, signed, faster than they can be answered.

What is acknowledged is looked for afterwards: as an execution, as the one decision, or as words to whoever asked.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from agent_runtime.conformance.agents import AGENT, REVIEWER
from agent_runtime.conformance.answering import Answers, Request, ask, at_rate
from agent_runtime.conformance.doors import Shown
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.floods import Target
from agent_runtime.conformance.waiting import until
from agent_runtime.store.approvals import VOTES
from agent_runtime.store.database import Database
from agent_runtime.store.executions import BY_IDEMPOTENCY_KEY
from bot.conformance import click_payload, signed
from bot.sandbox.app import Sandbox, running_sandbox
from bot.sandbox.config import DEFAULT_USERS, SandboxConfig, UserConfig
from bot.transport.gate import FORM_TYPE, JSON_TYPE
from bot.transport.http import PATH

STRANGER = "U0STRANGER"
REQUESTERS = ("U0REQUESTER", "U0REVIEWER2", "U0BYSTANDER")
GUEST = "U0GUEST0001"
GUESTS = 5
"""Mentions by somebody who may start nothing, each in a thread of its own; in the first flood of this length."""
LONG_ENOUGH = 0.5

NO_TOOL = "nothing"
"""What the model calls: no tool of that name is there, so that no effect slows the server down."""

REPEATED = 10
"""Every so many events one comes twice."""

CLICK_EVERY = 0.25
"""Seconds between the honest clicks amid a flood."""

TOLD_WITHIN = 45.0
"""Seconds: an answer waits for its turn as long as 30."""
SAYING_NO = 503
AGAIN = "X-Slack-Retry-Num"

_ONES = itertools.count(1)


@dataclass
class SlackFloods:
    """One workspace, and floods from it."""

    sandbox: Sandbox
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _guests_came: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a server for this workspace, in HTTP mode."""
        config = self.sandbox.config
        return {
            "SLACK_BOT_TOKEN": config.bot_token,
            "SLACK_SIGNING_SECRET": config.signing_secret,
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

    async def run(self, target: Target, seconds: float, each_second: float) -> Sequence[Finding]:
        """Each flood for so many seconds, at that rate."""
        return (
            await self._mentions(target, seconds, each_second),
            await self._one(target, round(min(500, seconds * each_second))),
            await self._many(target, seconds, each_second),
        )

    # --- mentions -----------------------------------------------------------------------------------------------------

    async def _mentions(self, target: Target, seconds: float, each_second: float) -> Finding:
        began = time.monotonic()
        answers, honest = Answers(), Answers()
        flood = next(_ONES)
        mentions = [self._mention(f"Ev{flood}F{number}", number) for number in range(round(seconds * each_second))]
        guests = []
        if seconds >= LONG_ENOUGH and not self._guests_came:  # what they are told waits behind all other answers
            self._guests_came = True
            guests = [
                self._mention(f"Ev{flood}G{number}", thread=await self._thread(target)) for number in range(GUESTS)
            ]
        sent = [
            *itertools.chain(*([one, again(one)] if n % REPEATED == 0 else [one] for n, one in enumerate(mentions)))
        ]
        sent[len(sent) // 2 : len(sent) // 2] = guests
        approvals = await target.ask_for(f"clicked-in-{flood}", max(2, round(seconds / CLICK_EVERY)))
        before = self._told(GUEST)
        flooding = asyncio.create_task(self._send_all(target, sent, answers, each_second))
        try:
            for shown in approvals:
                await self._click(target, shown, REVIEWER, honest, expected={200})
                await asyncio.sleep(CLICK_EVERY)
        finally:
            await flooding
        lost = await self.not_started(target.database, [name for name in answers.acknowledged if "F" in name])
        lost += await self._not_told(before, len({name for name in answers.acknowledged if "G" in name}))
        undecided = await self._undecided(target, approvals)
        return Finding(
            "P14",
            f"{each_second:g} mentions a second",
            {
                **answers.figures(),
                "acknowledged and lost": len(lost),
                "honest clicks meanwhile": len(honest.seconds),
                "s for the slowest click": round(honest.slowest, 2),
            },
            (*lost, *answers.violations, *honest.violations, *undecided),
            time.monotonic() - began,
        )

    async def _send_all(self, target: Target, sent: Sequence[Request], answers: Answers, each_second: float) -> None:
        async def send(request: Request) -> int:
            return await ask(target.wire, self._signed(request), answers, expected={200, SAYING_NO})

        await at_rate(sent, send, each_second)

    async def _thread(self, target: Target) -> str:
        """The ts of a message of the guest's, in whose thread they go on."""
        said = {"user": GUEST, "channel": self.sandbox.config.channels[0].id, "text": "hello"}
        async with target.http.post(f"{self.sandbox.url}/sandbox/api/messages", json=said) as answer:
            return str((await answer.json())["ts"])

    def _mention(self, event_id: str, number: int = 0, *, thread: str = "") -> Request:
        """An `app_mention` event (docs.slack.dev/reference/events/app_mention)."""
        config = self.sandbox.config
        ts = f"{1_700_000_000 + next(self._numbers)}.000200"
        event: dict[str, Any] = {
            "type": "app_mention",
            "user": GUEST if thread else REQUESTERS[number % len(REQUESTERS)],
            "text": f"<@{config.bot_user_id}> {AGENT} {event_id} {NO_TOOL}",
            "ts": ts,
            "channel": config.channels[0].id,
            "team": config.team_id,
        }
        if thread:
            event["thread_ts"] = thread
        envelope = {
            "type": "event_callback",
            "event_id": event_id,
            "team_id": config.team_id,
            "api_app_id": config.app_id,
            "event": event,
            "authorizations": [{"team_id": config.team_id, "user_id": config.bot_user_id, "is_bot": True}],
        }
        return Request(event_id, PATH, json.dumps(envelope).encode(), {"Content-Type": JSON_TYPE})

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

    async def _not_told(self, before: int, acknowledged: int) -> list[str]:
        """Whether the workspace shows the guest fewer answers than there should be."""

        async def told() -> bool:
            return self._told(GUEST) - before >= acknowledged

        if await until(told, within=TOLD_WITHIN):
            return []
        return [f"{GUEST}: {acknowledged} mentions were acknowledged, and {self._told(GUEST) - before} answered"]

    def _told(self, user: str) -> int:
        logs = self.sandbox.server.workspace.logs.values()
        return sum(message.ephemeral_to == user for log in logs for message in log)

    # --- clicks -------------------------------------------------------------------------------------------------------

    async def _one(self, target: Target, clicks: int) -> Finding:
        """Everybody clicks on one approval at once."""
        began = time.monotonic()
        answers = Answers()
        (shown,) = await target.ask_for(f"one-{next(_ONES)}", 1)
        people = [REVIEWER, *self._strangers()]
        users = [people[number % len(people)] for number in range(clicks)]
        given = {200, SAYING_NO}
        await asyncio.gather(*(self._click(target, shown, user, answers, expected=given) for user in users))
        votes = await target.database.all(VOTES, b_id=shown.approval_request_id)
        wrong = [] if len(votes) == 1 else [f"{shown.approval_request_id}: {len(votes)} decisions are recorded"]
        return Finding(
            "P14",
            f"clicks of {len(people)} people on one approval, at once",
            {**answers.figures(), "decisions": len(votes)},
            (*wrong, *answers.violations),
            time.monotonic() - began,
        )

    async def _many(self, target: Target, seconds: float, each_second: float) -> Finding:
        """Strangers click on many approvals, and amid them the one who may decide."""
        began = time.monotonic()
        answers, honest = Answers(), Answers()
        strangers = self._strangers()
        before = {user: self._told(user) for user in strangers}
        approvals = await target.ask_for(f"many-{next(_ONES)}", max(2, round(seconds / CLICK_EVERY)))
        flood = [
            self._click_of(approvals[number % len(approvals)], strangers[number % len(strangers)])
            for number in range(round(seconds * each_second))
        ]
        flooding = asyncio.create_task(self._send_all(target, flood, answers, each_second))
        try:
            for shown in approvals:
                await self._click(target, shown, REVIEWER, honest, expected={200})
                await asyncio.sleep(CLICK_EVERY)
        finally:
            await flooding
        acknowledged = {name.rpartition(" ")[2] for name in answers.acknowledged}

        async def all_told() -> bool:
            return all(self._told(user) > before[user] for user in acknowledged)

        untold = (
            [] if await until(all_told, within=TOLD_WITHIN) else ["not every stranger was told why nothing changed"]
        )
        undecided = await self._undecided(target, approvals)
        return Finding(
            "P14",
            f"{each_second:g} clicks a second of {len(strangers)} strangers on {len(approvals)} approvals",
            {
                **answers.figures(),
                "clicks of who may decide": len(honest.seconds),
                "s for the slowest of these": round(honest.slowest, 2),
                "decided": len(approvals) - len(undecided),
            },
            (*untold, *undecided, *answers.violations, *honest.violations),
            time.monotonic() - began,
        )

    async def _undecided(self, target: Target, approvals: Sequence[Shown]) -> list[str]:
        """Approvals that the reviewer's click did not decide."""
        wrong = []
        for shown in approvals:
            votes = await target.database.all(VOTES, b_id=shown.approval_request_id)
            if [vote.principal.rpartition(":")[2] for vote in votes] != [REVIEWER]:
                wrong.append(f"{shown.approval_request_id}: {len(votes)} decisions after the click of who may decide")
        return wrong

    def _strangers(self) -> list[str]:
        return [user.id for user in self.sandbox.config.users if user.id.startswith(STRANGER)]

    async def _click(self, target: Target, shown: Shown, user: str, answers: Answers, *, expected: set[int]) -> None:
        request = self._signed(self._click_of(shown, user))
        await ask(target.wire, request, answers, expected=expected)

    def _click_of(self, shown: Shown, user: str) -> Request:
        """A `block_actions` payload (docs.slack.dev/reference/interaction-payloads/block_actions-payload)."""
        number = next(self._numbers)
        payload = click_payload(shown, self.sandbox, number, user)
        body = urlencode({"payload": json.dumps(payload)}).encode()
        return Request(f"click {number} of {user}", PATH, body, {"Content-Type": FORM_TYPE})

    def _signed(self, request: Request) -> Request:
        """Signed when it is sent."""
        return Request(
            request.name,
            request.path,
            request.body,
            {
                **request.headers,
                **signed(request.body, self.sandbox.config.signing_secret, ago=2 * (AGAIN in request.headers)),
            },
        )


def again(request: Request) -> Request:
    """The same event, as Slack brings it a second time."""
    return Request(request.name, request.path, request.body, {**request.headers, AGAIN: "1"})


@asynccontextmanager
async def slack_floods(strangers: int) -> AsyncIterator[SlackFloods]:
    """A workspace of its own, with so many people in it who may decide nothing."""
    more = (UserConfig(id=f"{STRANGER}{number:02}", name=f"Stranger {number}") for number in range(strangers))
    config = SandboxConfig(time_scale=0.01, bot_events=(), users=(*DEFAULT_USERS, *more))
    async with running_sandbox(config) as sandbox:
        yield SlackFloods(sandbox)
