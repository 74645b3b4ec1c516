"""The same listeners on both transports; what each does when things go wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web

from agent_runtime.errors import StoreUnavailable
from bot.sandbox.app import running_sandbox
from bot.sandbox.config import SandboxConfig
from bot.sandbox.delivery.http import signature
from tests.bot.conftest import OpenDesk
from tests.bot.desk import Desk, asked, connected, open_desk
from tests.bot.seeing import action_ids, click_payload, until
from tests.bot.workspace import APPROVALS, REQUESTER, REVIEWER


@asynccontextmanager
async def serving(desk: Desk) -> AsyncIterator[str]:
    """The surface's routes on a server of their own, with the workspace in HTTP mode."""
    app = web.Application()
    app.add_routes(desk.surface.routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    try:
        status, answer = await desk.post("/request_url", {"url": url})
        assert status == 200, answer
        yield url
    finally:
        await desk.post("/request_url", {"url": None})
        await runner.cleanup()


def http_mode(desk_for: OpenDesk) -> Any:
    return desk_for(slack_app_token=None, slack_signing_secret="local-workspace-signing-secret")


async def test_the_main_job_over_http(desk_for: OpenDesk) -> None:
    async with http_mode(desk_for) as desk:
        await connected(desk)
        async with serving(desk):
            approval = await asked(desk)
            card = await desk.card(approval)
            await desk.clicks(REQUESTER, card, "approval.approve")
            await desk.is_told(REQUESTER, "you asked for this")
            await desk.clicks(REVIEWER, card, "approval.reject")
            form = await desk.view_of(REVIEWER, "approval.reject.submit")
            await desk.submits(REVIEWER, form, answer="Not today.")
            assert (await desk.ends(approval)).feedback == "Not today."
            assert action_ids(await desk.card_shows(approval, "Rejected", "Not today.")) == []
            status, answer = await desk.post(
                "/commands", {"user": REVIEWER, "channel": APPROVALS, "command": "/approvals"}
            )
            assert (status, answer["acked"]) == (200, True)
            assert desk.surface.status()["state"] == "connected"


async def sent(desk: Desk, url: str, body: bytes, *, secret: str | None = None, **headers: str) -> tuple[int, str]:
    timestamp = str(int(time.time()))
    given = {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": signature(secret or desk.sandbox.config.signing_secret, timestamp, body),
    } | headers
    async with desk.http.post(url, data=body, headers=given) as response:
        return response.status, await response.text()


async def test_what_http_refuses(desk_for: OpenDesk) -> None:
    async with http_mode(desk_for) as desk:
        await connected(desk)
        async with serving(desk) as url:
            event = json.dumps({"type": "event_callback", "team_id": "T0SANDBOX", "event": {"type": "x"}}).encode()
            assert (await sent(desk, url, event))[0] == 200
            assert (await sent(desk, url, event, secret="somebody-elses-secret"))[0] == 401
            assert (await sent(desk, url, event + b" ", **{"X-Slack-Request-Timestamp": "1"}))[0] == 401
            assert (await sent(desk, url, b"[" * 10_000))[0] == 400
            assert (await sent(desk, url, b"[1]"))[0] == 400
            assert (await sent(desk, url, b"{nonsense"))[0] == 400
            assert (await sent(desk, url, b" " * 300_000))[0] == 413
            for payload in (b"[]", b"null", b"7", b"{nonsense"):
                form = {"Content-Type": "application/x-www-form-urlencoded"}
                assert (await sent(desk, url, b"payload=" + payload, **form))[0] == 400
            assert (await sent(desk, url, b"<a/>", **{"Content-Type": "text/xml"}))[0] == 415


async def test_the_same_request_again_is_refused(desk_for: OpenDesk) -> None:
    async with http_mode(desk_for) as desk:
        await connected(desk)
        approval = await asked_over_api(desk)
        async with serving(desk) as url:
            card = await desk.card(approval)
            body = json.dumps(click_payload(card, REVIEWER, "approval.approve"))
            form = urlencode({"payload": body}).encode()
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            timestamp = str(int(time.time()))
            signed = {
                "X-Slack-Request-Timestamp": timestamp,
                "X-Slack-Signature": signature(desk.sandbox.config.signing_secret, timestamp, form),
            }
            assert (await sent(desk, url, form, **kind, **signed))[0] == 200
            assert (await desk.ends(approval)).status == "approved"
            assert (await sent(desk, url, form, **kind, **signed))[0] == 401


async def asked_over_api(desk: Desk) -> Any:
    return await desk.proposes(await desk.started_by_operator())


async def test_before_slack_has_said_whose_bot_it_is(desk_for: OpenDesk) -> None:
    async with (
        desk_for(
            slack_bot_token="xoxb-wrong", slack_app_token=None, slack_signing_secret="local-workspace-signing-secret"
        ) as desk,
        serving(desk) as url,
    ):
        event = b'{"type": "event_callback", "event": {"type": "app_mention"}}'
        assert (await sent(desk, url, event))[0] == 503


async def test_reconnects_after_a_cut(desk: Desk) -> None:
    await connected(desk)
    await desk.post("/faults", {"drop_socket": True})
    approval = await asked(desk)
    assert await desk.card(approval)


@pytest.mark.parametrize("reason", ["warning", "refresh_requested", "too_many_websockets"])
async def test_announced_ends_of_connections_are_normal_life(desk: Desk, reason: str) -> None:
    await connected(desk)
    before = set(desk.sandbox.server.socket_mode._connections)
    await desk.post("/faults", {"disconnect": reason})

    async def replaced() -> bool:
        now = desk.sandbox.server.socket_mode._connections
        return len(now) == desk.surface.settings.slack_connections and not before & set(now)

    await until(replaced, "other connections")
    approval = await asked(desk)
    await desk.clicks(REVIEWER, await desk.card(approval), "approval.approve")
    assert (await desk.ends(approval)).status == "approved"


async def test_the_next_connection_is_there_before_the_last_is_cut(tmp_path: Path) -> None:
    """Slack leaves about ten seconds after a warning; a click that comes meanwhile must find a way."""
    async with running_sandbox(SandboxConfig(time_scale=1.0)) as sandbox, open_desk(sandbox, tmp_path / "x.db") as desk:

        async def open_connections(count: int) -> bool:
            return sandbox.server.socket_mode.connection_count == count

        await until(lambda: open_connections(2), "two connections")
        await desk.post("/faults", {"disconnect": "warning"})
        await until(lambda: open_connections(4), "two more, beside those that are about to end")


async def test_as_many_connections_as_wanted(desk_for: OpenDesk) -> None:
    async with desk_for(slack_connections=3) as desk:

        async def three() -> bool:
            return desk.surface.status().get("connections") == 3

        await until(three, "three connections")


async def test_another_process_on_the_same_app_is_pointed_out(
    desk_for: OpenDesk, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk_for() as first:
        await connected(first)
        async with desk_for() as second:
            await connected(second)

            async def warned() -> bool:
                return "another process is connected" in capsys.readouterr().out

            await until(warned, "the warning")


async def test_socket_mode_is_turned_off(desk: Desk) -> None:
    await connected(desk)
    await desk.post("/faults", {"disconnect": "link_disabled"})
    approval = await asked(desk)
    assert await desk.card(approval)


class Stuck:
    """A database whose writes wait until they may go on."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = asyncio.Event()
        self.write = desk.database.write
        monkeypatch.setattr(desk.database, "write", self.late)

    async def late(self, operation: Any, /, *args: Any, **kwargs: Any) -> Any:
        if operation.__name__ == "resolve":
            await self.go_on.wait()
        return await self.write(operation, *args, **kwargs)


async def test_a_database_that_does_not_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 2.5 s the clicker reads that nothing is confirmed; the write goes on, and the card tells."""
    approval = await asked(desk)
    card = await desk.card(approval)
    stuck = Stuck(desk, monkeypatch)
    before = time.monotonic()
    answer = await desk.clicks(REVIEWER, card, "approval.approve")
    assert answer["acked"], answer
    assert time.monotonic() - before < 3
    await desk.is_told(REVIEWER, "Not confirmed yet; the card will update; clicking again is safe.")
    assert (await desk.approval(approval)).pending
    stuck.go_on.set()
    assert (await desk.ends(approval)).status == "approved"
    await desk.card_shows(approval, "Approved", f"<@{REVIEWER}>")


async def test_a_database_that_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    approval = await asked(desk)
    card = await desk.card(approval)
    write = desk.database.write

    async def failing(operation: Any, /, *args: Any, **kwargs: Any) -> Any:
        if operation.__name__ == "resolve":
            raise StoreUnavailable()
        return await write(operation, *args, **kwargs)

    monkeypatch.setattr(desk.database, "write", failing)
    await desk.clicks(REVIEWER, card, "approval.approve")
    await desk.is_told(REVIEWER, "Not confirmed yet")
    monkeypatch.setattr(desk.database, "write", write)
    await desk.clicks(REVIEWER, card, "approval.approve")
    assert (await desk.ends(approval)).status == "approved"


async def test_an_event_that_fails_is_delivered_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await connected(desk)
    write, failures = desk.database.write, [0]

    async def failing_once(operation: Any, /, *args: Any, **kwargs: Any) -> Any:
        if operation.__name__ == "start" and failures[0] == 0:
            failures[0] += 1
            raise StoreUnavailable()
        return await write(operation, *args, **kwargs)

    monkeypatch.setattr(desk.database, "write", failing_once)
    await desk.runs(await desk.mentions(REQUESTER, "refund it"))
    assert failures == [1]
