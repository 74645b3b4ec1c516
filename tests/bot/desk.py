"""A desk from which tests act as people in the workspace, and as the engine on the database."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from agent_runtime.core.approval import ApprovalRequest, Decision, Verdict
from agent_runtime.core.execution import Execution, Step, StepStatus
from agent_runtime.core.policy import Approval, Defaults, merge
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.delivery.outbox import Outbox
from agent_runtime.operations.advance import ProposedCall, record_reply
from agent_runtime.operations.calls import finish_call, start_call
from agent_runtime.operations.claim import claim, park
from agent_runtime.operations.deploy import deploy
from agent_runtime.operations.resolve import Resolution, resolve
from agent_runtime.operations.start import Start, start
from agent_runtime.operations.sweep import sweep
from agent_runtime.store.approvals import GET_APPROVAL, OF_EXECUTION
from agent_runtime.store.database import Database, system_clock
from agent_runtime.store.executions import GET_EXECUTION, OF_CONVERSATION, claim_queued
from agent_runtime.store.steps import GET_STEP, JOURNAL
from bot.sandbox.app import Sandbox
from bot.surface import SlackSurface

T = TypeVar("T")

PATIENCE = 10.0

REQUESTER, REVIEWER, REVIEWER_2 = "U0REQUESTER", "U0REVIEWER1", "U0REVIEWER2"
BYSTANDER, GUEST, FOREIGN, FORMER = "U0BYSTANDER", "U0GUEST0001", "U0FOREIGN01", "U0FORMER001"
AGENTS, APPROVALS, ESCALATIONS = "C0AGENTS001", "C0APPROVALS", "C0ESCALATE1"
TEAM = "T0SANDBOX"

REFUND = {"order_id": "ORD-8821", "amount": 29.99}


class Clock:
    """The process clock, which tests can put forward."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return system_clock() + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += round(seconds * 1_000_000)


