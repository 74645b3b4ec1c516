"""The App Home and `/approvals`: what concerns one person."""

from __future__ import annotations

import json
from typing import Any

from tests.bot.desk import Desk, asked
from tests.bot.seeing import action_ids, shown, until
from tests.bot.workspace import APPROVALS, REQUESTER, REVIEWER


async def test_home(desk: Desk) -> None:
    approval = await asked(desk)
    await desk.card(approval)

    async def home_of(user: str) -> str:
        await desk.post("/home", {"user": user})
        _, answer = await desk.post("/home", {"user": user})
        return json.dumps(answer.get("view") or {}, ensure_ascii=False)

    async def reviewers_home() -> bool:
        said = await home_of(REVIEWER)
        return "Waiting on me (1)" in said and "ORD-8821" in said and "approval.review" in said

    await until(reviewers_home, "the reviewer's home")

    async def requesters_home() -> bool:
        said = await home_of(REQUESTER)
        return "Waiting on me (0)" in said and "Waiting for approval" in said

    await until(requesters_home, "the requester's home")


async def test_review_from_home(desk: Desk) -> None:
    approval = await asked(desk)
    await desk.card(approval)
    await desk.post("/home", {"user": REVIEWER})

    async def home_view() -> dict[str, Any] | None:
        _, answer = await desk.post("/home", {"user": REVIEWER})
        view: dict[str, Any] | None = answer.get("view")
        return view if view is not None and "approval.review" in json.dumps(view) else None

    view = await until(home_view, "the home")
    status, answer = await desk.post(
        "/actions", {"user": REVIEWER, "view_id": view["id"], "action_id": "approval.review"}
    )
    assert status == 200, answer
    form = await desk.view_of(REVIEWER, "approval.review.submit")
    await desk.submits(REVIEWER, form)
    assert (await desk.ends(approval)).decided_by.endswith(REVIEWER)


async def test_the_command_lists_what_waits_on_me(desk: Desk) -> None:
    approval = await asked(desk)
    await desk.card(approval)
    where = {"channel": APPROVALS, "command": "/approvals"}
    await desk.post("/commands", {"user": REVIEWER, **where})
    told = await desk.is_told(REVIEWER, "1 approval waits on you", "ORD-8821")
    assert "approval.review" in action_ids(told)
    await desk.clicks(REVIEWER, {"channel": APPROVALS, "ts": told["ts"]}, "approval.review")
    form = await desk.view_of(REVIEWER, "approval.review.submit")
    await desk.submits(REVIEWER, form)
    assert (await desk.ends(approval)).status == "approved"
    await desk.post("/commands", {"user": "U0FOREIGN01", **where})
    assert "another workspace" in shown(await desk.is_told("U0FOREIGN01", "You can't see approvals here"))
