"""Users and user groups, and how Slack's API shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.config import Role, SandboxConfig, UserConfig, UserGroupConfig


@dataclass
class User:
    """A person or the app's bot user."""

    id: str
    name: str
    team_id: str
    role: Role | None
    email: str = ""
    is_bot: bool = False
    is_restricted: bool = False
    is_stranger: bool = False
    deleted: bool = False
    updated: int = 0

    @property
    def username(self) -> str:
        """The old-style handle that payloads carry as `user.username` and `user.name`."""
        return self.name.lower().replace(" ", ".")


@dataclass
class UserGroup:
    """A user group: mentioned as `@handle`, `<!subteam^ID>` in text."""

    id: str
    handle: str
    name: str
    users: list[str] = field(default_factory=list)
    created: int = 0
    updated: int = 0


def user_from(config: UserConfig, home_team: str, now: int) -> User:
    foreign_team = config.team_id or home_team
    return User(
        id=config.id,
        name=config.name,
        team_id=foreign_team,
        role=config.role,
        email=config.email,
        is_restricted=config.role == "guest",
        is_stranger=foreign_team != home_team,
        deleted=config.role == "deactivated",
        updated=now,
    )


def bot_from(config: SandboxConfig, now: int) -> User:
    return User(
        id=config.bot_user_id,
        name=config.bot_name,
        team_id=config.team_id,
        role=None,
        is_bot=True,
        updated=now,
    )


def group_from(config: UserGroupConfig, now: int) -> UserGroup:
    return UserGroup(config.id, config.handle, config.name, list(config.users), created=now, updated=now)


def user_json(user: User, *, bot_id: str, with_email: bool) -> dict[str, Any]:
    """The user object of `users.info`. Slack leaves most out of a deactivated person's, and the e-mail out
    without the scope users:read.email (docs.slack.dev/reference/objects/user-object)."""
    profile: dict[str, Any] = {
        "real_name": user.name,
        "real_name_normalized": user.name,
        "display_name": user.name,
        "display_name_normalized": user.name,
        "avatar_hash": "",
        "status_text": "",
        "status_emoji": "",
        "team": user.team_id,
    }
    if user.is_bot:
        profile["bot_id"] = bot_id
    elif with_email and user.email:
        profile["email"] = user.email
    body: dict[str, Any] = {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.username,
        "deleted": user.deleted,
        "profile": profile,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": user.updated,
    }
    if user.deleted:
        return body
    return body | {
        "real_name": user.name,
        "color": "4bbe2e",
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": False,
        **({"is_stranger": True} if user.is_stranger else {}),
    }


def group_json(group: UserGroup, *, team_id: str, with_users: bool, with_count: bool) -> dict[str, Any]:
    """The usergroup object of `usergroups.list`."""
    body: dict[str, Any] = {
        "id": group.id,
        "team_id": team_id,
        "is_usergroup": True,
        "is_subteam": True,
        "name": group.name,
        "description": "",
        "handle": group.handle,
        "is_external": False,
        "date_create": group.created,
        "date_update": group.updated,
        "date_delete": 0,
        "auto_type": None,
        "deleted_by": None,
        "prefs": {"channels": [], "groups": []},
    }
    if with_users:
        body["users"] = list(group.users)
    if with_count:
        body["user_count"] = len(group.users)
    return body
