"""Cards and Slack's troubles: archived channels, lost answers, 429s, outages, deleted messages, restarts."""

from __future__ import annotations

import json

from agent_runtime.core.approval import ApprovalRequest, Verdict
from agent_runtime.core.policy import Approval
from agent_runtime.delivery.outbox import Outbox
from agent_runtime.store.events import EVENTS_OF_APPROVAL
from agent_runtime.store.outbox import APPROVAL_CARD, RECEIPTS, UNDELIVERED
from tests.bot.conftest import OpenDesk
from tests.bot.desk import Desk, asked, connected
from tests.bot.seeing import action_ids, shown, until
from tests.bot.workspace import AGENTS, APPROVALS, REQUESTER, REVIEWER


async def events(desk: Desk, approval: ApprovalRequest) -> list[str]:
    rows = await desk.database.all(EVENTS_OF_APPROVAL, b_approval=approval.approval_request_id, b_after=0, b_limit=100)
    return [row.type for row in rows]


async def is_recorded(desk: Desk, approval: ApprovalRequest) -> bool:
    return "delivery.failed" in await events(desk, approval)


async def cards(desk: Desk, approval: ApprovalRequest, channel: str = APPROVALS) -> list[dict[str, object]]:
    """Every message of the channel that shows buttons of this approval."""
    return [
        m for m in await desk.messages(channel) if f"approval:{approval.approval_request_id}" in json.dumps(m["blocks"])
    ]


