"""The control endpoints that are neither clicks nor messages: state, guard, notices, scenarios, the page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot.sandbox import pages
from bot.sandbox.app import running_sandbox
from bot.sandbox.config import SandboxConfig
from bot.sandbox.notices import KEPT, Notices
from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import (
    AGENTS,
    REQUESTER,
    REVIEWER,
    Json,
    Workspace,
    actions,
    button,
    connected,
    error_of,
    modal,
)


async def test_the_state_names_people_channels_and_groups(workspace: Workspace) -> None:
    state = await workspace.get("state")
    roles = [user["role"] for user in state["users"]]
    assert roles == ["requester", "reviewer", "reviewer", "bystander", "guest", "foreign", "deactivated"]
    assert [channel["name"] for channel in state["channels"]] == ["agents", "approvals", "escalations"]
    members = {user["id"] for user in state["users"] if user["role"] != "deactivated"} | {state["bot_user_id"]}
    assert set(state["channels"][0]["members"]) == members
    assert state["channels"][1]["members"] == ["U0REVIEWER1", "U0REVIEWER2", state["bot_user_id"]]
    assert state["team"] == {"id": "T0SANDBOX", "name": "Local workspace", "domain": "local-workspace"}
    assert state["user_groups"][0]["handle"] == "payments-reviewers"
    assert (state["mode"], state["connections"]) == ("socket", 0)
    assert (state["server_controls"], state["commands"]) == (False, None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example:80"},
        {"Host": "127.0.0.1.attacker.example"},
        {"Host": "[::1"},
        {"Origin": "http://attacker.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_other_sites_are_refused(workspace: Workspace, headers: dict[str, str]) -> None:
    for path in ("state", "files/F0"):
        async with workspace.http.get(f"{workspace.sandbox.url}/sandbox/api/{path}", headers=headers) as response:
            assert response.status == 403
    async with workspace.http.post(f"{workspace.sandbox.url}/sandbox/api/reset", headers=headers) as response:
        assert response.status == 403


async def test_the_pages_own_requests_are_let_in(workspace: Workspace) -> None:
    url = workspace.sandbox.url
    for headers in ({"Origin": url, "Sec-Fetch-Site": "same-origin"}, {"Host": "localhost:1"}, {"Host": "[::1]:1"}):
        async with workspace.http.get(f"{url}/sandbox/api/state", headers=headers) as response:
            assert response.status == 200


async def test_unknown_endpoints_and_bad_bodies_explain_themselves(workspace: Workspace) -> None:
    status, answer = await workspace.try_post("massages")
    assert (status, answer["error"]) == (404, "not_found")
    status, answer = await workspace.try_post("messages", channel=AGENTS, user=REQUESTER, text="", colour="red")
    assert (status, {error["field"] for error in answer["errors"]}) == (422, {"text", "colour"})
    async with workspace.http.post(f"{workspace.sandbox.url}/sandbox/api/messages", data=b"{") as response:
        assert response.status == 422
    for body, error in [
        ({"channel": "C0NOWHERE"}, "channel_not_found"),
        ({"user": "U0NOBODY"}, "user_not_found"),
        ({"thread_ts": "1.000001"}, "thread_not_found"),
    ]:
        status, answer = await workspace.try_post(
            "messages", **({"channel": AGENTS, "user": REQUESTER, "text": "x"} | body)
        )
        assert (status, answer["error"]) == (404, error)


async def test_scenarios_are_messages(start_workspace: StartWorkspace) -> None:
    scenario = {
        "id": "refund",
        "label": "Ask for a refund",
        "user": REQUESTER,
        "channel": AGENTS,
        "text": "@Countersign refund ORD-8821",
    }
    workspace = await start_workspace(scenarios=[scenario])
    assert (await workspace.get("state"))["scenarios"] == [scenario]
    said = await workspace.post("scenarios/refund")
    assert (await workspace.message(said["ts"]))["text"] == "<@U0COUNTERSIGN> refund ORD-8821"
    assert (await workspace.try_post("scenarios/other"))[0] == 404


async def test_the_parent_is_told_to_kill_and_start(workspace: Workspace) -> None:
    status, answer = await workspace.try_post("server", action="kill")
    assert (status, answer["error"]) == (409, "no_server_controls")
    told: list[Json] = []
    async with running_sandbox(SandboxConfig(server_controls=True), announce=told.append) as sandbox:
        supervised = Workspace(sandbox, workspace.http)
        await supervised.post("server", action="kill")
        assert (await supervised.get("state"))["server"] == {"state": "stopped"}
        await supervised.post("server", action="start")
        assert (await supervised.try_post("server", action="restart"))[0] == 422
    assert told == [{"event": "server.kill"}, {"event": "server.start"}]


async def test_a_reset_is_as_configured_and_keeps_connections(workspace: Workspace) -> None:
    async with connected(workspace) as app:
        await workspace.say("hello")
        await workspace.post("faults", revoked_token=True)
        await workspace.post("usergroups/S0REVIEWERS", users=[])
        await workspace.post("reset")
        assert await workspace.messages() == []
        state = await workspace.get("state")
        assert (state["connections"], state["faults"]) == (1, {})
        assert state["user_groups"][0]["users"] == ["U0REVIEWER1", "U0REVIEWER2"]
        await workspace.say("@Countersign after")
        assert await app.next("app_mention")


async def test_a_channel_is_archived(workspace: Workspace) -> None:
    await workspace.post(f"channels/{AGENTS}", is_archived=True)
    assert await error_of(workspace.client.chat_postMessage(channel=AGENTS, text="x")) == "is_archived"
    status, answer = await workspace.try_post("messages", channel=AGENTS, user=REQUESTER, text="x")
    assert (status, answer["error"]) == (409, "is_archived")


async def test_a_payload_can_be_delivered_as_it_is(workspace: Workspace) -> None:
    forged = {"type": "block_actions", "team": {"id": "T0ELSEWHERE"}, "user": {"id": "U0NOBODY"}}
    async with connected(workspace) as app:
        app.answer = {"text": "no"}
        answer = await workspace.post("deliveries", type="interactive", payload=forged)
        assert (await app.next())["payload"] == forged
    assert (answer["acked"], answer["payload"]) == (True, {"text": "no"})


@asynccontextmanager
async def stream(workspace: Workspace, user: str, last_id: str | None = None) -> AsyncIterator[Any]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    url = f"{workspace.sandbox.url}/sandbox/api/stream"
    async with workspace.http.get(url, params={"user": user}, headers=headers) as response:
        assert response.content_type == "text/event-stream"

        async def following() -> Json:
            async with asyncio.timeout(5):
                async for line in response.content:
                    if line.startswith(b"data: "):
                        return dict(json.loads(line.removeprefix(b"data: ")))
            raise AssertionError("the stream ended")

        yield following


async def test_the_stream_tells_each_person_what_concerns_them(workspace: Workspace) -> None:
    async with stream(workspace, REVIEWER) as theirs, stream(workspace, REQUESTER) as others:
        assert [(await theirs())["type"], (await others())["type"]] == ["hello", "hello"]
        sent = await workspace.client.chat_postEphemeral(channel=AGENTS, user=REVIEWER, text="only you")
        await workspace.client.chat_postMessage(channel=REVIEWER, text="psst")
        said = await workspace.say("for all")
        assert [(await theirs())["type"] for _ in range(3)] == ["ephemeral", "message", "message"]
        notice = await others()
    assert notice.pop("id")
    assert notice == {"type": "message", "channel": AGENTS, "ts": said["ts"], "thread_ts": None, "change": "posted"}
    assert sent["ok"] is True


async def test_the_stream_tells_of_views_and_connections(workspace: Workspace) -> None:
    async with stream(workspace, REVIEWER) as notices:
        await notices()
        async with connected(workspace) as app:
            assert (await notices())["type"] == "connection"
            posted = await workspace.client.chat_postMessage(channel=AGENTS, text="x", blocks=[actions(button("open"))])
            await notices()
            click = {"user": REVIEWER, "channel": AGENTS, "message_ts": posted["ts"], "action_id": "open"}
            await workspace.post("actions", **click)
            trigger_id = (await app.next("block_actions"))["payload"]["trigger_id"]
            view = (await workspace.client.views_open(trigger_id=trigger_id, view=modal()))["view"]
            notice = await notices()
    assert (notice["type"], notice["view"], notice["change"]) == ("view", view["id"], "shown")


async def test_the_stream_resumes_or_says_that_it_cannot(workspace: Workspace) -> None:
    async with stream(workspace, REQUESTER) as notices:
        last_id = (await notices())["id"]
    first, second = await workspace.say("one"), await workspace.say("two")
    async with stream(workspace, REQUESTER, last_id) as notices:
        assert [(await notices())["ts"] for _ in range(2)] == [first["ts"], second["ts"]]
    for unknown in ("nonsense", "0a0a0a0a-1"):
        async with stream(workspace, REQUESTER, unknown) as notices:
            assert (await notices())["type"] == "resync"


async def test_a_reader_that_is_too_slow_reads_again() -> None:
    notices = Notices()
    listening = notices.listen(None, idle_seconds=5)
    hello = await anext(listening)
    assert hello is not None
    for number in range(KEPT + 1):
        notices.publish("message", number=number)
    resumed = notices.listen(hello.id, idle_seconds=0.01)
    kinds = [notice and notice.kind for notice in [await anext(resumed), await anext(resumed)]]
    assert kinds == ["resync", None]
    await listening.aclose()  # type: ignore[attr-defined]
    await resumed.aclose()  # type: ignore[attr-defined]


async def test_the_page_is_served_under_a_strict_policy(
    workspace: Workspace, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE", tmp_path / "page")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<!doctype html><title>x</title>")
    (tmp_path / "page" / "app.js").write_text("export {};")
    (tmp_path / "secret.txt").write_text("no")
    url = workspace.sandbox.url
    for path, kind in [("/", "text/html"), ("/app.js", "text/javascript")]:
        async with workspace.http.get(url + path) as response:
            assert (response.status, response.content_type) == (200, kind)
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
    for path in ("/other.js", "/..%2fsecret.txt", "/%2e%2e/secret.txt"):
        async with workspace.http.get(url + path) as response:
            assert response.status == 404
