"""HTTP mode as apps see it: verification, signatures, forms, acks, retries."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import (
    AGENTS,
    REQUESTER,
    REVIEWER,
    HttpApp,
    Received,
    Workspace,
    actions,
    button,
    listening,
)

MENTIONS_ONLY = {"bot_events": ["app_mention"], "rate_limits": False}


def challenged(received: Received) -> web.Response:
    return web.json_response({"challenge": json.loads(received.body)["challenge"]})


async def switch(workspace: Workspace, app: HttpApp) -> None:
    """To HTTP mode, as a person saves a request URL in the app's settings."""
    app.answer = challenged
    await workspace.post("request_url", url=app.url)
    await app.next()
    app.answer = lambda received: web.Response()


def payload_of(received: Received) -> Any:
    return json.loads(parse_qs(received.body.decode())["payload"][0])


async def test_a_request_url_must_answer_the_challenge(workspace: Workspace) -> None:
    async with listening() as app:
        for wrong in (web.Response, lambda: web.json_response({"challenge": "x"}), lambda: web.Response(status=500)):
            app.answer = lambda received, answer=wrong: answer()  # type: ignore[misc]
            status, answer = await workspace.try_post("request_url", url=app.url)
            assert (status, answer["error"]) == (422, "url_verification_failed")
            assert json.loads((await app.next()).body)["type"] == "url_verification"
        assert (await workspace.get("state"))["mode"] == "socket"
        await switch(workspace, app)
        state = await workspace.get("state")
        assert (state["mode"], state["request_url"]) == ("http", app.url)
        await workspace.post("request_url", url=None)
        assert (await workspace.get("state"))["mode"] == "socket"


async def test_a_configured_request_url_is_used_at_once(start_workspace: StartWorkspace) -> None:
    async with listening() as app:
        workspace = await start_workspace(**MENTIONS_ONLY, request_url=app.url)
        said = await workspace.say("@Countersign help")
        assert json.loads((await app.next()).body)["event"]["ts"] == said["ts"]


async def test_every_request_is_signed(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(**MENTIONS_ONLY)
    verifier = SignatureVerifier(workspace.sandbox.config.signing_secret)
    async with listening() as app:
        await switch(workspace, app)
        await workspace.say("@Countersign help")
        await workspace.post("commands", user=REQUESTER, channel=AGENTS, command="/approvals", text="mine ü")
        await workspace.post("shortcuts", user=REVIEWER, callback_id="open")
        received = [await app.next() for _ in range(3)]
    for request in received:
        assert verifier.is_valid_request(request.body, request.headers)
        assert not verifier.is_valid_request(request.body + b" ", request.headers)
        assert "X-Slack-Retry-Num" not in request.headers
    kinds = {request.headers["Content-Type"] for request in received}
    assert kinds == {"application/json", "application/x-www-form-urlencoded"}


async def test_a_command_is_a_form_and_its_answer_a_message(workspace: Workspace) -> None:
    async with listening() as app:
        await switch(workspace, app)
        app.answer = lambda received: web.Response(text="Nothing waits for you")
        answer = await workspace.post("commands", user=REQUESTER, channel=AGENTS, command="/approvals", text="mine ü")
        form = {name: values[0] for name, values in parse_qs((await app.next()).body.decode()).items()}
    assert answer["acked"] is True
    assert (form["command"], form["text"], form["user_id"], form["team_id"]) == (
        "/approvals",
        "mine ü",
        REQUESTER,
        "T0SANDBOX",
    )
    (message,) = await workspace.messages()
    assert (message["text"], message["ephemeral_to"]) == ("Nothing waits for you", REQUESTER)


async def test_an_interaction_is_a_form_with_a_payload_and_not_sent_again(workspace: Workspace) -> None:
    posted = await workspace.client.chat_postMessage(channel=AGENTS, text="x", blocks=[actions(button("yes"))])
    click = {"user": REVIEWER, "channel": AGENTS, "message_ts": posted["ts"], "action_id": "yes"}
    async with listening() as app:
        await switch(workspace, app)
        assert (await workspace.post("actions", **click))["acked"] is True
        assert payload_of(await app.next())["actions"][0]["action_id"] == "yes"
        app.answer = lambda received: web.Response(status=500)
        assert await workspace.post("actions", **click) == {"ok": True, "acked": False, "reason": "http_error"}
        await app.next()
        assert app.requests.empty()


async def test_a_failed_event_comes_again_and_says_why(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(**MENTIONS_ONLY, time_scale=1e-4)
    async with listening() as app:
        await switch(workspace, app)
        app.answer = lambda received: web.Response(status=500)
        await workspace.say("@Countersign help")
        tries = [await app.next() for _ in range(4)]
    retries = [(t.headers.get("X-Slack-Retry-Num"), t.headers.get("X-Slack-Retry-Reason")) for t in tries]
    assert retries == [(None, None), ("1", "http_error"), ("2", "http_error"), ("3", "http_error")]
    assert len({json.loads(t.body)["event_id"] for t in tries}) == 1


async def test_an_app_may_ask_for_no_retry(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(**MENTIONS_ONLY, time_scale=1e-4)
    async with listening() as app:
        await switch(workspace, app)
        app.answer = lambda received: web.Response(status=500, headers={"X-Slack-No-Retry": "1"})
        await workspace.say("@Countersign once")
        await app.next()
        app.answer = lambda received: web.Response()
        await workspace.say("@Countersign twice")
        assert json.loads((await app.next()).body)["event"]["text"] == "<@U0COUNTERSIGN> twice"


async def test_a_slow_answer_is_no_ack(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(ack_seconds=0.1)
    async with listening() as app:
        await switch(workspace, app)
        app.may_answer.clear()
        body = {"user": REVIEWER, "callback_id": "open"}
        assert await workspace.post("shortcuts", **body) == {"ok": True, "acked": False, "reason": "http_timeout"}
        app.may_answer.set()
        assert (await workspace.post("shortcuts", **body))["acked"] is True


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 100_000, b"{"])
async def test_a_senseless_answer_is_still_an_ack(workspace: Workspace, body: bytes) -> None:
    async with listening() as app:
        await switch(workspace, app)
        app.answer = lambda received: web.Response(body=body, content_type="application/json")
        assert (await workspace.post("shortcuts", user=REVIEWER, callback_id="open"))["acked"] is True


async def test_an_app_that_is_away_is_a_failed_connection(workspace: Workspace) -> None:
    async with listening() as app:
        await switch(workspace, app)
    answer = await workspace.post("shortcuts", user=REVIEWER, callback_id="open")
    assert answer == {"ok": True, "acked": False, "reason": "connection_failed"}
