"""blocks.validate: Slack's own check of blocks, without sending them."""

from __future__ import annotations

from typing import Any

from bot.sandbox.blocks.spec import Problem
from bot.sandbox.blocks.validate import block_problems, view_problems
from bot.sandbox.errors import SlackError
from bot.sandbox.rates import TIER_4
from bot.sandbox.web_api.method import Call, Method


def validate(call: Call) -> dict[str, Any]:
    given = [name for name in ("blocks", "view", "message") if name in call.args]
    if len(given) != 1:
        raise SlackError("invalid_arguments", messages=["must provide exactly one of `blocks`, `view`, or `message`"])
    name = given[0]
    content = call.args.json(name)
    if name != "blocks" and not isinstance(content, dict):
        raise SlackError("invalid_arguments", messages=[f"`{name}` must be an object"])
    match name:
        case "blocks":
            problems = block_problems(content)
        case "view":
            problems = view_problems(content)
        case _:
            problems = block_problems(content.get("blocks", []))
    if problems:
        raise SlackError(f"invalid_{name}", errors=[_shown(problem) for problem in problems])
    return {}


def _shown(problem: Problem) -> dict[str, Any]:
    return {"code": "failed_constraint", "message": problem.message, "pointer": problem.pointer}


METHODS = (Method("blocks.validate", validate, TIER_4, caller="anyone"),)
