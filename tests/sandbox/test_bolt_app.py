"""A Bolt app that has nothing to do with Countersign runs unchanged on both transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import (
    AGENTS,
    REQUESTER,
    REVIEWER,
    Workspace,
    actions,
    button,
    eventually,
    modal,
    plain,
    served,
    text_input,
)


def lunch_app(client: AsyncWebClient, signing_secret: str) -> AsyncApp:
    """Asks who wants lunch: a mention, a button, a modal with an error, a command, a Home, a reply to a reaction."""
    app = AsyncApp(client=client, signing_secret=signing_secret)

    @app.event("app_mention")
    async def ask(event: dict[str, Any], say: Any) -> None:
        await say(text="Lunch?", thread_ts=event["ts"], blocks=[actions(button("lunch.join", value="soup"))])

    @app.event("message")
    async def heard() -> None: ...

    @app.action("lunch.join")
    async def join(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        where = f"{body['channel']['id']} {body['message']['ts']}"
        await client.views_open(trigger_id=body["trigger_id"], view=modal(text_input("dish"), private_metadata=where))

    @app.view("modal")
    async def order(ack: Any, body: dict[str, Any], view: dict[str, Any], client: AsyncWebClient) -> None:
        dish = view["state"]["values"]["dish"]["text"]["value"]
        if dish == "nothing":
            await ack(response_action="errors", errors={"dish": "Eat something."})
            return
        await ack()
        channel, ts = view["private_metadata"].split()
        await client.chat_update(channel=channel, ts=ts, text=f"<@{body['user']['id']}> has {dish}")

    @app.command("/lunch")
    async def command(ack: Any, respond: Any, command: dict[str, Any]) -> None:
        await ack(f"You said {command['text']}")
        await respond("For everyone", response_type="in_channel")

    @app.event("app_home_opened")
    async def home(event: dict[str, Any], client: AsyncWebClient) -> None:
        section = {"type": "section", "text": plain("Today: soup")}
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section]})

    @app.shortcut("lunch.about")
    async def about(ack: Any, shortcut: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=shortcut["trigger_id"], view=modal(text_input("about")))

    return app


@asynccontextmanager
async def running(workspace: Workspace, transport: str) -> AsyncIterator[None]:
    app = lunch_app(workspace.client, workspace.sandbox.config.signing_secret)
    if transport == "http":
        async with served(app.web_app(path="/slack/events")) as url:
            await workspace.post("request_url", url=f"{url}/slack/events")
            yield
        return
    handler = AsyncSocketModeHandler(app, workspace.sandbox.config.app_token)
    await handler.connect_async()
    try:
        yield
    finally:
        await handler.close_async()


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_a_bolt_app_runs_unchanged(start_workspace: StartWorkspace, transport: str) -> None:
    workspace = await start_workspace()
    async with running(workspace, transport):
        asked = await workspace.say("@Countersign I am hungry")

        async def card() -> Any:
            replies = [m for m in await workspace.messages() if m["thread_ts"] == asked["ts"] and m.get("bot_id")]
            return replies and replies[0]

        posted = await eventually(card)
        assert posted["text"] == "Lunch?"
        click = {"user": REVIEWER, "channel": AGENTS, "message_ts": posted["ts"], "action_id": "lunch.join"}
        assert (await workspace.post("actions", **click))["acked"] is True
        (view,) = await eventually(lambda: workspace.views(REVIEWER))
        submit = f"views/{view['id']}/submit"
        refused = await workspace.post(submit, user=REVIEWER, values={"dish": {"text": {"value": "nothing"}}})
        assert refused["errors"] == {"dish": "Eat something."}
        assert [v["errors"] for v in await workspace.views(REVIEWER)] == [{"dish": "Eat something."}]
        accepted = await workspace.post(submit, user=REVIEWER, values={"dish": {"text": {"value": "soup"}}})
        assert accepted["acked"] is True
        assert await workspace.views(REVIEWER) == []

        async def redrawn() -> bool:
            message = await workspace.message(posted["ts"])
            return message["text"] == f"<@{REVIEWER}> has soup" and message["blocks"] == []

        await eventually(redrawn)


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_commands_homes_and_shortcuts(start_workspace: StartWorkspace, transport: str) -> None:
    workspace = await start_workspace()
    async with running(workspace, transport):
        ran = await workspace.post("commands", user=REQUESTER, channel=AGENTS, command="/lunch", text="soup")
        assert ran["acked"] is True

        async def answered() -> bool:
            said = [(m["text"], m["ephemeral_to"]) for m in await workspace.messages()]
            return said == [("For everyone", None), ("You said soup", REQUESTER)] or said == [
                ("You said soup", REQUESTER),
                ("For everyone", None),
            ]

        await eventually(answered)
        assert (await workspace.post("home", user=REQUESTER))["view"] is None
        (home,) = await eventually(lambda: workspace.views(REQUESTER))
        assert (home["type"], home["blocks"][0]["text"]["text"]) == ("home", "Today: soup")
        assert (await workspace.post("home", user=REQUESTER))["view"]["id"] == home["id"]
        used = await workspace.post("shortcuts", user=REVIEWER, callback_id="lunch.about")
        assert used["acked"] is True
        assert await eventually(lambda: workspace.views(REVIEWER))
