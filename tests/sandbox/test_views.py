"""Modals and Homes: opening, stacking, submitting, closing, and trigger ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_sdk.errors import SlackApiError

from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import (
    AGENTS,
    FOREIGN,
    REQUESTER,
    REVIEWER,
    Json,
    SocketApp,
    Workspace,
    actions,
    button,
    connected,
    error_of,
    modal,
    plain,
    text_input,
)


@pytest.fixture
async def app(workspace: Workspace) -> AsyncIterator[SocketApp]:
    async with connected(workspace) as connected_app:
        yield connected_app


async def trigger(workspace: Workspace, app: SocketApp, user: str = REVIEWER) -> str:
    await workspace.post("shortcuts", user=user, callback_id="open")
    return str((await app.next("shortcut"))["payload"]["trigger_id"])


async def opened(workspace: Workspace, app: SocketApp, *blocks: Json, **fields: Any) -> Json:
    view = modal(*(blocks or (text_input("why"),)), **fields)
    trigger_id = await trigger(workspace, app)
    return dict((await workspace.client.views_open(trigger_id=trigger_id, view=view))["view"])


async def submit(workspace: Workspace, view: Json, values: Json, user: str = REVIEWER) -> tuple[int, Json]:
    return await workspace.try_post(f"views/{view['id']}/submit", user=user, values=values)


async def test_an_opened_modal_shows_to_its_user(workspace: Workspace, app: SocketApp) -> None:
    view = await opened(workspace, app, private_metadata="secret")
    assert (view["type"], view["private_metadata"], view["root_view_id"]) == ("modal", "secret", view["id"])
    assert view["state"]["values"] == {"why": {"text": {"type": "plain_text_input", "value": None}}}
    (shown,) = await workspace.views(REVIEWER)
    assert (shown["id"], shown["callback_id"]) == (view["id"], "modal")
    assert await workspace.views(REQUESTER) == []


async def test_a_trigger_opens_one_view(workspace: Workspace, app: SocketApp) -> None:
    trigger_id = await trigger(workspace, app)
    client = workspace.client
    await client.views_open(trigger_id=trigger_id, view=modal())
    assert await error_of(client.views_open(trigger_id=trigger_id, view=modal())) == "exchanged_trigger_id"
    assert await error_of(client.views_open(trigger_id="1.2.3", view=modal())) == "invalid_trigger_id"


async def test_a_trigger_expires(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(trigger_seconds=1e-6)
    async with connected(workspace) as app:
        trigger_id = await trigger(workspace, app)
        assert await error_of(workspace.client.views_open(trigger_id=trigger_id, view=modal())) == "expired_trigger_id"


async def test_a_bad_view_is_explained(workspace: Workspace, app: SocketApp) -> None:
    trigger_id = await trigger(workspace, app)
    with pytest.raises(SlackApiError) as refused:
        await workspace.client.views_open(trigger_id=trigger_id, view=modal(title=plain("x" * 25)))
    answer = refused.value.response
    assert answer["error"] == "invalid_arguments"
    assert answer["response_metadata"]["messages"] == [
        "[ERROR] must be less than 25 characters [json-pointer:/view/title/text]"
    ]
    # 100 full sections are more than 250 KB.
    huge = modal(*[{"type": "section", "text": plain("x" * 2900)} for _ in range(100)])
    assert await error_of(workspace.client.views_open(trigger_id=trigger_id, view=huge)) == "view_too_large"


async def test_a_submission_carries_what_was_filled_in(workspace: Workspace, app: SocketApp) -> None:
    view = await opened(workspace, app, text_input("why"), text_input("also", initial_value="as before"))
    status, answer = await submit(workspace, view, {"why": {"text": {"value": "because"}}})
    assert (status, answer) == (200, {"ok": True, "acked": True, "response_action": None})
    payload = (await app.next("view_submission"))["payload"]
    assert payload["user"]["id"] == REVIEWER
    assert payload["view"]["state"]["values"] == {
        "why": {"text": {"type": "plain_text_input", "value": "because"}},
        "also": {"text": {"type": "plain_text_input", "value": "as before"}},
    }
    assert payload["trigger_id"]
    assert await workspace.views(REVIEWER) == []


async def test_what_slacks_client_does_not_submit(workspace: Workspace, app: SocketApp) -> None:
    view = await opened(workspace, app, text_input("why", min_length=3, max_length=5), text_input("which"))
    for values, errors in [
        ({}, {"why", "which"}),
        ({"why": {"text": "ab"}, "which": {"text": ""}}, {"why", "which"}),
        ({"why": {"text": "abcdef"}, "which": {"text": "x"}}, {"why"}),
    ]:
        status, answer = await submit(workspace, view, values)
        assert (status, answer["error"], set(answer["errors"])) == (422, "input_required", errors)
    status, answer = await submit(workspace, view, {"what": {"text": "x"}})
    assert (status, answer["error"]) == (422, "no_such_input")
    assert (await submit(workspace, view, {}, user=REQUESTER))[0] == 404
    assert (await submit(workspace, {"id": "VNONE"}, {}))[0] == 404
    assert app.envelopes.empty()


async def test_an_optional_input_may_stay_empty(workspace: Workspace, app: SocketApp) -> None:
    view = await opened(workspace, app, text_input("why") | {"optional": True})
    assert (await submit(workspace, view, {}))[0] == 200


async def test_errors_keep_the_modal_open(workspace: Workspace, app: SocketApp) -> None:
    view = await opened(workspace, app)
    app.answer = {"response_action": "errors", "errors": {"why": "Say more."}}
    _, answer = await submit(workspace, view, {"why": {"text": "x"}})
    assert answer["errors"] == {"why": "Say more."}
    (shown,) = await workspace.views(REVIEWER)
    assert (shown["errors"], shown["state"]["values"]["why"]["text"]["value"]) == ({"why": "Say more."}, "x")


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "errors", "errors": {"other": "not an input here"}},
        {"response_action": "errors", "errors": {}},
        {"response_action": "update", "view": {"type": "modal"}},
        {"response_action": "explode"},
    ],
)
async def test_an_answer_that_slack_does_not_take(workspace: Workspace, app: SocketApp, answer: Json) -> None:
    view = await opened(workspace, app)
    app.answer = answer
    _, outcome = await submit(workspace, view, {"why": {"text": "x"}})
    assert outcome["error"] == "We had some trouble connecting. Try again?"
    assert outcome["problem"]["ok"] is False
    assert [v["id"] for v in await workspace.views(REVIEWER)] == [view["id"]]


async def test_an_unanswered_submission_keeps_the_modal_open(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(ack_seconds=0.2)
    async with connected(workspace) as app:
        view = await opened(workspace, app)
        app.acks = False
        _, outcome = await submit(workspace, view, {"why": {"text": "x"}})
    assert (outcome["acked"], outcome["reason"]) == (False, "http_timeout")
    assert [v["id"] for v in await workspace.views(REVIEWER)] == [view["id"]]


async def test_update_push_and_clear_as_answers(workspace: Workspace, app: SocketApp) -> None:
    first = await opened(workspace, app)
    app.answer = {"response_action": "update", "view": modal(text_input("why"), callback_id="second")}
    await submit(workspace, first, {"why": {"text": "x"}})
    (updated,) = await workspace.views(REVIEWER)
    assert (updated["id"], updated["callback_id"]) == (first["id"], "second")
    app.answer = {"response_action": "push", "view": modal(text_input("top"), callback_id="top")}
    await submit(workspace, first, {})
    below, top = await workspace.views(REVIEWER)
    assert (below["id"], top["callback_id"]) == (first["id"], "top")
    assert (top["root_view_id"], top["previous_view_id"]) == (first["id"], first["id"])
    status, answer = await submit(workspace, below, {})
    assert (status, answer["error"]) == (409, "view_not_on_top")
    app.answer = {"response_action": "clear"}
    await submit(workspace, top, {"top": {"text": "x"}})
    assert await workspace.views(REVIEWER) == []


async def test_views_can_be_pushed_three_high(workspace: Workspace, app: SocketApp) -> None:
    client = workspace.client
    trigger_id = await trigger(workspace, app)
    assert await error_of(client.views_push(trigger_id=trigger_id, view=modal())) == "not_found"
    await opened(workspace, app)
    for _ in range(2):
        await client.views_push(trigger_id=await trigger(workspace, app), view=modal())
    assert len(await workspace.views(REVIEWER)) == 3
    trigger_id = await trigger(workspace, app)
    assert await error_of(client.views_push(trigger_id=trigger_id, view=modal())) == "push_limit_reached"


async def test_an_update_keeps_what_was_typed_and_checks_the_hash(workspace: Workspace, app: SocketApp) -> None:
    view = await opened(workspace, app, actions(button("more")), text_input("why"), external_id="mine")
    click = {"user": REVIEWER, "view_id": view["id"], "action_id": "more", "values": {"why": {"text": "typed"}}}
    assert (await workspace.post("actions", **click))["acked"] is True
    payload = (await app.next("block_actions"))["payload"]
    assert payload["container"] == {"type": "view", "view_id": view["id"]}
    assert payload["view"]["state"]["values"]["why"]["text"]["value"] == "typed"
    client = workspace.client
    larger = modal(text_input("why"), text_input("more"), external_id="mine")
    updated = (await client.views_update(view_id=view["id"], hash=view["hash"], view=larger))["view"]
    assert updated["state"]["values"]["why"]["text"]["value"] == "typed"
    call = client.views_update(view_id=view["id"], hash=view["hash"], view=larger)
    assert await error_of(call) == "hash_conflict"
    assert (await client.views_update(external_id="mine", view=larger))["view"]["id"] == view["id"]
    assert await error_of(client.views_update(view_id="VNONE", view=larger)) == "not_found"
    trigger_id = await trigger(workspace, app)
    assert await error_of(client.views_open(trigger_id=trigger_id, view=larger)) == "duplicate_external_id"


async def test_an_input_tells_the_app_only_where_it_dispatches(workspace: Workspace, app: SocketApp) -> None:
    quiet, loud = text_input("quiet"), text_input("loud") | {"dispatch_action": True}
    view = await opened(workspace, app, quiet, loud)
    typed = {"user": REVIEWER, "view_id": view["id"], "action_id": "text", "value": "x"}
    assert (await workspace.post("actions", block_id="quiet", **typed))["acked"] is None
    assert (await workspace.post("actions", block_id="loud", **typed))["acked"] is True
    payload = (await app.next("block_actions"))["payload"]
    assert (payload["actions"][0]["block_id"], payload["actions"][0]["value"]) == ("loud", "x")
    assert payload["view"]["state"]["values"]["quiet"]["text"]["value"] == "x"


async def test_closing_is_told_where_the_view_asks(workspace: Workspace, app: SocketApp) -> None:
    quiet = await opened(workspace, app)
    assert (await workspace.post(f"views/{quiet['id']}/close", user=REVIEWER))["acked"] is None
    view = await opened(workspace, app, notify_on_close=True)
    assert (await workspace.post(f"views/{view['id']}/close", user=REVIEWER, clear=True))["acked"] is True
    payload = (await app.next("view_closed"))["payload"]
    assert (payload["view"]["id"], payload["is_cleared"]) == (view["id"], True)
    assert await workspace.views(REVIEWER) == []


async def test_a_home_is_published_and_opened(workspace: Workspace, app: SocketApp) -> None:
    home = {"type": "home", "blocks": [actions(button("refresh"))]}
    client = workspace.client
    published = (await client.views_publish(user_id=REQUESTER, view=home))["view"]
    assert await workspace.views(REQUESTER) == []  # published, but not looked at
    answer = await workspace.post("home", user=REQUESTER)
    assert answer["view"]["id"] == published["id"]
    event = (await app.next("app_home_opened"))["payload"]["event"]
    assert (event["user"], event["tab"], event["view"]["id"]) == (REQUESTER, "home", published["id"])
    again = (await client.views_publish(user_id=REQUESTER, view=home, hash=published["hash"]))["view"]
    assert again["id"] == published["id"]
    call = client.views_publish(user_id=REQUESTER, view=home, hash=published["hash"])
    assert await error_of(call) == "hash_conflict"
    click = {"user": REQUESTER, "view_id": published["id"], "action_id": "refresh"}
    assert (await workspace.post("actions", **click))["acked"] is True
    assert (await app.next("block_actions"))["payload"]["view"]["type"] == "home"
    assert (await workspace.try_post("actions", **(click | {"user": FOREIGN})))[0] == 404
    assert await error_of(client.views_publish(user_id="U0NOBODY", view=home)) == "invalid_arguments"
    assert await error_of(client.views_publish(user_id=REQUESTER, view=modal())) == "invalid_arguments"


async def test_modals_are_opened_from_messages(workspace: Workspace, app: SocketApp) -> None:
    posted = await workspace.client.chat_postMessage(channel=AGENTS, text="x", blocks=[actions(button("open"))])
    click = {"user": FOREIGN, "channel": AGENTS, "message_ts": posted["ts"], "action_id": "open"}
    await workspace.post("actions", **click)
    trigger_id = (await app.next("block_actions"))["payload"]["trigger_id"]
    await workspace.client.views_open(trigger_id=trigger_id, view=modal())
    assert len(await workspace.views(FOREIGN)) == 1
