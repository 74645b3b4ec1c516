"""auth.test, api.test, team.info, bots.info."""

from __future__ import annotations

from typing import Any

from bot.sandbox.errors import SlackError
from bot.sandbox.rates import GENEROUS, TIER_3, TIER_4
from bot.sandbox.web_api.method import Call, Method
from bot.sandbox.workspace.rendering import bot_profile


def auth_test(call: Call) -> dict[str, Any]:
    config = call.server.config
    return {
        "url": f"{call.server.base_url}/",
        "team": config.team_name,
        "user": call.workspace.bot.username,
        "team_id": config.team_id,
        "user_id": config.bot_user_id,
        "bot_id": config.bot_id,
        "is_enterprise_install": False,
    }


def api_test(call: Call) -> dict[str, Any]:
    error = call.args.text("error")
    if error:
        raise SlackError(error, args={"error": error})
    return {"args": {}}


def team_info(call: Call) -> dict[str, Any]:
    config = call.server.config
    if call.args.text("team", config.team_id) != config.team_id:
        raise SlackError("team_not_found")
    return {
        "team": {
            "id": config.team_id,
            "name": config.team_name,
            "url": f"{call.server.base_url}/",
            "domain": config.team_domain,
            "email_domain": "",
            "icon": {"image_default": True},
        }
    }


def bots_info(call: Call) -> dict[str, Any]:
    config = call.server.config
    if call.args.text("bot", config.bot_id) != config.bot_id:
        raise SlackError("bot_not_found")
    return {"bot": bot_profile(config)}


METHODS = (
    Method("auth.test", auth_test, GENEROUS),
    Method("api.test", api_test, TIER_4, caller="anyone"),
    Method("team.info", team_info, TIER_3, ("team:read",)),
    Method("bots.info", bots_info, TIER_3, ("users:read",), takes_json=False),
)
