"""A desk from which tests act as people in the workspace, and as the engine on the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.core.policy import Approval
from agent_runtime.core.principal import LOCAL_OPERATOR
from agent_runtime.delivery.outbox import Outbox
from agent_runtime.operations.deploy import deploy
from agent_runtime.store.database import Database
from bot.entry import Slack
from bot.sandbox.app import Sandbox
from tests.bot.engine import Clock, Engine
from tests.bot.seeing import action_ids, shown, until
from tests.bot.workspace import AGENTS, APPROVALS, ESCALATIONS, REQUESTER, REVIEWER, REVIEWER_2


@dataclass
class Desk(Engine):
    """Everything that a test needs."""

    sandbox: Sandbox
    outbox: Outbox
    http: aiohttp.ClientSession
    outbox_task: asyncio.Task[None]

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

    def copies(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The same message once more, as a crash between a post and its record leaves it."""
        log = self.sandbox.server.workspace.logs[message["channel"]]
        found = log.get(message["ts"])
        assert found is not None
        ts = f"{message['ts'].partition('.')[0]}.999999"
        log.add(replace(found, ts=ts, text=message["text"], blocks=message["blocks"]))
        return {**message, "ts": ts}

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

    async def is_closed(self, approval: ApprovalRequest) -> bool:
        """Whether no message of an approval that has ended asks for anything any more, wherever it stands."""
        said = [m for channel in (AGENTS, APPROVALS, ESCALATIONS) for m in await self.messages(channel)]
        about = [m for m in said if approval.approval_request_id in json.dumps(m["blocks"])]
        return not any(action_ids(message) for message in about)

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
        create = Slack.configured(**given)
        assert create is not None
        surface = create(database)
        outbox = Outbox(database, surface.notifier)
        await surface.start()
        delivering = asyncio.create_task(outbox.run())
        beating = asyncio.create_task(_wake_every_moment(database))
        try:
            yield Desk(database, surface, clock, sandbox, outbox, http, delivering)
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


async def _wake_every_moment(database: Database) -> None:
    """What the scheduler does in the product: the outbox looks again, so that retries come."""
    while True:
        await asyncio.sleep(0.1)
        database.wakes.announce(["outbox"])