@dataclass
class Desk:
    """Everything that a test needs."""

    sandbox: Sandbox
    database: Database
    surface: SlackSurface
    outbox: Outbox
    http: aiohttp.ClientSession
    clock: Clock
    outbox_task: asyncio.Task[None]
    claimed: dict[str, Execution] = field(default_factory=dict)

    # --- what people do -------------------------------------------------------------------------------------------

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        async with self.http.post(f"{self.sandbox.url}/sandbox/api{path}", json=body) as response:
            return response.status, await response.json()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        async with self.http.get(f"{self.sandbox.url}/sandbox/api{path}", params=query) as response:
            answer: dict[str, Any] = await response.json()
            assert response.status == 200, answer
            return answer

    async def says(self, user: str, text: str, *, channel: str = AGENTS, thread_ts: str | None = None) -> str:
        """Writes a message; returns its ts."""
        status, answer = await self.post(
            "/messages", {"channel": channel, "user": user, "text": text, "thread_ts": thread_ts}
        )
        assert status == 200, answer
        return str(answer.get("ts") or answer["message"]["ts"])

    async def mentions(self, user: str, text: str, **where: Any) -> str:
        return await self.says(user, f"<@{self.sandbox.config.bot_user_id}> {text}", **where)

    async def clicks(
        self, user: str, message: Mapping[str, Any], action_id: str, *, confirm: bool = True, option: str | None = None
    ) -> dict[str, Any]:
        status, answer = await self.post(
            "/actions",
            {
                "user": user,
                "channel": message["channel"],
                "message_ts": message["ts"],
                "action_id": action_id,
                "confirm": confirm,
                "selected_option": option,
            },
        )
        assert status == 200, answer
        return answer

    async def view_of(self, user: str, callback_id: str) -> dict[str, Any]:
        """The modal that a person has open."""

        async def open_view() -> dict[str, Any] | None:
            views = (await self.get("/views", user=user))["views"]
            return next((view for view in views if view["callback_id"] == callback_id), None)

        return await until(open_view, f"{user} sees {callback_id}")

    async def submits(self, user: str, view: Mapping[str, Any], **values: str) -> dict[str, Any]:
        """Fills in text inputs by their block_id, and submits."""
        given = {block_id: {"text": value} for block_id, value in values.items()}
        status, answer = await self.post(f"/views/{view['id']}/submit", {"user": user, "values": given})
        assert status == 200, answer
        return answer

    async def deletes(self, message: Mapping[str, Any]) -> None:
        """An administrator removes a message."""
        log = self.sandbox.server.workspace.logs[message["channel"]]
        found = log.get(message["ts"])
        assert found is not None
        log.remove(found)

    async def changes(self, path: str, body: Mapping[str, Any]) -> None:
        """Changes a person or a group, and waits until the app has acknowledged the event."""
        status, answer = await self.post(path, body)
        assert status == 200, answer

        async def delivered() -> bool:
            return not self.sandbox.server.events._deliveries

        await until(delivered, "the app knows")

    # --- what people see ------------------------------------------------------------------------------------------

    async def messages(self, channel: str, user: str | None = None) -> list[dict[str, Any]]:
        query = {} if user is None else {"user": user}
        listed = (await self.get(f"/channels/{channel}/messages", **query))["messages"]
        return [{**message, "channel": channel} for message in listed]

    async def sees(
        self, channel: str, wanted: Callable[[dict[str, Any]], bool], what: str, *, user: str | None = None
    ) -> dict[str, Any]:
        """The first message of the channel that is wanted, once it is there."""

        async def there() -> dict[str, Any] | None:
            return next((message for message in await self.messages(channel, user) if wanted(message)), None)

        return await until(there, what)

    async def sees_text(self, channel: str, *words: str, user: str | None = None) -> dict[str, Any]:
        """The first message in which all these words stand, in text or blocks."""
        return await self.sees(
            channel, lambda message: all(word in shown(message) for word in words), " and ".join(words), user=user
        )

    async def is_told(self, user: str, *words: str, channel: str = APPROVALS) -> dict[str, Any]:
        """What only this person sees: in the channel, or in their direct message with the bot."""

        async def told() -> dict[str, Any] | None:
            seen = [m for m in await self.messages(channel, user) if m.get("ephemeral_to") == user]
            seen += await self.messages(await self.direct_message(user), user)
            return next((message for message in seen if all(word in shown(message) for word in words)), None)

        return await until(told, f"{user} is told {' and '.join(words)}")

    async def card(self, approval: ApprovalRequest, channel: str = APPROVALS) -> dict[str, Any]:
        """The card of an approval, once it is shown."""
        return await self.sees(
            channel,
            lambda message: (
                (approval.approval_request_id in shown(message) and message.get("thread_ts") is None)
                or approval.approval_request_id in json.dumps(message["blocks"])
            ),
            f"card of {approval.approval_request_id}",
        )

    async def card_shows(self, approval: ApprovalRequest, *words: str, channel: str = APPROVALS) -> dict[str, Any]:
        """The card, once it shows all these words."""
        identifier = approval.approval_request_id
        return await self.sees(
            channel,
            lambda message: (
                identifier in json.dumps(message["blocks"]) and all(word in shown(message) for word in words)
            ),
            f"card of {identifier} shows {' and '.join(words)}",
        )

    # --- what the engine does -------------------------------------------------------------------------------------

    async def runs(self, message_ts: str, channel: str = AGENTS) -> Execution:
        """The execution that a message in its own thread has started."""

        async def started() -> Execution | None:
            rows = await self.database.all(
                OF_CONVERSATION, b_conversation=f"slack:{TEAM}:{channel}:{message_ts}", b_limit=1
            )
            return rows[0] if rows else None

        return await until(started, f"an execution of {message_ts}")

    async def proposes(
        self,
        execution: Execution,
        gate: Approval | None = None,
        *,
        tool_name: str = "process_refund",
        arguments: Mapping[str, Any] = REFUND,
        words: str = "",
    ) -> ApprovalRequest:
        """The model proposes a gated call, and the execution waits."""
        execution = await self.claims(execution)
        policy = merge([gate or Approval()], self.defaults(), rules=(f"tool:{tool_name}",))
        call = ProposedCall("call_1", tool_name, arguments, effect="unsafe", policy=policy)
        reply = {"message": {"role": "assistant", "content": words, "tool_calls": []}}
        journal = await self.database.all(JOURNAL, b_id=execution.execution_id)
        await self.database.write(record_reply, execution, len(journal), len(journal), reply, [call])
        await self.database.write(park, execution, execution.signals)
        approvals = await self.database.all(OF_EXECUTION, b_execution=execution.execution_id)
        return approvals[-1]

    def defaults(self) -> Defaults:
        """The environment's answers, as the runtime composes them."""
        return Defaults(approval=self.surface.approval_defaults, notified=True)

    async def claims(self, execution: Execution) -> Execution:
        """A worker takes the execution."""
        claimed = await self.database.write(claim, claim_queued([execution.agent]), "test-worker", 100, Defaults())
        self.claimed |= {each.execution.execution_id: each.execution for each in claimed}
        current = await self.database.one(GET_EXECUTION, b_id=execution.execution_id)
        assert current is not None
        self.claimed[execution.execution_id] = current
        return current

    async def performs(self, approval: ApprovalRequest, result: Mapping[str, Any]) -> Step:
        """The approved call starts and ends with `result`."""
        execution = await self.claims(await self.execution(approval.execution_id or ""))
        assert approval.position is not None
        step = await self.database.one(GET_STEP, b_id=execution.execution_id, b_position=approval.position)
        assert step is not None
        begun = await self.database.write(start_call, execution, approval.position, step.tool_version)
        status = StepStatus.failed if "error" in result else StepStatus.succeeded
        return await self.database.write(finish_call, execution, begun, status, result)

    async def execution(self, execution_id: str) -> Execution:
        found = await self.database.one(GET_EXECUTION, b_id=execution_id)
        assert found is not None
        return found

    async def approval(self, approval: ApprovalRequest) -> ApprovalRequest:
        """As it is now."""
        found = await self.database.one(GET_APPROVAL, b_id=approval.approval_request_id)
        assert found is not None
        return found

    async def ends(self, approval: ApprovalRequest) -> ApprovalRequest:
        """The approval, once it is no longer pending."""

        async def ended() -> ApprovalRequest | None:
            current = await self.approval(approval)
            return None if current.pending else current

        return await until(ended, f"{approval.approval_request_id} ends")

    async def decides(self, approval: ApprovalRequest, verdict: Verdict, feedback: str = "") -> Resolution:
        """An operator decides through the API."""
        by = Actor("api:ci", operator=True)
        return await self.database.write(
            resolve, approval.approval_request_id, Decision(verdict, feedback), by=by, via=Via.api
        )

    async def votes(self, approval: ApprovalRequest, user: str) -> ApprovalRequest:
        """A reviewer approves, through the API with a token that is theirs."""
        by = Actor(f"slack:{TEAM}:{user}", frozenset({user}))
        decision = Decision(Verdict.approved)
        return (await self.database.write(resolve, approval.approval_request_id, decision, by=by, via=Via.api)).approval

    async def started_by_operator(self) -> Execution:
        """An execution that nobody asked for in Slack."""
        wanted = Start(agent="refund_agent", given={"prompt": "refund it"})
        return (await self.database.write(start, wanted, by=LOCAL_OPERATOR, via=Via.api)).execution

    async def direct_message(self, user: str) -> str:
        """The channel in which a person and the bot are alone."""
        channels = (await self.get("/channels", user=user))["channels"]
        return next(str(channel["id"]) for channel in channels if channel.get("is_im"))

    async def sweeps(self) -> None:
        await self.database.write(sweep)


