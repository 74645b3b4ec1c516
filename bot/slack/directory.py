"""Who somebody is to reviewer lists: their id, groups, handles and e-mail; and why they may decide nothing.

Cached, and refreshed on Slack's events; what Slack does not tell in time is left out, so that it can only refuse.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from agent_runtime.core.principal import Actor
from bot.slack.client import SlackAway, SlackRefused
from bot.slack.identity import Identity

log = structlog.get_logger(__name__)

T = TypeVar("T")

USER_TTL = 300.0
GROUPS_TTL = 600.0
GROUPS_REFRESH = 240.0
"""Seconds that a look-up is good for, and between refreshes of the groups in the background."""

LOOK_UP_BUDGET = 1.5
"""Seconds that a click waits for Slack to say who clicked."""

USERS_KEPT = 10_000

FOREIGN = "you belong to another workspace; only people of this one may decide"
UNKNOWN = "Slack did not say in time who you are; try again in a moment"


class People(Protocol):
    """The part of the Web API that this needs."""

    async def user(self, user: str) -> dict[str, Any]: ...

    async def groups(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Groups:
    """The user groups: `members` by group id, `ids` by handle (lower case, without the @)."""

    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at the door. `groups_known` is False where Slack did not say which groups they are in."""

    actor: Actor
    groups_known: bool = True


class Directory:
    """People and groups of one workspace. `now` gives seconds, monotonic."""

    def __init__(self, people: People, *, now: Callable[[], float]) -> None:
        self._people = people
        self._now = now
        self._users: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()
        self._groups: tuple[float, Groups] | None = None
        self._changes = 0
        self._refreshing: asyncio.Task[Groups | None] | None = None
        self._asking: dict[str, asyncio.Task[dict[str, Any] | None]] = {}

    @property
    def handles(self) -> Mapping[str, str]:
        """Group ids by handle, as far as they are known, for mentions."""
        return self._groups[1].ids if self._groups is not None else {}

    async def person(self, identity: Identity, user: str, team: str) -> Person:
        """Who `user` of `team` (both from Slack's payload) is, within LOOK_UP_BUDGET seconds."""
        principal = f"slack:{team}:{user}"
        if not identity.is_home(team):
            return Person(Actor(principal, barred=FOREIGN))
        principal = f"slack:{identity.team_id}:{user}"
        found, groups = await asyncio.gather(_within_budget(self._user(user)), _within_budget(self._current_groups()))
        barred = UNKNOWN if found is None else _barred(found, identity)
        if barred:
            return Person(Actor(principal, barred=barred), groups is not None)
        assert found is not None
        return Person(Actor(principal, _identities(principal, user, found, groups)), groups is not None)

    async def keep_groups_fresh(self) -> None:
        """Refreshes the groups for ever, so that no click waits for them; cancel it to stop."""
        while True:
            await self._current_groups(refresh=True)
            await asyncio.sleep(GROUPS_REFRESH)

    def user_changed(self, user: Mapping[str, Any]) -> None:
        """Slack says that somebody has changed: `user` is the new user object."""
        user_id = str(user.get("id", ""))
        asking = self._asking.pop(user_id, None)
        if asking is not None or user_id in self._users:
            self._remember(user_id, dict(user))

    def groups_changed(self) -> None:
        """Slack says that the members of a group have changed: what was known is good no more."""
        self._groups = None
        self._changes += 1

    async def _user(self, user: str) -> dict[str, Any] | None:
        known = self._users.get(user)
        if known is not None and self._now() - known[0] < USER_TTL:
            self._users.move_to_end(user)
            return known[1]
        asking = self._asking.get(user)
        if asking is None:
            asking = self._asking[user] = asyncio.create_task(self._ask(user), name="countersign-slack-user")
            asking.add_done_callback(partial(self._asked, user))
        return await asyncio.shield(asking)

    async def _ask(self, user: str) -> dict[str, Any] | None:
        """Goes on where a click has waited long enough, so that the next one finds the answer."""
        try:
            found = await self._people.user(user)
        except (SlackRefused, SlackAway) as error:
            log.warning("slack: cannot look up a user", reason=str(error))
            return None
        if self._asking.get(user) is not asyncio.current_task():  # Slack has said meanwhile what has changed
            known = self._users.get(user)
            return None if known is None else known[1]
        self._remember(user, found)
        return found

    def _asked(self, user: str, asking: asyncio.Task[dict[str, Any] | None]) -> None:
        if self._asking.get(user) is asking:
            del self._asking[user]

    def _remember(self, user: str, found: dict[str, Any]) -> None:
        self._users[user] = (self._now(), found)
        self._users.move_to_end(user)
        while len(self._users) > USERS_KEPT:
            self._users.popitem(last=False)

    async def _current_groups(self, *, refresh: bool = False) -> Groups | None:
        """The groups, from Slack where what is known is too old; None where Slack does not say."""
        if not refresh and self._groups is not None and self._now() - self._groups[0] < GROUPS_TTL:
            return self._groups[1]
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._fetch_groups(), name="countersign-slack-groups")
            self._refreshing.add_done_callback(self._fetched)
        return await asyncio.shield(self._refreshing)

    def _fetched(self, task: asyncio.Task[Groups | None]) -> None:
        self._refreshing = None

    async def _fetch_groups(self) -> Groups | None:
        """Asks Slack, again where a change came while it answered; so a removed member is never taken for one."""
        while True:
            asked_at, changes = self._now(), self._changes
            try:
                groups = _groups(await self._people.groups())
            except SlackRefused as error:
                log.warning("slack: user groups cannot be read; nobody decides by group", reason=str(error))
                return Groups() if error.code == "plan_upgrade_required" else None
            except SlackAway as error:
                log.warning("slack: user groups cannot be read now", reason=str(error))
                return None
            if changes == self._changes:
                self._groups = (asked_at, groups)
                return groups

    async def close(self) -> None:
        """Ends the requests that are under way."""
        under_way = [*self._asking.values(), *([self._refreshing] if self._refreshing is not None else [])]
        for request in under_way:
            request.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _within_budget(look_up: Awaitable[T | None]) -> T | None:
    try:
        return await asyncio.wait_for(look_up, LOOK_UP_BUDGET)
    except TimeoutError:
        return None


