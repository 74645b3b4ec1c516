"""chat.*: posting, editing, deleting, threads, ephemerals, metadata."""

from __future__ import annotations

import json

import pytest
from slack_sdk.errors import SlackApiError

from bot.sandbox.blocks.validate import MAX_SERIALISED_BLOCKS
from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import (
    AGENTS,
    APPROVALS,
    BOT,
    DEACTIVATED,
    REQUESTER,
    REVIEWER,
    Workspace,
    actions,
    button,
    connected,
    error_of,
    plain,
)

SECTION = {"type": "section", "text": plain("Delete 12 rows")}
CARD = [SECTION, actions(button("yes"), button("no"))]
METADATA = {"event_type": "card", "event_payload": {"id": "apr_1"}}


async def test_a_message_has_its_text_blocks_and_author(workspace: Workspace) -> None:
    posted = await workspace.client.chat_postMessage(channel="#agents", text="Delete 12 rows", blocks=CARD)
    assert posted["channel"] == AGENTS
    (shown,) = await workspace.messages()
    assert (shown["ts"], shown["user"], shown["text"]) == (posted["ts"], BOT, "Delete 12 rows")
    assert (shown["bot_id"], shown["app_id"]) == ("B0COUNTERSIGN", "A0COUNTERSIGN")
    assert [block["type"] for block in shown["blocks"]] == ["section", "actions"]
    assert all(block["block_id"] for block in shown["blocks"])


async def test_blocks_may_come_as_text_in_a_form(workspace: Workspace) -> None:
    answer = await workspace.call("chat.postMessage", channel=AGENTS, text="x", blocks=json.dumps(CARD))
    assert answer["message"]["blocks"][0]["text"] == SECTION["text"]
    assert (await workspace.call("chat.postMessage", channel=AGENTS, blocks="{"))["error"] == "invalid_blocks_format"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C0NOWHERE"}, "channel_not_found"),
        ({"channel": DEACTIVATED}, "channel_not_found"),
        ({"channel": AGENTS, "text": ""}, "no_text"),
        ({"channel": AGENTS, "thread_ts": "1.000001"}, "thread_not_found"),
        ({"channel": AGENTS, "blocks": [{"type": "widget"}]}, "invalid_blocks"),
        ({"channel": AGENTS, "blocks": {"type": "divider"}}, "invalid_blocks_format"),
        ({"channel": AGENTS, "metadata": "[1]"}, "invalid_metadata_format"),
        ({"channel": AGENTS, "metadata": {"event_type": "card"}}, "invalid_metadata_schema"),
        (
            {"channel": AGENTS, "metadata": {"event_type": "card", "event_payload": {"x": "y" * 20_000}}},
            "metadata_too_large",
        ),
        ({"channel": AGENTS, "attachments": [{}] * 101}, "too_many_attachments"),
        ({"channel": AGENTS, "markdown_text": "# Hello"}, "markdown_text_conflict"),
    ],
)
async def test_what_cannot_be_posted(workspace: Workspace, arguments: dict[str, object], error: str) -> None:
    call = workspace.client.api_call("chat.postMessage", json={"text": "x"} | arguments)
    assert await error_of(call) == error
    assert await workspace.messages() == []


async def test_blocks_without_a_text_show_only_a_fallback(workspace: Workspace) -> None:
    posted = await workspace.call("chat.postMessage", channel=AGENTS, blocks=json.dumps(CARD))
    assert posted["message"]["text"] == "This content can't be displayed."


async def test_too_many_characters_of_blocks(workspace: Workspace) -> None:
    sections = [{"type": "section", "text": plain("x" * 2900)} for _ in range(5)]
    assert len(json.dumps(sections)) > MAX_SERIALISED_BLOCKS
    call = workspace.client.chat_postMessage(channel=AGENTS, text="x", blocks=sections)
    assert await error_of(call) == "msg_blocks_too_long"
    await workspace.client.chat_postMessage(channel=AGENTS, text="x", blocks=sections[:4])


async def test_a_long_text_is_truncated_with_a_warning(workspace: Workspace) -> None:
    posted = await workspace.client.chat_postMessage(channel=AGENTS, text="x" * 50_000)
    assert (len(posted["message"]["text"]), posted["warning"]) == (40_000, "message_truncated")


