"""Clicks on messages: payloads, confirm dialogs, ephemerals, response URLs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import (
    AGENTS,
    DEACTIVATED,
    FOREIGN,
    REQUESTER,
    REVIEWER,
    Json,
    SocketApp,
    Workspace,
    actions,
    button,
    connected,
    plain,
    text_input,
)

DIALOG = {"title": plain("Sure?"), "text": plain("Really?"), "confirm": plain("Yes"), "deny": plain("No")}
OVERFLOW = {
    "type": "overflow",
    "action_id": "more",
    "options": [{"text": plain("Details"), "value": "details"}, {"text": plain("Snooze"), "value": "snooze"}],
}


async def card(workspace: Workspace, *blocks: Json, **fields: Any) -> str:
    posted = await workspace.client.chat_postMessage(channel=AGENTS, text="card", blocks=list(blocks), **fields)
    return str(posted["ts"])


def clicking(workspace: Workspace, ts: str, **fields: Any) -> Callable[..., Awaitable[tuple[int, Json]]]:
    async def click(action_id: str, **more: Any) -> tuple[int, Json]:
        body = {"user": REVIEWER, "channel": AGENTS, "message_ts": ts, "action_id": action_id, **fields, **more}
        return await workspace.try_post("actions", **body)

    return click


async def interaction(app: SocketApp, kind: str = "block_actions") -> Json:
    return (await app.next(kind))["payload"]


async def test_a_click_says_who_where_and_on_what(workspace: Workspace) -> None:
    ts = await card(workspace, actions(button("yes", value="apr_1", style="primary"), block_id="decide"))
    async with connected(workspace) as app:
        assert await clicking(workspace, ts)("yes") == (200, {"ok": True, "acked": True})
        payload = await interaction(app)
    assert payload["user"] == {
        "id": REVIEWER,
        "username": "first.reviewer",
        "name": "first.reviewer",
        "team_id": "T0SANDBOX",
    }
    assert payload["team"]["id"] == "T0SANDBOX"
    assert payload["channel"] == {"id": AGENTS, "name": "agents"}
    assert payload["container"] == {
        "type": "message",
        "message_ts": ts,
        "channel_id": AGENTS,
        "is_ephemeral": False,
    }
    assert payload["message"]["ts"] == ts
    (action,) = payload["actions"]
    assert (action["action_id"], action["block_id"], action["value"]) == ("yes", "decide", "apr_1")
    assert float(action["action_ts"]) > float(ts)
    assert payload["trigger_id"]
    assert payload["response_url"].startswith(workspace.sandbox.url)


async def test_a_confirm_dialog_holds_the_click_back(workspace: Workspace) -> None:
    ts = await card(workspace, actions(button("yes", confirm=DIALOG), button("no")))
    async with connected(workspace) as app:
        status, answer = await clicking(workspace, ts)("yes")
        assert (status, answer["error"], answer["confirm"]) == (409, "confirmation_required", DIALOG)
        assert (await clicking(workspace, ts)("yes", confirm=True))[0] == 200
        assert (await interaction(app))["actions"][0]["action_id"] == "yes"
        # The first click reached nobody: the second is the first delivery.
        assert (await clicking(workspace, ts)("no", confirm=True))[0] == 200
        assert (await interaction(app))["actions"][0]["action_id"] == "no"


async def test_an_overflow_option_is_chosen_by_its_value_or_whole(workspace: Workspace) -> None:
    ts = await card(workspace, {"type": "section", "text": plain("x"), "accessory": OVERFLOW})
    async with connected(workspace) as app:
        for chosen in ("snooze", {"text": plain("Snooze"), "value": "snooze"}):
            assert (await clicking(workspace, ts)("more", selected_option=chosen))[0] == 200
            action = (await interaction(app))["actions"][0]
            assert action["selected_option"] == OVERFLOW["options"][1]
        status, answer = await clicking(workspace, ts)("more", selected_option="delete")
    assert (status, answer["error"]) == (422, "no_such_option")


async def test_a_choice_is_in_the_state(workspace: Workspace) -> None:
    options = [{"text": plain("A"), "value": "a"}, {"text": plain("B"), "value": "b"}]
    select = {"type": "static_select", "action_id": "pick", "options": options, "initial_option": options[0]}
    ts = await card(workspace, actions(select, block_id="form"), text_input("why"))
    async with connected(workspace) as app:
        assert (await clicking(workspace, ts)("pick", value="b"))[0] == 200
        payload = await interaction(app)
    assert payload["actions"][0]["selected_option"] == options[1]
    assert payload["state"]["values"] == {
        "form": {"pick": {"type": "static_select", "selected_option": options[1]}},
        "why": {"text": {"type": "plain_text_input", "value": None}},
    }


async def test_what_is_not_there_cannot_be_clicked(workspace: Workspace) -> None:
    ts = await card(workspace, actions(button("yes"), block_id="decide"))
    click = clicking(workspace, ts)
    for fields, error in [
        ({"action_id": "maybe"}, "action_not_found"),
        ({"action_id": "yes", "block_id": "other"}, "action_not_found"),
        ({"action_id": "yes", "message_ts": "1.000001"}, "message_not_found"),
        ({"action_id": "yes", "channel": "C0NOWHERE"}, "channel_not_found"),
        ({"action_id": "yes", "user": "U0NOBODY"}, "user_not_found"),
    ]:
        status, answer = await click(**fields)
        assert (status, answer["error"]) == (404, error)
    status, answer = await workspace.try_post("actions", user=REVIEWER, action_id="yes")
    assert (status, answer["error"]) == (422, "invalid_request")
    status, answer = await workspace.try_post("actions", action_id="yes")
    assert (status, [e["field"] for e in answer["errors"]]) == (422, ["user"])


async def test_a_click_that_nobody_takes_says_so(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(ack_seconds=0.1)
    ts = await card(workspace, actions(button("yes")))
    answer = await clicking(workspace, ts)("yes")
    assert answer == (200, {"ok": True, "acked": False, "reason": "connection_failed"})
    async with connected(workspace) as app:
        app.acks = False
        answer = await clicking(workspace, ts)("yes")
    assert answer == (200, {"ok": True, "acked": False, "reason": "http_timeout"})
    assert app.envelopes.qsize() == 1  # a click is not sent again


@pytest.mark.parametrize(("user", "team"), [(FOREIGN, "T0PARTNER"), (DEACTIVATED, "T0SANDBOX")])
async def test_the_odd_people_can_click_so_that_apps_must_refuse_them(
    workspace: Workspace, user: str, team: str
) -> None:
    ts = await card(workspace, actions(button("yes")))
    async with connected(workspace) as app:
        assert (await clicking(workspace, ts, user=user)("yes"))[0] == 200
        payload = await interaction(app)
    assert (payload["user"]["id"], payload["user"]["team_id"]) == (user, team)


async def test_an_ephemeral_is_clicked_only_by_its_reader_and_without_the_message(workspace: Workspace) -> None:
    sent = await workspace.client.chat_postEphemeral(
        channel=AGENTS, user=REVIEWER, text="x", blocks=[actions(button("yes"))]
    )
    async with connected(workspace) as app:
        assert (await clicking(workspace, sent["message_ts"], user=REQUESTER)("yes"))[0] == 404
        assert (await clicking(workspace, sent["message_ts"])("yes"))[0] == 200
        payload = await interaction(app)
    assert payload["container"]["is_ephemeral"] is True
    assert "message" not in payload


async def respond(workspace: Workspace, url: str, **body: Any) -> tuple[int, str]:
    async with workspace.http.post(url, json=body) as response:
        return response.status, await response.text()


async def test_a_response_url_replaces_deletes_and_adds(workspace: Workspace) -> None:
    ts = await card(workspace, actions(button("yes")))
    async with connected(workspace) as app:
        await clicking(workspace, ts)("yes")
        url = (await interaction(app))["response_url"]
    assert await respond(workspace, url, text="done", replace_original=True) == (200, "ok")
    shown = await workspace.message(ts)
    assert (shown["text"], shown["blocks"]) == ("done", [])
    await respond(workspace, url, text="for you")
    await respond(workspace, url, text="for all", response_type="in_channel", thread_ts=ts)
    added = [(m["text"], m["ephemeral_to"], m["thread_ts"]) for m in (await workspace.messages())[1:]]
    assert added == [("for you", REVIEWER, None), ("for all", None, ts)]
    await respond(workspace, url, delete_original=True)
    assert [m["text"] for m in await workspace.messages()] == ["for you", "for all"]


async def test_a_response_url_works_five_times(workspace: Workspace) -> None:
    ts = await card(workspace, actions(button("yes")))
    async with connected(workspace) as app:
        await clicking(workspace, ts)("yes")
        url = (await interaction(app))["response_url"]
    answers = [await respond(workspace, url, text=str(n)) for n in range(6)]
    assert [status for status, _ in answers] == [200] * 5 + [404]
    assert "used_url" in answers[5][1]
    assert (await respond(workspace, url + "x", text="x"))[0] == 404


async def test_a_response_url_expires(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(time_scale=1e-9)
    ts = await card(workspace, actions(button("yes")))
    async with connected(workspace) as app:
        await clicking(workspace, ts)("yes")
        url = (await interaction(app))["response_url"]
    status, text = await respond(workspace, url, text="late")
    assert (status, "expired_url" in text) == (404, True)


async def test_a_bad_answer_is_refused_with_its_reason(workspace: Workspace) -> None:
    ts = await card(workspace, actions(button("yes")))
    async with connected(workspace) as app:
        await clicking(workspace, ts)("yes")
        url = (await interaction(app))["response_url"]
    assert "no_text" in (await respond(workspace, url))[1]
    status, text = await respond(workspace, url, blocks=[{"type": "widget"}])
    assert (status, "invalid_blocks" in text) == (400, True)


async def test_message_shortcuts_carry_the_message(workspace: Workspace) -> None:
    ts = (await workspace.say("look at this"))["ts"]
    async with connected(workspace) as app:
        body = {"user": REVIEWER, "callback_id": "look", "channel": AGENTS, "message_ts": ts}
        assert (await workspace.post("shortcuts", **body))["acked"] is True
        payload = await interaction(app, "message_action")
    assert (payload["callback_id"], payload["message"]["text"]) == ("look", "look at this")
    status, _ = await workspace.try_post("shortcuts", user=REVIEWER, callback_id="look", channel=AGENTS)
    assert status == 422


async def test_commands_the_app_does_not_have(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(slash_commands=["/approvals"])
    body = {"user": REQUESTER, "channel": AGENTS, "text": ""}
    status, answer = await workspace.try_post("commands", command="/other", **body)
    assert (status, answer["error"]) == (404, "command_not_found")
    answer = await workspace.post("commands", command="/approvals", **body)
    assert (answer["acked"], answer["error"]) == (False, "/approvals failed with the error 'dispatch_failed'")
    assert (await workspace.get("state"))["commands"] == ["/approvals"]


async def test_a_command_is_answered_by_its_ack(workspace: Workspace) -> None:
    async with connected(workspace) as app:
        app.answer = {"text": "for all", "response_type": "in_channel"}
        await workspace.post("commands", user=FOREIGN, channel=AGENTS, command="/approvals", text="mine")
        payload = (await app.next("/approvals"))["payload"]
        app.answer = {"blocks": [{"type": "widget"}]}
        bad = await workspace.post("commands", user=REQUESTER, channel=AGENTS, command="/approvals")
    assert (payload["user_id"], payload["text"], payload["channel_id"]) == (FOREIGN, "mine", AGENTS)
    assert payload["user_team_id"] == "T0PARTNER"
    assert bad["error"].endswith("'invalid_command_response'")
    assert [(m["text"], m["ephemeral_to"]) for m in await workspace.messages()] == [("for all", None)]
