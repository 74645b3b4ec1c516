"""The main job in Slack: a mention starts a run, the card appears, a click resolves, the card tells."""

from __future__ import annotations

from tests.bot.desk import Desk, connected
from tests.bot.seeing import action_ids, shown
from tests.bot.workspace import AGENTS, REQUESTER, REVIEWER


async def test_mention_card_approval_result(desk: Desk) -> None:
    await connected(desk)
    ts = await desk.mentions(REQUESTER, "Customer Alex (cust_001) wants a refund on order ORD-8821")
    execution = await desk.runs(ts)
    assert execution.requested_by == f"slack:T0SANDBOX:{REQUESTER}"
    progress = await desk.sees(
        AGENTS, lambda message: message.get("thread_ts") == ts and message["ts"] != ts, "progress"
    )

    approval = await desk.proposes(execution, words="The order was delivered broken.")
    card = await desk.card(approval)
    assert "ORD-8821" in shown(card)
    assert "29.99" in shown(card)
    assert f"<@{REVIEWER}>" in shown(card)
    assert "0 of 1" in shown(card)
    assert action_ids(card) == [
        "approval.approve",
        "approval.reject",
        "approval.request_changes",
        "approval.details",
    ]

    await desk.clicks(REQUESTER, card, "approval.approve")
    await desk.is_told(REQUESTER, "you asked for this", f"<@{REVIEWER}>")
    assert (await desk.approval(approval)).pending

    await desk.clicks(REVIEWER, card, "approval.approve")
    ended = await desk.ends(approval)
    assert (ended.status, ended.decided_by) == ("approved", f"slack:T0SANDBOX:{REVIEWER}")
    card = await desk.card_shows(approval, "Approved", f"<@{REVIEWER}>", "in Slack")
    assert action_ids(card) == []

    await desk.sees(AGENTS, lambda m: m["ts"] == progress["ts"] and "about to run" in shown(m), "progress goes on")

    await desk.performs(approval, {"value": {"refunded": True}})
    await desk.card_shows(approval, "The call ran", "refunded: true")
    await desk.sees(
        AGENTS, lambda message: message["ts"] == progress["ts"] and "process_refund" in shown(message), "progress"
    )