async def test_membership(start_workspace: StartWorkspace) -> None:
    public = {"id": "C0PUBLIC1", "name": "public", "members": [REQUESTER], "bot_is_member": False}
    private = {"id": "C0PRIVATE", "name": "private", "members": [REQUESTER], "bot_is_member": False, "is_private": True}
    seeds = {"channels": [public, private], "rate_limits": False}
    workspace = await start_workspace(**seeds, scopes=["chat:write", "chat:write.public"])
    await workspace.client.chat_postMessage(channel="C0PUBLIC1", text="x")
    assert await error_of(workspace.client.chat_postMessage(channel="C0PRIVATE", text="x")) == "channel_not_found"
    workspace = await start_workspace(**seeds, scopes=["chat:write"])
    assert await error_of(workspace.client.chat_postMessage(channel="C0PUBLIC1", text="x")) == "not_in_channel"


async def test_an_archived_channel_takes_nothing(workspace: Workspace) -> None:
    posted = await workspace.client.chat_postMessage(channel=AGENTS, text="x")
    await workspace.post("faults", archived=["agents"])
    client = workspace.client
    assert await error_of(client.chat_postMessage(channel=AGENTS, text="x")) == "is_archived"
    assert await error_of(client.chat_update(channel=AGENTS, ts=posted["ts"], text="y")) == "is_inactive"
    await workspace.post("faults")
    await client.chat_update(channel=AGENTS, ts=posted["ts"], text="y")


async def test_an_update_with_text_alone_removes_the_blocks(workspace: Workspace) -> None:
    posted = await workspace.client.chat_postMessage(channel=AGENTS, text="x", blocks=CARD)
    await workspace.client.chat_update(channel=AGENTS, ts=posted["ts"], text="approved")
    shown = await workspace.message(posted["ts"])
    assert (shown["text"], shown["blocks"], shown["edited"]["user"]) == ("approved", [], BOT)
    await workspace.client.chat_update(channel=AGENTS, ts=posted["ts"], text="again", blocks=[SECTION])
    shown = await workspace.message(posted["ts"])
    assert [block["type"] for block in shown["blocks"]] == ["section"]


async def test_only_own_messages_can_be_changed(workspace: Workspace) -> None:
    theirs = (await workspace.say("hello"))["ts"]
    client = workspace.client
    assert await error_of(client.chat_update(channel=AGENTS, ts=theirs, text="y")) == "cant_update_message"
    assert await error_of(client.chat_delete(channel=AGENTS, ts=theirs)) == "cant_delete_message"
    assert await error_of(client.chat_update(channel=AGENTS, ts="1.000001", text="y")) == "message_not_found"
    assert await error_of(client.chat_update(channel=AGENTS, ts=theirs, text="x" * 4001)) == "cant_update_message"
    own = (await client.chat_postMessage(channel=AGENTS, text="x"))["ts"]
    assert await error_of(client.chat_update(channel=AGENTS, ts=own, text="x" * 4001)) == "msg_too_long"
    await client.chat_delete(channel=AGENTS, ts=own)
    assert [m["ts"] for m in await workspace.messages()] == [theirs]


async def test_metadata_is_kept_and_shown_only_when_asked_for(workspace: Workspace) -> None:
    client = workspace.client
    posted = await client.chat_postMessage(channel=AGENTS, text="x", metadata=METADATA)
    await client.chat_update(channel=AGENTS, ts=posted["ts"], text="y")
    (plainly,) = (await client.conversations_history(channel=AGENTS))["messages"]
    assert "metadata" not in plainly
    (full,) = (await client.conversations_history(channel=AGENTS, include_all_metadata=True))["messages"]
    assert full["metadata"] == METADATA
    other = json.dumps(METADATA | {"event_type": "other"})
    await workspace.call("chat.update", channel=AGENTS, ts=posted["ts"], metadata=other)
    shown = await workspace.message(posted["ts"])
    assert (shown["text"], shown["metadata"]["event_type"]) == ("y", "other")
    await client.chat_update(channel=AGENTS, ts=posted["ts"], text="z", metadata={})
    assert "metadata" not in await workspace.message(posted["ts"])


async def test_threads(workspace: Workspace) -> None:
    parent = (await workspace.say("hello"))["ts"]
    client = workspace.client
    reply = await client.chat_postMessage(channel=AGENTS, text="reply", thread_ts=parent)
    second = await client.chat_postMessage(channel=AGENTS, text="second", thread_ts=reply["ts"])
    assert (reply["message"]["thread_ts"], second["message"]["thread_ts"]) == (parent, parent)
    history = (await client.conversations_history(channel=AGENTS))["messages"]
    assert [(m["text"], m["reply_count"], m["latest_reply"]) for m in history] == [("hello", 2, second["ts"])]
    thread = (await client.conversations_replies(channel=AGENTS, ts=parent))["messages"]
    assert [m["text"] for m in thread] == ["hello", "reply", "second"]
    await client.chat_postMessage(channel=AGENTS, text="for all", thread_ts=parent, reply_broadcast=True)
    newest = (await client.conversations_history(channel=AGENTS))["messages"][0]
    assert (newest["text"], newest["subtype"]) == ("for all", "thread_broadcast")