def _groups(listed: list[dict[str, Any]]) -> Groups:
    """The workspace's own groups; those of others (Slack Connect) say nothing here."""
    own = [group for group in listed if not group.get("is_external")]
    return Groups(
        members={str(group["id"]): frozenset(group.get("users") or ()) for group in own},
        ids={str(group["handle"]).lower(): str(group["id"]) for group in own if group.get("handle")},
    )


def _barred(user: Mapping[str, Any], identity: Identity) -> str:
    """Why this person may decide nothing; "" where they may, if they are listed."""
    if user.get("deleted"):
        return "your account is deactivated"
    if user.get("is_bot") or user.get("is_workflow_bot") or user.get("id") == "USLACKBOT":
        return "bots may not decide or start anything"
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return "guests may not decide or start anything; ask a full member of the workspace"
    enterprise = str((user.get("enterprise_user") or {}).get("enterprise_id") or "")
    if user.get("is_stranger") or not (
        identity.is_home(str(user.get("team_id") or "")) or (enterprise and enterprise == identity.enterprise_id)
    ):
        return FOREIGN
    return ""


def _identities(principal: str, user: str, found: Mapping[str, Any], groups: Groups | None) -> frozenset[str]:
    """All the names under which a reviewer list may mean this person."""
    names = {principal, user}
    email = (found.get("profile") or {}).get("email")
    if isinstance(email, str) and email:
        names |= {email, email.lower()}
    if groups is not None:
        mine = {group for group, members in groups.members.items() if user in members}
        names |= mine | {f"@{handle}" for handle, group in groups.ids.items() if group in mine}
    return frozenset(names)
