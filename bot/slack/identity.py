"""Whose bot this is: the workspace and the bot user, as `auth.test` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """`url` is the workspace's address, for links to messages; `scopes` are those that the token has."""

    team_id: str
    team: str
    bot_user_id: str
    bot_id: str
    enterprise_id: str = ""
    url: str = ""
    scopes: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Identity:
        """From the answer of `auth.test`."""
        return cls(
            team_id=str(answer["team_id"]),
            team=str(answer.get("team") or ""),
            bot_user_id=str(answer["user_id"]),
            bot_id=str(answer.get("bot_id") or ""),
            enterprise_id=str(answer.get("enterprise_id") or ""),
            url=str(answer.get("url") or ""),
            scopes=tuple(answer.get("scopes") or ()),
        )

    def is_home(self, team_id: str) -> bool:
        """Whether that is this workspace, or the organisation that it belongs to."""
        return team_id in {self.team_id, self.enterprise_id} - {""}