async def test_an_ephemeral_is_seen_by_one_and_kept_in_no_history(workspace: Workspace) -> None:
    client = workspace.client
    sent = await client.chat_postEphemeral(channel=AGENTS, user=REVIEWER, text="only you")
    assert [m["text"] for m in await workspace.messages(user=REVIEWER)] == ["only you"]
    assert await workspace.messages(user=REQUESTER) == []
    (shown,) = await workspace.messages()
    assert (shown["ts"], shown["ephemeral_to"]) == (sent["message_ts"], REVIEWER)
    assert (await client.conversations_history(channel=AGENTS))["messages"] == []
    assert await error_of(client.chat_update(channel=AGENTS, ts=sent["message_ts"], text="y")) == "message_not_found"


async def test_an_ephemeral_reaches_only_members(workspace: Workspace) -> None:
    client = workspace.client
    call = client.chat_postEphemeral(channel=APPROVALS, user=REQUESTER, text="x")
    assert await error_of(call) == "user_not_in_channel"
    await workspace.post(f"channels/{APPROVALS}/members", user=BOT, present=False)
    assert await error_of(client.chat_postEphemeral(channel=APPROVALS, user=REVIEWER, text="x")) == "not_in_channel"


async def test_a_user_id_is_a_direct_message(workspace: Workspace) -> None:
    posted = await workspace.client.chat_postMessage(channel=REVIEWER, text="psst")
    dm = posted["channel"]
    assert dm.startswith("D")
    assert (await workspace.client.conversations_open(users=REVIEWER))["channel"]["id"] == dm
    mine = (await workspace.get("channels", user=REVIEWER))["channels"]
    assert [(c["id"], c["is_im"], c["user"]) for c in mine if c["is_im"]] == [(dm, True, BOT)]
    others = (await workspace.get("channels", user=REQUESTER))["channels"]
    assert dm not in [c["id"] for c in others]
    status, _ = await workspace.try_post("messages", channel=dm, user=REQUESTER, text="not mine")
    assert status == 404


async def test_a_permalink_names_the_thread(workspace: Workspace) -> None:
    parent = (await workspace.say("hello"))["ts"]
    reply = (await workspace.client.chat_postMessage(channel=AGENTS, text="x", thread_ts=parent))["ts"]
    link = (await workspace.client.chat_getPermalink(channel=AGENTS, message_ts=reply))["permalink"]
    assert link.endswith(f"/archives/{AGENTS}/p{reply.replace('.', '')}?thread_ts={parent}&cid={AGENTS}")


async def test_the_app_hears_of_edits_and_deletions(workspace: Workspace) -> None:
    async with connected(workspace) as app:
        client = workspace.client
        ts = (await client.chat_postMessage(channel=AGENTS, text="x"))["ts"]
        await client.chat_update(channel=AGENTS, ts=ts, text="y")
        await client.chat_delete(channel=AGENTS, ts=ts)
        events = [(await app.next("message"))["payload"]["event"] for _ in range(3)]
    assert [event.get("subtype") for event in events] == [None, "message_changed", "message_deleted"]
    assert events[0]["bot_id"] == "B0COUNTERSIGN"
    assert (events[1]["previous_message"]["text"], events[1]["message"]["text"]) == ("x", "y")
    assert events[2]["deleted_ts"] == ts


async def test_reactions(workspace: Workspace) -> None:
    client = workspace.client
    ts = (await workspace.say("hello"))["ts"]
    await client.reactions_add(channel=AGENTS, timestamp=ts, name="eyes")
    assert (await workspace.message(ts))["reactions"] == [{"name": "eyes", "users": [BOT], "count": 1}]
    assert await error_of(client.reactions_add(channel=AGENTS, timestamp=ts, name="eyes")) == "already_reacted"
    assert await error_of(client.reactions_add(channel=AGENTS, timestamp=ts, name="E Y E")) == "invalid_name"
    await client.reactions_remove(channel=AGENTS, timestamp=ts, name="eyes")
    assert "reactions" not in await workspace.message(ts)
    assert await error_of(client.reactions_remove(channel=AGENTS, timestamp=ts, name="eyes")) == "no_reaction"


async def test_errors_carry_slacks_explanations(workspace: Workspace) -> None:
    with pytest.raises(SlackApiError) as refused:
        await workspace.client.chat_postMessage(
            channel=AGENTS, text="x", blocks=[actions(button("a", text=plain("x" * 76)))]
        )
    problem = "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]"
    assert refused.value.response["errors"] == [problem]
    assert refused.value.response["response_metadata"]["messages"] == [f"[ERROR] {problem}"]
