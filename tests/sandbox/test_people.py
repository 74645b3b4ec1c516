"""Users and user groups: how they look to the app, and the events when they change."""

from __future__ import annotations

from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import (
    AGENTS,
    BOT,
    DEACTIVATED,
    FOREIGN,
    GUEST,
    REQUESTER,
    REVIEWER,
    REVIEWER_2,
    Workspace,
    connected,
    error_of,
)


async def test_the_odd_people_show_as_in_slack(workspace: Workspace) -> None:
    client = workspace.client

    async def user(user_id: str) -> dict[str, object]:
        return dict((await client.users_info(user=user_id))["user"])

    assert (await user(GUEST))["is_restricted"] is True
    foreign = await user(FOREIGN)
    assert (foreign["team_id"], foreign["is_stranger"]) == ("T0PARTNER", True)
    former = await user(DEACTIVATED)
    assert former["deleted"] is True
    assert "is_restricted" not in former
    assert (await user(BOT))["is_bot"] is True
    member = await user(REQUESTER)
    assert (member["team_id"], member["deleted"], member["is_restricted"]) == ("T0SANDBOX", False, False)
    assert await error_of(client.users_info(user="U0NOBODY")) == "user_not_found"


async def test_emails_need_their_scope(start_workspace: StartWorkspace) -> None:
    with_email = await start_workspace()
    found = await with_email.client.users_lookupByEmail(email="ALEX@example.com")
    assert (found["user"]["id"], found["user"]["profile"]["email"]) == (REQUESTER, "alex@example.com")
    assert await error_of(with_email.client.users_lookupByEmail(email="no@example.com")) == "users_not_found"
    assert await error_of(with_email.client.users_lookupByEmail(email="former@example.com")) == "users_not_found"
    without = await start_workspace(scopes=["users:read"])
    assert "email" not in (await without.client.users_info(user=REQUESTER))["user"]["profile"]
    assert await error_of(without.client.users_lookupByEmail(email="alex@example.com")) == "missing_scope"


