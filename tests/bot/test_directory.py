"""Who somebody is: cached, refreshed by events, and closed where Slack does not tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.slack import directory as module
from bot.slack.client import SlackAway, SlackRefused
from bot.slack.directory import FOREIGN, GROUPS_TTL, UNKNOWN, USER_TTL, Directory
from bot.slack.identity import Identity

HOME = Identity(team_id="T1", team="Home", bot_user_id="UBOT", bot_id="B1", enterprise_id="E1")
ALEX = {"id": "U1", "team_id": "T1", "profile": {"email": "Alex@Example.com"}}
GROUPS = [{"id": "S1", "handle": "DBA", "users": ["U1", "U2"]}, {"id": "S2", "handle": "ops", "users": ["U2"]}]


class People:
    """What Slack would answer."""

    def __init__(self) -> None:
        self.users: dict[str, Any] = {"U1": ALEX}
        self.listed: list[dict[str, Any]] | Exception = GROUPS
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    async def user(self, user: str) -> dict[str, Any]:
        self.asked.append(user)
        if self.gate is not None:
            await self.gate.wait()
        found = self.users.get(user)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise SlackRefused("users.info", "user_not_found")
        return dict(found)

    async def groups(self) -> list[dict[str, Any]]:
        self.asked.append("groups")
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def people() -> People:
    return People()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def directory(people: People, time: Time) -> Directory:
    return Directory(people, now=time)


async def test_all_the_names_of_a_person(directory: Directory) -> None:
    person = await directory.person(HOME, "U1", "T1")
    assert person.actor.principal == "slack:T1:U1"
    assert person.actor.barred == ""
    assert person.actor.identities == {
        "slack:T1:U1",
        "U1",
        "S1",
        "@dba",
        "Alex@Example.com",
        "alex@example.com",
    }


async def test_slack_is_asked_once(directory: Directory, people: People) -> None:
    await asyncio.gather(*(directory.person(HOME, "U1", "T1") for _ in range(5)))
    people.asked.clear()
    await directory.person(HOME, "U1", "T1")
    assert people.asked == []


async def test_and_again_after_a_while(directory: Directory, people: People, time: Time) -> None:
    await directory.person(HOME, "U1", "T1")
    people.asked.clear()
    time.now = USER_TTL
    await directory.person(HOME, "U1", "T1")
    assert people.asked == ["U1"]
    time.now = GROUPS_TTL
    await directory.person(HOME, "U1", "T1")
    assert people.asked == ["U1", "U1", "groups"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"deleted": True}, "deactivated"),
        ({"is_bot": True}, "bots"),
        ({"is_restricted": True}, "guests"),
        ({"is_ultra_restricted": True}, "guests"),
        ({"is_stranger": True}, "another workspace"),
        ({"team_id": "T2"}, "another workspace"),
        ({"team_id": ""}, "another workspace"),
    ],
)
async def test_who_may_decide_nothing(directory: Directory, people: People, fields: dict[str, Any], why: str) -> None:
    people.users["U1"] = ALEX | fields
    person = await directory.person(HOME, "U1", "T1")
    assert why in person.actor.barred
    assert person.actor.identities == frozenset()


async def test_a_person_of_the_same_organisation(directory: Directory, people: People) -> None:
    people.users["U1"] = ALEX | {"team_id": "T2", "enterprise_user": {"enterprise_id": "E1"}}
    assert (await directory.person(HOME, "U1", "T1")).actor.barred == ""


async def test_of_another_team_nobody_is_asked(directory: Directory, people: People) -> None:
    person = await directory.person(HOME, "U1", "T2")
    assert (person.actor.barred, person.actor.principal) == (FOREIGN, "slack:T2:U1")
    assert people.asked == []


@pytest.mark.parametrize("error", [SlackAway("users.info", "x"), SlackRefused("users.info", "user_not_found")])
async def test_slack_does_not_say_who(directory: Directory, people: People, error: Exception) -> None:
    people.users["U1"] = error
    assert (await directory.person(HOME, "U1", "T1")).actor.barred == UNKNOWN


async def test_slack_does_not_say_which_groups(directory: Directory, people: People) -> None:
    people.listed = SlackAway("usergroups.list", "x")
    person = await directory.person(HOME, "U1", "T1")
    assert not person.groups_known
    assert "S1" not in person.actor.identities
    assert person.actor.barred == ""


async def test_a_workspace_without_groups(directory: Directory, people: People) -> None:
    people.listed = SlackRefused("usergroups.list", "plan_upgrade_required")
    assert (await directory.person(HOME, "U1", "T1")).groups_known


async def test_groups_of_other_workspaces_say_nothing(directory: Directory, people: People) -> None:
    people.listed = [{"id": "S9", "handle": "dba", "users": ["U1"], "is_external": True}]
    assert not {"S9", "@dba"} & (await directory.person(HOME, "U1", "T1")).actor.identities


async def test_slack_is_too_slow(directory: Directory, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_UP_BUDGET", 0.01)
    people.gate = asyncio.Event()
    person = await directory.person(HOME, "U1", "T1")
    assert (person.actor.barred, person.groups_known) == (UNKNOWN, False)
    people.gate.set()
    await directory.close()


async def test_a_change_of_a_person_counts_at_once(directory: Directory) -> None:
    await directory.person(HOME, "U1", "T1")
    directory.user_changed({**ALEX, "deleted": True})
    assert "deactivated" in (await directory.person(HOME, "U1", "T1")).actor.barred


async def test_a_look_up_goes_on_when_a_click_has_waited_long_enough(
    directory: Directory, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_UP_BUDGET", 0.01)
    people.gate = asyncio.Event()
    assert (await directory.person(HOME, "U1", "T1")).actor.barred == UNKNOWN
    people.gate.set()
    await asyncio.sleep(0)
    monkeypatch.undo()
    assert (await directory.person(HOME, "U1", "T1")).actor.barred == ""
    assert people.asked.count("U1") == 1


async def test_a_change_of_a_person_while_slack_answers(directory: Directory, people: People) -> None:
    """What was asked before the change is older than it."""
    people.gate = asyncio.Event()
    asking = asyncio.create_task(directory.person(HOME, "U1", "T1"))
    while not people.asked:
        await asyncio.sleep(0)
    directory.user_changed({**ALEX, "deleted": True})
    people.gate.set()
    assert (await asking).actor.barred == "your account is deactivated"
    assert (await directory.person(HOME, "U1", "T1")).actor.barred == "your account is deactivated"


async def test_a_change_of_a_group_counts_at_once(directory: Directory, people: People) -> None:
    await directory.person(HOME, "U1", "T1")
    people.listed = [{"id": "S1", "handle": "dba", "users": ["U2"]}]
    directory.groups_changed()
    assert directory.handles == {}
    assert "S1" not in (await directory.person(HOME, "U1", "T1")).actor.identities
    assert directory.handles == {"dba": "S1"}


async def test_a_change_while_slack_answers(directory: Directory, people: People) -> None:
    """An answer from before the change is not taken: somebody removed must not pass."""
    people.gate = asyncio.Event()
    asking = asyncio.create_task(directory.person(HOME, "U1", "T1"))
    while "groups" not in people.asked:
        await asyncio.sleep(0)
    directory.groups_changed()
    people.gate.set()
    await asking
    assert people.asked.count("groups") == 2


async def test_memory_is_bounded(directory: Directory, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "USERS_KEPT", 3)
    for number in range(9):
        people.users[f"U{number}"] = ALEX | {"id": f"U{number}"}
        await directory.person(HOME, f"U{number}", "T1")
    assert len(directory._users) == 3