async def calls(desk: Desk, method: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = (await desk.get("/calls", method=method))["calls"]
    return found


async def test_an_archived_channel_is_routed_round(desk: Desk) -> None:
    await connected(desk)
    await desk.post("/faults", {"archived": [APPROVALS]})
    approval = await asked(desk)
    card = await desk.card(approval, AGENTS)
    assert card["thread_ts"]
    await until(lambda: is_recorded(desk, approval), "that the channel takes nothing is recorded")
    await desk.clicks(REVIEWER, card, "approval.approve")
    assert (await desk.ends(approval)).status == "approved"
    await desk.card_shows(approval, "Approved", channel=AGENTS)


async def test_without_a_channel_the_card_stands_in_the_thread(desk_for: OpenDesk) -> None:
    async with desk_for(approvals_channel="") as desk:
        approval = await asked(desk)
        assert (await desk.card(approval, AGENTS))["thread_ts"]


async def test_without_any_channel_reviewers_get_it_directly(desk_for: OpenDesk) -> None:
    async with desk_for(approvals_channel="") as desk:
        await connected(desk)
        approval = await desk.proposes(await desk.started_by_operator())
        for reviewer in (REVIEWER, "U0REVIEWER2"):
            direct = await desk.direct_message(reviewer)
            card = await desk.card(approval, direct)
        await desk.clicks("U0REVIEWER2", card, "approval.approve")
        await desk.ends(approval)
        for reviewer in (REVIEWER, "U0REVIEWER2"):
            await desk.card_shows(approval, "Approved", channel=await desk.direct_message(reviewer))


async def test_no_place_at_all_is_recorded_and_the_clock_runs(desk_for: OpenDesk) -> None:
    async with desk_for(approvals_channel="", reviewers=("@payments-reviewers",)) as desk:
        await connected(desk)
        approval = await desk.proposes(await desk.started_by_operator(), Approval(expires_in_hours=1))
        await until(lambda: is_recorded(desk, approval), "it is recorded")
        assert (await desk.approval(approval)).expires_at is not None


async def test_a_lost_answer_makes_no_second_card(desk: Desk) -> None:
    await connected(desk)
    execution = await desk.runs(await desk.mentions(REQUESTER, "refund it"))
    await desk.sees_text(AGENTS, "refund_agent", f"<@{REQUESTER}>")
    await desk.post("/faults", {"lost_response": {"method": "chat.postMessage", "count": 1}})
    approval = await desk.proposes(execution)
    await until(lambda: has_receipt(desk, approval), "the card's receipt")
    assert len(await cards(desk, approval)) == 1


async def has_receipt(desk: Desk, approval: ApprovalRequest) -> bool:
    rows = await desk.database.all(
        RECEIPTS, b_notifier="slack", b_topic=APPROVAL_CARD, b_subject=approval.approval_request_id
    )
    return bool(rows)


async def test_decided_while_the_cards_record_was_lost(desk: Desk) -> None:
    """The post landed, its answer did not; by the next try the approval is over: the card must not keep its buttons."""
    await connected(desk)
    execution = await desk.runs(await desk.mentions(REQUESTER, "refund it"))
    await desk.sees_text(AGENTS, "refund_agent", f"<@{REQUESTER}>")
    await desk.post(
        "/faults",
        {
            "lost_response": {"method": "chat.postMessage", "count": 1},
            "status_5xx": {"method": "conversations.history", "count": 1},
        },
    )
    approval = await desk.proposes(execution)
    await until(lambda: posted(desk, approval), "the card")
    await desk.decides(approval, Verdict.approved)
    card = await desk.card_shows(approval, "Approved")
    assert action_ids(card) == []
    shows = [m for m in await desk.messages(APPROVALS) if approval.approval_request_id in shown(m)]
    assert len(shows) == 1


async def posted(desk: Desk, approval: ApprovalRequest) -> bool:
    return bool(await cards(desk, approval))


async def test_slow_down_is_obeyed(desk: Desk) -> None:
    await connected(desk)
    execution = await desk.runs(await desk.mentions(REQUESTER, "refund it"))
    await desk.sees_text(AGENTS, "refund_agent", f"<@{REQUESTER}>")
    await desk.post("/faults", {"rate_limited": {"method": "chat.postMessage", "retry_after": 1, "count": 1}})
    approval = await desk.proposes(execution)
    await desk.card(approval)
    assert len(await cards(desk, approval)) == 1
    assert await calls(desk, "conversations.history") == [], "a refused post is known not to be there"


async def test_slack_away_at_the_start(desk_for: OpenDesk) -> None:
    async with desk_for() as desk:
        await connected(desk)
        await desk.post("/faults", {"status_5xx": {"method": "chat.postMessage"}})
        approval = await asked(desk)
        await until(lambda: tried(desk), "it was tried")
        assert await cards(desk, approval) == []
        await desk.post("/faults", {})
        await desk.card(approval)


async def tried(desk: Desk) -> bool:
    return any(call["status"] == 503 for call in await calls(desk, "chat.postMessage"))


async def test_start_before_slack(desk_for: OpenDesk) -> None:
    async with desk_for(slack_bot_token="xoxb-wrong") as desk:

        async def said() -> bool:
            return "invalid_auth" in str(desk.surface.status().get("problem"))

        await until(said, "why it is away")
        assert desk.surface.status()["state"] == "away"
        approval = await desk.proposes(await desk.started_by_operator())
        assert (await desk.decides(approval, Verdict.approved)).approval.status == "approved"


async def test_a_deleted_card_is_posted_again_while_it_is_open(desk: Desk) -> None:
    approval = await asked(desk, Approval(quorum=2))
    card = await desk.card(approval)
    await desk.deletes(card)
    by_api = await desk.votes(approval, REVIEWER)
    assert by_api.pending
    again = await desk.card_shows(approval, "1 of 2")
    assert again["ts"] != card["ts"]
    await desk.decides(approval, Verdict.approved)
    assert action_ids(await desk.card_shows(approval, "Approved")) == []


async def test_another_process_goes_on_where_one_stopped(desk_for: OpenDesk) -> None:
    async with desk_for() as desk:
        approval = await asked(desk)
        await desk.card(approval)
    async with desk_for() as desk:
        await connected(desk)
        await desk.decides(approval, Verdict.rejected, "no")
        assert action_ids(await desk.card_shows(approval, "Rejected", "no")) == []


async def test_decided_while_nobody_was_there(desk_for: OpenDesk) -> None:
    async with desk_for() as desk:
        approval = await asked(desk)
        await desk.card(approval)
        desk.outbox_task.cancel()
        await desk.decides(approval, Verdict.approved)
    async with desk_for() as desk:
        assert action_ids(await desk.card_shows(approval, "Approved")) == []


async def test_everything_is_delivered_in_the_end(desk: Desk) -> None:
    approval = await asked(desk)
    await desk.card(approval)
    await desk.decides(approval, Verdict.approved)
    await desk.card_shows(approval, "Approved")

    async def empty() -> bool:
        row = await desk.database.one(UNDELIVERED)
        return row is not None and row.n == 0

    await until(empty, "the outbox is empty")
    assert isinstance(desk.outbox, Outbox)


async def test_nothing_unfurls_and_every_edit_has_its_blocks(desk: Desk) -> None:
    """Blocks are never dropped by an edit with text alone, and a card names what it is about in its text."""
    approval = await asked(desk, arguments={"page": "https://evil.example/a"})
    await desk.card(approval)
    await desk.decides(approval, Verdict.approved)
    card = await desk.card_shows(approval, "Approved", "https://evil.example/a")
    assert card["blocks"]
    assert card["text"].startswith("Approved: process_refund")
