"""Each of Slack's troubles that concerns a click, with what the person sees; those of cards are in test_delivery."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.core.approval import Verdict
from agent_runtime.core.policy import Approval
from agent_runtime.store.executions import REQUESTED_BY
from bot.sandbox.app import running_sandbox
from bot.sandbox.config import SandboxConfig
from bot.slack import directory
from tests.bot.conftest import BUDGET
from tests.bot.desk import Desk, asked, connected, open_desk
from tests.bot.seeing import action_ids, shown, until
from tests.bot.workspace import AGENTS, APPROVALS, REQUESTER, REVIEWER

LONGEST_RETRY = 300


async def known(desk: Desk, user: str) -> None:
    """Slack has said who this person is."""
    await desk.post("/commands", {"user": user, "channel": APPROVALS, "command": "/approvals"})


async def calls(desk: Desk, method: str) -> list[dict[str, Any]]:
    return list((await desk.get("/calls", method=method))["calls"])


async def test_slow_slack(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision is committed at once and answered in time; whom Slack has not told about yet clicks again."""
    monkeypatch.setattr(directory, "LOOK_UP_BUDGET", BUDGET)
    approval, other = await asked(desk), await asked(desk)
    card, second = await desk.card(approval), await desk.card(other)
    await known(desk, REQUESTER)
    await desk.post("/faults", {"slow": {"method": "*", "seconds": 1.8}})

    answer = await desk.clicks(REVIEWER, card, "approval.approve")
    assert answer["acked"], answer
    await desk.is_told(REVIEWER, "Slack did not say in time who you are; try again in a moment")
    assert (await desk.approval(approval)).pending
    began = time.monotonic()
    answer = await desk.clicks(REVIEWER, card, "approval.approve")
    assert answer["acked"], answer
    assert (await desk.approval(approval)).status == "approved"
    await desk.decides(other, Verdict.rejected, "no")
    assert time.monotonic() - began < 1.5, "neither a click nor the API waits for Slack"
    for each, words in ((approval, "Approved"), (other, "Rejected")):
        assert action_ids(await desk.card_shows(each, words)) == []
    assert second["ts"] != card["ts"]


async def test_a_storm_of_429s(desk: Desk) -> None:
    """The click counts; nothing is sent again before its time, and the card is drawn when the storm is over."""
    approval = await asked(desk)
    card = await desk.card(approval)
    await known(desk, REVIEWER)
    await desk.post("/faults", {"rate_limited": {"retry_after": 2}})
    before = len(await calls(desk, "chat.update"))
    assert (await desk.clicks(REVIEWER, card, "approval.approve"))["acked"]
    assert (await desk.ends(approval)).status == "approved"
    execution = await desk.execution(approval.execution_id or "")

    async def throttled() -> bool:
        return len(await calls(desk, "chat.update")) > before

    await until(throttled, "it was tried")
    assert (await desk.claims(execution)).status == "running", "the work goes on"
    assert len(await calls(desk, "chat.update")) <= before + 2, "one try a lane: the card's and the progress message's"
    assert desk.surface.calls()["chat.update", "away"] >= 1
    await desk.post("/faults", {})
    assert action_ids(await desk.card_shows(approval, "Approved", f"<@{REVIEWER}>")) == []
    assert desk.surface.calls()["chat.update", "ok"] >= 1
    note = await desk.sees(
        APPROVALS, lambda m: m["ts"] != card["ts"] and "Approved" in shown(m), "the outcome below it"
    )
    about = [m for m in await desk.messages(APPROVALS) if "Approved" in shown(m)]
    assert [m["ts"] for m in about] == [card["ts"], note["ts"]]


async def test_a_revoked_token(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Status and log say it, once; the other doors go on; the cards come when the token works again."""
    await connected(desk)
    await desk.post("/faults", {"revoked_token": True})
    first = await desk.proposes(await desk.started_by_operator())
    second = await desk.proposes(await desk.started_by_operator(), Approval(quorum=2))

    async def told() -> bool:
        return desk.surface.status()["state"] == "away" and await tried_twice()

    async def tried_twice() -> bool:
        return len([c for c in await calls(desk, "chat.postMessage") if c["error"] == "token_revoked"]) >= 2

    await until(told, "the status says it")
    assert desk.surface.calls()["chat.postMessage", "refused"] >= 2
    assert "token_revoked" in str(desk.surface.status()["problem"])
    assert "countersign doctor" in str(desk.surface.status()["problem"])
    assert capsys.readouterr().out.count("the bot token is refused; nothing is lost") == 1
    assert (await desk.decides(first, Verdict.approved)).approval.status == "approved"

    await desk.post("/faults", {})
    desk.clock.forward(LONGEST_RETRY)
    assert action_ids(await desk.card_shows(second, "0 of 2")) != []
    assert action_ids(await desk.card_shows(first, "Approved")) == []
    assert desk.surface.status()["state"] == "connected"


async def test_a_form_that_comes_too_late(desk: Desk) -> None:
    approval = await asked(desk)
    card = await desk.card(approval)
    await desk.post("/faults", {"expired_trigger": True})
    assert (await desk.clicks(REVIEWER, card, "approval.reject"))["acked"]
    await desk.is_told(REVIEWER, "Slack was too slow to open the form; click again.")
    assert (await desk.approval(approval)).pending
    await desk.post("/faults", {})
    await desk.clicks(REVIEWER, card, "approval.reject")
    form = await desk.view_of(REVIEWER, "approval.reject.submit")
    await desk.submits(REVIEWER, form, answer="Not today.")
    assert (await desk.ends(approval)).feedback == "Not today."


async def test_acks_that_arrive_too_late(tmp_path: Path) -> None:
    """Slack shows the clicker a warning; the decision stands, and clicking again says so. A mention starts once."""
    config = SandboxConfig(time_scale=0.01, ack_seconds=0.3)
    async with running_sandbox(config) as sandbox, open_desk(sandbox, tmp_path / "x.db") as desk:
        approval = await asked(desk)
        card = await desk.card(approval)
        await desk.post("/faults", {"delay_acks": 1.0})
        assert not (await desk.clicks(REVIEWER, card, "approval.approve"))["acked"]
        assert (await desk.ends(approval)).status == "approved"
        again = await desk.runs(await desk.mentions(REQUESTER, "refund it"))
        await until(lambda: delivered(desk), "every delivery of the mention")
        await desk.post("/faults", {})
        assert again.execution_id == (await started_last(desk)).execution_id
        assert action_ids(await desk.card_shows(approval, "Approved", f"<@{REVIEWER}>")) == []


async def delivered(desk: Desk) -> bool:
    return not desk.sandbox.server.events._deliveries


async def started_last(desk: Desk) -> Any:
    found = await desk.database.all(REQUESTED_BY, b_requested_by=f"slack:T0SANDBOX:{REQUESTER}", b_limit=10)
    assert len(found) == 2
    return found[0]


async def test_a_channel_that_takes_no_card(desk: Desk) -> None:
    """An archived channel: the people in the thread that asked read that the card stands there instead."""
    await connected(desk)
    await desk.post("/faults", {"archived": [APPROVALS]})
    approval = await asked(desk)
    await desk.card(approval, AGENTS)
    await desk.sees_text(AGENTS, "Not shown everywhere", "is that channel archived?")