@asynccontextmanager
async def open_desk(sandbox: Sandbox, path: Path, **settings: Any) -> AsyncIterator[Desk]:
    """A started surface with its outbox, on a database of its own."""
    clock = Clock()
    given = {
        "slack_bot_token": sandbox.config.bot_token,
        "slack_app_token": sandbox.config.app_token,
        "slack_api_url": sandbox.api_url,
        "approvals_channel": APPROVALS,
        "reviewers": (REVIEWER, REVIEWER_2),
        "default_agent": "refund_agent",
    } | settings
    async with (
        await Database.open(f"sqlite+aiosqlite:///{path}", clock=clock) as database,
        aiohttp.ClientSession() as http,
    ):
        await database.write(deploy, "refund_agent", "v1", {}, by=LOCAL_OPERATOR)
        surface = SlackSurface.create(database, **given)
        assert surface is not None
        outbox = Outbox(database, surface.notifier)
        await surface.start()
        delivering = asyncio.create_task(outbox.run())
        beating = asyncio.create_task(_wake_every_moment(database))
        try:
            yield Desk(sandbox, database, surface, outbox, http, clock, delivering)
        finally:
            await surface.stop()
            for task in (delivering, beating):
                task.cancel()
            await asyncio.gather(delivering, beating, return_exceptions=True)


async def asked(desk: Desk, gate: Approval | None = None, **call: object) -> ApprovalRequest:
    """An approval that the requester's mention has led to, with its card shown."""
    await connected(desk)
    execution = await desk.runs(await desk.mentions(REQUESTER, "refund ORD-8821"))
    return await desk.proposes(execution, gate, **call)  # type: ignore[arg-type]


async def connected(desk: Desk) -> None:
    """Until the surface is connected to the workspace."""

    async def there() -> bool:
        return desk.surface.status()["state"] == "connected"

    await until(there, "connected")


async def until(check: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What `check` returns, once that is something."""
    end = time.monotonic() + PATIENCE
    while not (found := await check()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        await asyncio.sleep(0.02)
    return found


def shown(message: Mapping[str, Any]) -> str:
    """All that a message says, with the JSON escapes of its blocks undone."""
    return f"{message['text']}\n{json.dumps(message['blocks'], ensure_ascii=False)}".replace('\\"', '"')


def action_ids(message: Mapping[str, Any]) -> list[str]:
    """The buttons of a message."""
    return [
        element["action_id"]
        for block in message["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
    ]


def click_payload(card: dict[str, Any], user: str, action_id: str) -> dict[str, Any]:
    """A click on a card as it was, whatever it shows now."""
    block, element = next(
        (block, element)
        for block in card["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
        if element["action_id"] == action_id
    )
    return {
        "type": "block_actions",
        "team": {"id": "T0SANDBOX", "domain": "x"},
        "user": {"id": user, "team_id": "T0SANDBOX"},
        "container": {"type": "message", "message_ts": card["ts"], "channel_id": card["channel"]},
        "channel": {"id": card["channel"], "name": "x"},
        "trigger_id": "1.2.3",
        "actions": [
            {
                "type": "button",
                "action_id": action_id,
                "block_id": block["block_id"],
                "value": element["value"],
                "action_ts": "1.2",
            }
        ],
    }


async def _wake_every_moment(database: Database) -> None:
    """What the scheduler does in the product: the outbox looks again, so that retries come."""
    while True:
        await asyncio.sleep(0.1)
        database.wakes.announce(["outbox"])
