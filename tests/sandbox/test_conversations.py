"""conversations.*: reading, joining, paging."""

from __future__ import annotations

from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import AGENTS, APPROVALS, BOT, DEACTIVATED, REQUESTER, REVIEWER, error_of

READ = ["channels:read", "channels:history", "channels:join", "groups:read", "im:read", "im:write", "chat:write"]
SECRET = {"id": "C0SECRET1", "name": "secret", "members": [REVIEWER], "bot_is_member": False, "is_private": True}
PUBLIC = {"id": "C0PUBLIC1", "name": "public", "members": [REVIEWER], "bot_is_member": False}


async def test_a_history_is_paged_newest_first(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(scopes=READ, rate_limits=False)
    for number in range(5):
        await workspace.say(str(number))
    client = workspace.client
    first = await client.conversations_history(channel=AGENTS, limit=2)
    assert ([m["text"] for m in first["messages"]], first["has_more"]) == (["4", "3"], True)
    await workspace.say("newer")
    cursor = first["response_metadata"]["next_cursor"]
    rest = await client.conversations_history(channel=AGENTS, limit=5, cursor=cursor)
    assert ([m["text"] for m in rest["messages"]], rest["has_more"]) == (["2", "1", "0"], False)
    oldest, latest = rest["messages"][2]["ts"], first["messages"][0]["ts"]
    between = await client.conversations_history(channel=AGENTS, oldest=oldest, latest=latest)
    assert [m["text"] for m in between["messages"]] == ["3", "2", "1"]
    within = await client.conversations_history(channel=AGENTS, oldest=oldest, latest=latest, inclusive=True)
    assert [m["text"] for m in within["messages"]] == ["4", "3", "2", "1", "0"]
    assert await error_of(client.conversations_history(channel=AGENTS, cursor="nonsense")) == "invalid_cursor"
    assert await error_of(client.conversations_history(channel=AGENTS, oldest="yesterday")) == "invalid_ts_oldest"


async def test_what_the_bot_is_not_in_it_cannot_read(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(scopes=READ, channels=[PUBLIC, SECRET])
    client = workspace.client
    assert await error_of(client.conversations_history(channel="C0PUBLIC1")) == "not_in_channel"
    assert await error_of(client.conversations_history(channel="C0SECRET1")) == "channel_not_found"
    assert await error_of(client.conversations_info(channel="C0SECRET1")) == "channel_not_found"
    listed = await client.conversations_list(types="public_channel,private_channel")
    assert [(c["name"], c["is_member"]) for c in listed["channels"]] == [("public", False)]
    assert (await client.conversations_join(channel="C0PUBLIC1"))["channel"]["is_member"] is True
    assert (await client.conversations_history(channel="C0PUBLIC1"))["messages"] == []
    again = await client.conversations_join(channel="C0PUBLIC1")
    assert again["warning"] == "already_in_channel"
    assert await error_of(client.conversations_join(channel="C0SECRET1")) == "channel_not_found"


async def test_members_and_conversations_of_a_user(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(scopes=READ)
    client = workspace.client
    members = await client.conversations_members(channel=APPROVALS, limit=2)
    assert members["members"] == ["U0REVIEWER1", "U0REVIEWER2"]
    cursor = members["response_metadata"]["next_cursor"]
    assert (await client.conversations_members(channel=APPROVALS, cursor=cursor))["members"] == [BOT]
    assert await error_of(client.conversations_members(channel=APPROVALS, limit=5000)) == "invalid_limit"
    theirs = await client.users_conversations(user=REQUESTER)
    assert [c["id"] for c in theirs["channels"]] == [AGENTS]
    assert await error_of(client.users_conversations(types="public_channel,nonsense")) == "invalid_types"


async def test_opening_direct_messages(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(scopes=READ)
    client = workspace.client
    opened = await client.conversations_open(users=[REVIEWER], return_im=True)
    assert opened["channel"]["user"] == REVIEWER
    assert (await client.conversations_open(users=REVIEWER))["already_open"] is True
    for users, error in [
        ("U0NOBODY", "user_not_found"),
        (DEACTIVATED, "user_disabled"),
        ("", "users_list_not_supplied"),
        (f"{REVIEWER},{REQUESTER}", "missing_scope"),
        (BOT, "invalid_user_combination"),
    ]:
        assert await error_of(client.conversations_open(users=users)) == error


async def test_one_reply_can_be_read_alone(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(scopes=READ)
    parent = (await workspace.say("hello"))["ts"]
    reply = (await workspace.say("reply", thread_ts=parent))["ts"]
    answer = await workspace.client.conversations_replies(channel=AGENTS, ts=reply)
    assert [m["text"] for m in answer["messages"]] == ["reply"]
    call = workspace.client.conversations_replies(channel=AGENTS, ts="1.000001")
    assert await error_of(call) == "thread_not_found"
