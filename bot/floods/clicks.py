"""Clicks faster than they can be answered: by many on one approval, and by strangers on many."""

from __future__ import annotations

import asyncio
import time

from agent_runtime.conformance.agents import REVIEWER
from agent_runtime.conformance.answering import Answers
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.flooded import Target
from agent_runtime.conformance.waiting import until
from agent_runtime.store.approvals import VOTES
from bot.floods.mentions import TOLD_WITHIN
from bot.floods.workspace import SAYING_NO, Flooded, clicks_in


async def one(workspace: Flooded, target: Target, clicks: int) -> Finding:
    """Everybody clicks on one approval at once."""
    began = time.monotonic()
    answers = Answers()
    (shown,) = await target.ask_for(f"one-{next(workspace.numbers)}", 1)
    people = [REVIEWER, *workspace.strangers]
    users = [people[number % len(people)] for number in range(clicks)]
    given = {200, SAYING_NO}
    await asyncio.gather(
        *(workspace.send(target, workspace.click_request(shown, user), answers, expected=given) for user in users)
    )
    votes = await target.database.all(VOTES, b_id=shown.approval_request_id)
    wrong = [] if len(votes) == 1 else [f"{shown.approval_request_id}: {len(votes)} decisions are recorded"]
    return Finding(
        "P14",
        f"clicks of {len(people)} people on one approval, at once",
        {**answers.figures(), "decisions": len(votes)},
        (*wrong, *answers.violations),
        time.monotonic() - began,
    )


async def many(workspace: Flooded, target: Target, seconds: float, each_second: float) -> Finding:
    """Strangers click on many approvals, and amid them the one who may decide."""
    began = time.monotonic()
    answers, honest = Answers(), Answers()
    strangers = workspace.strangers
    before = {user: workspace.told(user) for user in strangers}
    approvals = await target.ask_for(f"many-{next(workspace.numbers)}", clicks_in(seconds))
    flood = [
        workspace.click_request(approvals[number % len(approvals)], strangers[number % len(strangers)])
        for number in range(round(seconds * each_second))
    ]
    flooding = asyncio.create_task(workspace.send_all(target, flood, answers, each_second))
    try:
        await workspace.clicks(target, approvals, honest)
    finally:
        await flooding
    acknowledged = {name.rpartition(" ")[2] for name in answers.acknowledged}

    async def all_told() -> bool:
        return all(workspace.told(user) > before[user] for user in acknowledged)

    untold = [] if await until(all_told, within=TOLD_WITHIN) else ["not every stranger was told why nothing changed"]
    undecided = await workspace.undecided(target, approvals)
    return Finding(
        "P14",
        f"{each_second:g} clicks a second of {len(strangers)} strangers on {len(approvals)} approvals",
        {
            **answers.figures(),
            "clicks of who may decide": len(honest.seconds),
            "s for the slowest of these": round(honest.slowest, 2),
            "decided": len(approvals) - len(undecided),
        },
        (*untold, *undecided, *answers.violations, *honest.violations),
        time.monotonic() - began,
    )
