"""Whether those who are named as reviewers could decide, by the rules that a click meets."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bot.checks.finding import Finding, Level, bad, good, note
from bot.settings import SlackSettings
from bot.slack.client import SlackAway, SlackClient, SlackRefused
from bot.slack.directory import Directory
from bot.slack.identity import Identity

ABOUT = "Slack reviewers"
SELF_APPROVAL = (
    "nobody decides what they asked for themselves: name a second person, or set allow_self_approval on the tool's "
    "Approval"
)

_USER = re.compile(r"[UW][A-Z0-9]{2,}", re.ASCII)
_PRINCIPAL = re.compile(r"slack:([A-Z0-9]+):([UW][A-Z0-9]+)", re.ASCII)
_GROUP = re.compile(r"S[A-Z0-9]{2,}", re.ASCII)


async def check_reviewers(settings: SlackSettings, client: SlackClient, identity: Identity) -> list[Finding]:
    """All that COUNTERSIGN_REVIEWERS and COUNTERSIGN_ESCALATION_REVIEWERS name; `api:NAME` is no one of Slack's."""
    if not settings.reviewers:
        return [
            note(
                ABOUT,
                "COUNTERSIGN_REVIEWERS is not set: cards can be decided only where a tool's Approval names reviewers",
                "set it to user ids (profile → ⋮ → Copy member ID), @group-handles or e-mail addresses",
            )
        ]
    return await Reviewers(client, identity).check([*settings.reviewers, *settings.escalation_reviewers])


class Reviewers:
    """Looks reviewers up; asks for the user groups once."""

    def __init__(self, client: SlackClient, identity: Identity) -> None:
        self._client = client
        self._identity = identity
        self._groups: list[dict[str, Any]] | None = None
        self._people: set[str] = set()

    async def check(self, named: Sequence[str]) -> list[Finding]:
        """One finding for each that cannot decide, then one for all others."""
        found = [await self._one(name) for name in dict.fromkeys(named) if not name.startswith("api:")]
        wrong = [finding for finding in found if finding.level is not Level.good]
        fine = ", ".join(finding.text for finding in found if finding.level is Level.good)
        if fine and len(self._people) == 1:
            return [*wrong, note(ABOUT, f"only {fine} may decide", SELF_APPROVAL)]
        return [*wrong, good(ABOUT, fine)] if fine else wrong

    async def _one(self, name: str) -> Finding:
        try:
            if _GROUP.fullmatch(name) or name.startswith("@"):
                return await self._group(name)
            if "@" in name:
                return await self._person(name, await self._client.user_by_email(name))
            return await self._member(name)
        except SlackRefused as error:
            return _refused(name, error)
        except SlackAway as error:
            return note(ABOUT, f"{name} could not be looked up ({error})", "run this again in a moment")

    async def _member(self, name: str) -> Finding:
        principal = _PRINCIPAL.fullmatch(name)
        if principal is not None and not self._identity.is_home(principal[1]):
            return bad(
                ABOUT, f"{name} is of another workspace than {self._identity.team_id}", "name the user's id alone"
            )
        return await self._person(name, await self._client.user(principal[2] if principal is not None else name))

    async def _person(self, name: str, user: Mapping[str, Any]) -> Finding:
        user_id = str(user["id"])
        directory = Directory(_Answered(user), now=time.monotonic)
        person = await directory.person(self._identity, user_id, self._identity.team_id)
        shown = str((user.get("profile") or {}).get("real_name") or user.get("name") or user_id)
        if person.actor.barred:
            return bad(
                ABOUT,
                f"{name} ({shown}) may decide nothing; they would read: “{person.actor.barred}”",
                "take them out of COUNTERSIGN_REVIEWERS or COUNTERSIGN_ESCALATION_REVIEWERS",
            )
        self._people.add(user_id)
        return good(ABOUT, f"{shown} ({name})")

    async def _group(self, name: str) -> Finding:
        if self._groups is None:
            self._groups = [group for group in await self._client.groups() if not group.get("is_external")]
        handle = name.removeprefix("@").lower()
        group = next(
            (one for one in self._groups if name == one.get("id") or handle == str(one.get("handle")).lower()), None
        )
        if group is None:
            return bad(
                ABOUT, f"there is no user group {name}", "correct its handle or id; disabled groups do not count"
            )
        members = [str(member) for member in group.get("users") or ()]
        if not members:
            return bad(ABOUT, f"the user group {name} is empty", "add people to it in Slack")
        self._people.update(members)
        return good(ABOUT, f"{name} ({len(members)} {'person' if len(members) == 1 else 'people'})")


class _Answered:
    """What Slack has said about one person, as the directory asks for it; groups do not matter here."""

    def __init__(self, user: Mapping[str, Any]) -> None:
        self._user = dict(user)

    async def user(self, user: str) -> dict[str, Any]:
        return self._user

    async def groups(self) -> list[dict[str, Any]]:
        return []


def _refused(name: str, error: SlackRefused) -> Finding:
    if error.code in {"user_not_found", "users_not_found", "user_not_visible"}:
        return bad(ABOUT, f"there is nobody called {name} in this workspace", "correct the id or the e-mail address")
    if error.code == "plan_upgrade_required":
        return bad(ABOUT, f"{name}: this workspace's plan has no user groups", "name people instead")
    if error.code == "missing_scope":
        return note(ABOUT, f"{name} could not be looked up: the scope {error.needed} is missing")
    return bad(ABOUT, f"{name} cannot be looked up ({error})", "name somebody else, or try again")