async def test_users_are_listed_in_pages(workspace: Workspace) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        answer = await workspace.client.users_list(limit=3, cursor=cursor)
        seen += [member["id"] for member in answer["members"]]
        cursor = answer["response_metadata"]["next_cursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 8
    assert BOT in seen


async def test_user_groups(workspace: Workspace) -> None:
    client = workspace.client
    (group,) = (await client.usergroups_list(include_users=True, include_count=True))["usergroups"]
    assert (group["handle"], group["users"], group["user_count"]) == ("payments-reviewers", [REVIEWER, REVIEWER_2], 2)
    assert "users" not in (await client.usergroups_list())["usergroups"][0]
    assert (await client.usergroups_users_list(usergroup=group["id"]))["users"] == [REVIEWER, REVIEWER_2]
    assert await error_of(client.usergroups_users_list(usergroup="S0NONE")) == "no_such_subteam"


async def test_a_changed_group_is_an_event(workspace: Workspace) -> None:
    async with connected(workspace) as app:
        await workspace.post("usergroups/S0REVIEWERS", users=[REVIEWER_2, REQUESTER])
        event = (await app.next("subteam_members_changed"))["payload"]["event"]
    assert (event["subteam_id"], event["added_users"], event["removed_users"]) == (
        "S0REVIEWERS",
        [REQUESTER],
        [REVIEWER],
    )
    assert (await workspace.client.usergroups_users_list(usergroup="S0REVIEWERS"))["users"] == [REVIEWER_2, REQUESTER]


async def test_a_deactivated_person_leaves_groups_and_channels(workspace: Workspace) -> None:
    async with connected(workspace) as app:
        await workspace.post(f"users/{REVIEWER}", deleted=True)
        left = (await app.next("subteam_members_changed"))["payload"]["event"]
        changed = (await app.next("user_change"))["payload"]["event"]
    assert left["removed_users"] == [REVIEWER]
    assert (changed["user"]["id"], changed["user"]["deleted"]) == (REVIEWER, True)
    state = await workspace.get("state")
    assert all(REVIEWER not in channel["members"] for channel in state["channels"])


async def test_joining_is_an_event_where_its_scope_is_granted(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(scopes=["channels:read"])
    async with connected(workspace) as app:
        await workspace.post("channels/C0APPROVALS/members", user=REQUESTER, present=True)
        event = (await app.next("member_joined_channel"))["payload"]["event"]
    assert (event["user"], event["channel"], event["channel_type"]) == (REQUESTER, "C0APPROVALS", "C")


async def test_what_people_type_becomes_slacks_text(workspace: Workspace) -> None:
    async with connected(workspace) as app:
        text = "@countersign ask @payments-reviewers & <b> in #agents, @First Reviewer <@U0REQUESTER> a@example.com"
        said = await workspace.say(text)
        envelope = await app.next("app_mention")
    event = envelope["payload"]["event"]
    assert event["text"] == said["text"]
    assert said["text"] == (
        "<@U0COUNTERSIGN> ask <!subteam^S0REVIEWERS|@payments-reviewers> &amp; &lt;b&gt; in <#C0AGENTS001|agents>, "
        "<@U0REVIEWER1> <@U0REQUESTER> <mailto:a@example.com|a@example.com>"
    )
    kinds = [element["type"] for element in event["blocks"][0]["elements"][0]["elements"]]
    assert kinds == ["user", "text", "usergroup", "text", "channel", "text", "user", "text", "user", "text", "link"]


async def test_a_mention_is_two_events_with_full_envelopes(workspace: Workspace) -> None:
    async with connected(workspace) as app:
        said = await workspace.say("<@U0COUNTERSIGN> help")
        envelopes = {e["payload"]["event"]["type"]: e["payload"] for e in [await app.next(), await app.next()]}
    assert set(envelopes) == {"message", "app_mention"}
    assert len({payload["event_id"] for payload in envelopes.values()}) == 2
    mention = envelopes["app_mention"]
    assert (mention["type"], mention["team_id"], mention["api_app_id"]) == (
        "event_callback",
        "T0SANDBOX",
        "A0COUNTERSIGN",
    )
    assert mention["authorizations"][0]["user_id"] == BOT
    assert mention["event_id"].startswith("Ev")
    assert (mention["event"]["user"], mention["event"]["ts"], mention["event"]["channel"]) == (
        REQUESTER,
        said["ts"],
        AGENTS,
    )
    assert envelopes["message"]["event"]["channel_type"] == "channel"


async def test_a_foreign_person_carries_their_team(workspace: Workspace) -> None:
    async with connected(workspace) as app:
        await workspace.say("@Countersign help", user=FOREIGN)
        payload = (await app.next("app_mention"))["payload"]
    assert (payload["team_id"], payload["is_ext_shared_channel"]) == ("T0SANDBOX", True)
    event = payload["event"]
    assert (event["team"], event["user_team"], event["source_team"]) == ("T0PARTNER", "T0PARTNER", "T0PARTNER")


async def test_a_direct_message_is_no_mention(workspace: Workspace) -> None:
    dm = (await workspace.client.conversations_open(users=REQUESTER))["channel"]["id"]
    async with connected(workspace) as app:
        await workspace.say("@Countersign help", channel=dm)
        await workspace.say("second", channel=dm)
        events = [(await app.next())["payload"]["event"] for _ in range(2)]
    assert [(e["type"], e["channel_type"], e["text"]) for e in events] == [
        ("message", "im", "<@U0COUNTERSIGN> help"),
        ("message", "im", "second"),
    ]


async def test_the_app_hears_only_what_it_subscribed_to_and_is_in(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(bot_events=["app_mention"])
    async with connected(workspace) as app:
        await workspace.say("no mention")
        await workspace.post(f"channels/{AGENTS}/members", user=BOT, present=False)
        await workspace.say("@Countersign while it is away")
        await workspace.post(f"channels/{AGENTS}/members", user=BOT, present=True)
        await workspace.say("@Countersign here")
        assert (await app.next())["payload"]["event"]["text"] == "<@U0COUNTERSIGN> here"
