"""The network between the bot and Slack fails below HTTP: each card stands once in the end, each click counts once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_runtime.core.approval import ApprovalRequest
from agent_runtime.delivery import outbox
from agent_runtime.store.outbox import UNDELIVERED
from bot.sandbox.app import running_sandbox
from bot.sandbox.config import SandboxConfig
from bot.slack import client
from bot.transport import socket
from tests.bot.desk import Desk, asked, connected, open_desk
from tests.bot.seeing import action_ids, shown, until
from tests.bot.workspace import APPROVALS, REVIEWER
from tests.proxy import Proxy, proxy_to

LOST_AFTER = 0.4
"""Seconds that a call, or a ping on a connection, waits for its answer; shortened."""

POSTS = b"POST /api/chat.postMessage"


@dataclass
class Wire:
    """A desk whose bot reaches Slack through `proxy` alone."""

    desk: Desk
    proxy: Proxy

    async def cards(self, approval: ApprovalRequest) -> list[object]:
        said = await self.desk.messages(APPROVALS)
        return [one for one in said if action_ids(one) and approval.approval_request_id in shown(one)]

    async def is_away(self) -> bool:
        """The status says so, and why."""
        status = self.desk.surface.status()
        return status["state"] == "connecting" and bool(status["problem"])

    async def waiting(self) -> int:
        """What is to be shown."""
        row = await self.desk.database.one(UNDELIVERED)
        return 0 if row is None else int(row.n)

    async def heals(self) -> None:
        self.proxy.silent.clear()
        self.proxy.deaf.clear()
        self.proxy.delay = 0.0
        if not self.proxy.listening:
            await self.proxy.listen()
        self.desk.clock.forward(outbox.LAST_RETRY / 1_000_000)


@pytest.fixture
async def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    monkeypatch.setattr(client, "TIMEOUT", LOST_AFTER)
    monkeypatch.setattr(socket, "HEARTBEAT", LOST_AFTER)
    config = SandboxConfig(time_scale=0.01, ack_seconds=LOST_AFTER)
    async with running_sandbox(config) as sandbox:
        host, _, port = sandbox.url.removeprefix("http://").partition(":")
        async with proxy_to(host, int(port)) as proxy:
            sandbox.server.base_url = f"http://127.0.0.1:{proxy.port}"  # where Socket Mode is told to connect
            api = f"{sandbox.server.base_url}/api/"
            async with open_desk(sandbox, tmp_path / "countersign.db", slack_api_url=api) as desk:
                await connected(desk)
                yield Wire(desk, proxy)


async def gone(wire: Wire) -> None:
    await wire.proxy.vanish()


async def silent(wire: Wire) -> None:
    wire.proxy.silent.set()


async def cut_before_the_post(wire: Wire) -> None:
    wire.proxy.cut_before = POSTS


async def cut_after_the_post(wire: Wire) -> None:
    wire.proxy.cut_after = POSTS


async def cut_within_the_answer(wire: Wire) -> None:
    wire.proxy.cut_within = POSTS


async def silent_after_the_post(wire: Wire) -> None:
    wire.proxy.silent_after = POSTS


async def slow(wire: Wire) -> None:
    wire.proxy.delay = LOST_AFTER / 4


PASSING = (cut_before_the_post, cut_after_the_post, cut_within_the_answer, silent_after_the_post)
LASTING = (gone, silent)


@pytest.mark.parametrize("fault", [*PASSING, *LASTING, slow], ids=lambda fault: fault.__name__)
async def test_the_card_arrives_once(wire: Wire, fault: Callable[[Wire], Awaitable[None]]) -> None:
    """It is tried again with growing pauses; who knows that a post may have landed looks before posting anew."""
    await fault(wire)
    approval = await wire.desk.proposes(await wire.desk.started_by_operator())
    if fault is not slow:
        await until(lambda: failed(wire), "a call that failed is counted")
        assert await wire.waiting() > 0
    if fault in LASTING:
        await until(wire.is_away, "the status says what is wrong")
    await wire.heals()
    await wire.desk.card(approval)

    async def quiet() -> bool:
        return await wire.waiting() == 0

    await until(quiet, "nothing waits any more")
    assert len(await wire.cards(approval)) == 1
    await connected(wire.desk)
    assert (await wire.desk.clicks(REVIEWER, await wire.desk.card(approval), "approval.approve"))["acked"]
    assert (await wire.desk.ends(approval)).status == "approved"


async def failed(wire: Wire) -> bool:
    return wire.desk.surface.calls().get(("chat.postMessage", "away"), 0) >= 1


async def test_the_outbox_backs_off(wire: Wire) -> None:
    """A second of outage costs a card two tries at most, and all cards of a channel share a few turns."""
    await gone(wire)
    for _ in range(3):
        await wire.desk.proposes(await wire.desk.started_by_operator())
    await until(lambda: failed(wire), "it was tried")
    await asyncio.sleep(1.0)
    assert wire.desk.surface.calls()["chat.postMessage", "away"] <= 6
    await wire.heals()


async def test_a_click_whose_ack_is_lost_counts_once(wire: Wire) -> None:
    """Slack warns the clicker; the decision stands, and the card says so as soon as it can."""
    approval = await asked(wire.desk)
    card = await wire.desk.card(approval)
    await wire.desk.post("/commands", {"user": REVIEWER, "channel": APPROVALS, "command": "/approvals"})  # is known
    wire.proxy.deaf.set()
    assert not (await wire.desk.clicks(REVIEWER, card, "approval.approve"))["acked"]
    assert (await wire.desk.ends(approval)).status == "approved"
    await wire.heals()
    assert action_ids(await wire.desk.card_shows(approval, "Approved", f"<@{REVIEWER}>")) == []
    ended = await wire.desk.approval(approval)
    assert (ended.status, ended.decided_by) == ("approved", f"slack:{wire.desk.sandbox.config.team_id}:{REVIEWER}")


async def test_a_click_that_never_arrives_is_made_again(wire: Wire) -> None:
    """A connection that has gone silent is found by its pings and replaced; Slack has told the clicker meanwhile."""
    approval = await asked(wire.desk)
    card = await wire.desk.card(approval)
    await silent(wire)
    assert not (await wire.desk.clicks(REVIEWER, card, "approval.approve"))["acked"]
    assert (await wire.desk.approval(approval)).pending
    await until(wire.is_away, "the silent connections are given up")
    await wire.heals()
    await connected(wire.desk)

    async def clicked() -> bool:
        return bool((await wire.desk.clicks(REVIEWER, card, "approval.approve"))["acked"])

    await until(clicked, "a click is answered")
    assert (await wire.desk.ends(approval)).status == "approved"
    assert action_ids(await wire.desk.card_shows(approval, "Approved")) == []
