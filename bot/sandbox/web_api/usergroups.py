"""usergroups.* methods."""

from __future__ import annotations

from typing import Any

from bot.sandbox.errors import SlackError
from bot.sandbox.rates import TIER_2
from bot.sandbox.web_api.method import Call, Method
from bot.sandbox.workspace.people import group_json


def list_(call: Call) -> dict[str, Any]:
    with_users, with_count = call.args.flag("include_users"), call.args.flag("include_count")
    team = call.server.config.team_id
    groups = call.workspace.groups.values()
    return {"usergroups": [group_json(g, team_id=team, with_users=with_users, with_count=with_count) for g in groups]}


def users_list(call: Call) -> dict[str, Any]:
    group = call.workspace.groups.get(call.args.required("usergroup"))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


METHODS = (
    Method("usergroups.list", list_, TIER_2, ("usergroups:read",), takes_json=False),
    Method("usergroups.users.list", users_list, TIER_2, ("usergroups:read",), takes_json=False),
)
