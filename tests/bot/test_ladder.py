"""The ladder as people see it: reminder, escalation, warning with more time, expiry; and calls in doubt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent_runtime.core.approval import ApprovalRequest, Verdict
from agent_runtime.core.policy import Approval
from agent_runtime.operations.calls import ask_in_doubt, start_call
from agent_runtime.store.events import EVENTS_OF_APPROVAL
from agent_runtime.store.steps import GET_STEP
from tests.bot.conftest import OpenDesk
from tests.bot.desk import Desk, asked
from tests.bot.seeing import action_ids, shown, until
from tests.bot.workspace import AGENTS, APPROVALS, BYSTANDER, ESCALATIONS, REQUESTER, REVIEWER, REVIEWER_2

SHORT = Approval(expires_in_hours=1, remind_after="10m", escalate_after="20m")


async def shown_and_running(desk: Desk, approval: ApprovalRequest) -> None:
    """Until the card is shown, which starts the clock."""

    async def started() -> bool:
        return (await desk.approval(approval)).clock_started_at is not None

    await until(started, "the clock runs")


async def later(desk: Desk, minutes: float) -> None:
    desk.clock.forward(minutes * 60)
    await desk.sweeps()


async def notes(desk: Desk, approval: ApprovalRequest, channel: str = APPROVALS) -> list[str]:
    """What was said below the card."""
    card = await desk.card(approval, channel)
    replies = [m for m in await desk.messages(channel) if m.get("thread_ts") == card["ts"] and m["ts"] != card["ts"]]
    return [shown(message) for message in replies]


async def test_every_rung(desk_for: OpenDesk) -> None:
    async with desk_for(
        reviewers=(REVIEWER,), escalation_reviewers=(REVIEWER_2,), escalation_channel=ESCALATIONS
    ) as desk:
        approval = await asked(desk, SHORT)
        await shown_and_running(desk, approval)

        await later(desk, 11)
        await desk.sees_text(APPROVALS, "Reminder", f"<@{REVIEWER}>", "It expires")
        assert len(await notes(desk, approval)) == 1

        card = await desk.card(approval)
        await desk.clicks(REVIEWER_2, card, "approval.approve")
        await desk.is_told(REVIEWER_2, "you are not one of its reviewers")

        await later(desk, 10)
        await desk.sees_text(APPROVALS, "Escalated", f"<@{REVIEWER_2}>")
        await desk.card_shows(approval, "Escalated", channel=ESCALATIONS)
        await desk.card_shows(approval, f"<@{REVIEWER}>, <@{REVIEWER_2}>")

        await later(desk, 30)
        warning = await desk.sees_text(APPROVALS, "Expires soon", "Then nothing runs")
        assert action_ids(warning) == ["approval.extend"]
        await desk.clicks(BYSTANDER, warning, "approval.extend")
        await desk.is_told(BYSTANDER, "you are not one of its reviewers")
        before = (await desk.approval(approval)).expires_at or 0
        await desk.clicks(REVIEWER, warning, "approval.extend")
        await desk.sees_text(APPROVALS, "More time", "it now expires")
        after = (await desk.approval(approval)).expires_at or 0
        assert after - before == 3600 * 1_000_000
        await desk.card_shows(approval, "extended 1×")
        await desk.sees(
            APPROVALS, lambda m: m["ts"] == warning["ts"] and closed(m, "More time was given"), "it is over"
        )

        await later(desk, 60)
        again = await desk.sees_text(APPROVALS, "Expires soon", "Then nothing runs")
        assert again["ts"] > warning["ts"]
        assert action_ids(again) == ["approval.extend"]

        await later(desk, 15)
        assert (await desk.approval(approval)).status == "expired"
        for channel in (APPROVALS, ESCALATIONS):
            assert action_ids(await desk.card_shows(approval, "Expired", "Nothing runs", channel=channel)) == []
        await desk.sees_text(AGENTS, f"<@{REQUESTER}>", "Expired")
        for ts in (warning["ts"], again["ts"]):
            await desk.sees(APPROVALS, lambda m, ts=ts: m["ts"] == ts and closed(m, "Expired"), "the warning is over")
        await until(lambda: desk.is_closed(approval), "no button is left")


def closed(message: dict[str, Any], words: str) -> bool:
    """A warning that is over, and says why."""
    return words in shown(message) and "It was about to expire" in shown(message) and action_ids(message) == []


async def warned(desk: Desk) -> tuple[ApprovalRequest, dict[str, Any]]:
    """An approval that is about to expire, and the warning."""
    approval = await asked(desk, SHORT)
    await shown_and_running(desk, approval)
    await later(desk, 51)
    return approval, await desk.sees_text(APPROVALS, "Expires soon")


@pytest.mark.parametrize("verdict", [Verdict.approved, Verdict.rejected, Verdict.request_changes])
async def test_a_warning_ends_with_the_decision(desk: Desk, verdict: Verdict) -> None:
    approval, warning = await warned(desk)
    assert action_ids(warning) == ["approval.extend"]
    await desk.decides(approval, verdict, "so be it")
    await desk.sees(APPROVALS, lambda m: m["ts"] == warning["ts"] and closed(m, "was about"), "the warning is over")
    await until(lambda: desk.is_closed(approval), "no button is left")


async def test_a_warning_whose_record_was_lost_ends_too(desk: Desk) -> None:
    """It was posted, the answer got lost, and it was decided before the next try: no button may stay."""
    approval = await asked(desk, SHORT)
    await shown_and_running(desk, approval)
    await later(desk, 40)
    await desk.sees_text(APPROVALS, "Reminder")
    await desk.post(
        "/faults",
        {
            "lost_response": {"method": "chat.postMessage", "count": 1},
            "status_5xx": {"method": "conversations.replies", "count": 1},
        },
    )
    await later(desk, 11)
    await desk.sees_text(APPROVALS, "Expires soon")
    await desk.decides(approval, Verdict.approved)
    await desk.sees_text(APPROVALS, "Approved", "It was about to expire")
    await until(lambda: desk.is_closed(approval), "no button is left")
    said = [m for m in await desk.messages(APPROVALS) if "about to expire" in shown(m)]
    assert len(said) == 1


async def test_a_click_on_a_warning_that_nobody_knows_of_draws_it_anew(desk: Desk) -> None:
    approval, warning = await warned(desk)
    await desk.decides(approval, Verdict.approved)
    await until(lambda: desk.is_closed(approval), "no button is left")
    stray = desk.copies(warning)
    await desk.clicks(REVIEWER, stray, "approval.extend")
    await desk.is_told(REVIEWER, "Already approved")
    await desk.sees(APPROVALS, lambda m: m["ts"] == stray["ts"] and closed(m, "Approved"), "it is over as well")


async def test_quiet_when_decided(desk: Desk) -> None:
    approval = await asked(desk, SHORT)
    await shown_and_running(desk, approval)
    await desk.decides(approval, Verdict.approved)
    await later(desk, 90)
    await desk.sees_text(APPROVALS, "Approved", "`api:ci`")
    assert not any("Reminder" in note or "Expires" in note for note in await notes(desk, approval))


async def test_one_click_delivered_twice_extends_once(desk: Desk) -> None:
    approval = await asked(desk, SHORT)
    await shown_and_running(desk, approval)
    card = await desk.card(approval)
    payload = {
        "type": "block_actions",
        "team": {"id": "T0SANDBOX"},
        "user": {"id": REVIEWER, "team_id": "T0SANDBOX"},
        "container": {"type": "message", "message_ts": card["ts"], "channel_id": APPROVALS},
        "actions": [
            {
                "type": "overflow",
                "action_id": "approval.details",
                "block_id": f"approval:{approval.approval_request_id}",
                "selected_option": {"value": "extend"},
                "action_ts": "7.7",
            }
        ],
    }
    for _ in range(2):
        await desk.post("/deliveries", {"type": "interactive", "payload": payload})
    assert (await desk.approval(approval)).extensions == 1

    async def told_twice() -> bool:
        return sum("It now expires" in shown(message) for message in await desk.messages(APPROVALS, REVIEWER)) == 2

    await until(told_twice, "both deliveries are answered alike")
    payload["actions"][0]["action_ts"] = "8.8"  # type: ignore[index]
    await desk.post("/deliveries", {"type": "interactive", "payload": payload})
    assert (await desk.approval(approval)).extensions == 2


async def test_more_time_from_the_menu_and_no_more_than_thrice(desk: Desk) -> None:
    approval = await asked(desk, SHORT)
    await shown_and_running(desk, approval)
    card = await desk.card(approval)
    for _ in range(3):
        await desk.clicks(REVIEWER, card, "approval.details", option="extend")
    card = await desk.card_shows(approval, "extended 3×")
    assert (await desk.approval(approval)).extensions == 3
    assert "extend" not in json.dumps([b for b in card["blocks"] if b["type"] == "actions"])


async def test_no_expiry_no_more_time(desk: Desk) -> None:
    approval = await asked(desk)
    card = await desk.card(approval)
    assert '"value": "extend"' not in json.dumps(card["blocks"])
    assert "Never by itself" in shown(card)


async def doubtful(desk: Desk) -> ApprovalRequest:
    """The approved call was started, and its process died."""
    approval = await asked(desk)
    await desk.clicks(REVIEWER, await desk.card(approval), "approval.approve")
    await desk.ends(approval)
    execution = await desk.claims(await desk.execution(approval.execution_id or ""))
    started = await desk.database.write(start_call, execution, 1, "1")
    await desk.database.write(ask_in_doubt, execution, started, "the process died", desk.defaults())
    step = await desk.database.one(GET_STEP, b_id=execution.execution_id, b_position=1)
    assert step is not None
    return await desk.approval(approval._replace(approval_request_id=step.approval_request_id or ""))


async def test_in_doubt_it_happened(desk: Desk) -> None:
    doubt = await doubtful(desk)
    card = await desk.card_shows(doubt, "In doubt", "the process died")
    await desk.clicks(REQUESTER, card, "in_doubt.happened")
    await desk.is_told(REQUESTER, "you asked for this")
    await desk.clicks(REVIEWER, card, "in_doubt.happened")
    form = await desk.view_of(REVIEWER, "in_doubt.happened.submit")
    await desk.submits(REVIEWER, form, answer='{"refunded": true}', evidence="It is in the till's log.")
    await desk.ends(doubt)
    assert action_ids(await desk.card_shows(doubt, "Settled: it happened", f"<@{REVIEWER}>")) == []
    step = await desk.database.one(GET_STEP, b_id=doubt.execution_id, b_position=1)
    assert step is not None
    assert step.status == "succeeded"
    assert json.loads(step.result or "{}")["value"] == {"refunded": True}


async def test_in_doubt_it_did_not_happen(desk: Desk) -> None:
    doubt = await doubtful(desk)
    await desk.clicks(REVIEWER, await desk.card(doubt), "in_doubt.not_happened")
    await desk.card_shows(doubt, "Settled: it did not happen")
    fresh = await desk.sees(APPROVALS, lambda m: "approval.approve" in action_ids(m), "a fresh approval is asked for")
    assert "ORD-8821" in shown(fresh)


async def test_in_doubt_stop(desk: Desk) -> None:
    doubt = await doubtful(desk)
    card = await desk.card(doubt)
    await desk.clicks(REVIEWER, card, "in_doubt.stop")
    await desk.card_shows(doubt, "Settled: stopped")
    await desk.sees_text(AGENTS, f"<@{REQUESTER}>", "Failed")
    assert (await desk.execution(doubt.execution_id or "")).status == "failed"


@pytest.mark.parametrize(("typed", "kept"), [("all good", "all good"), ("[1, 2]", [1, 2]), ('"x"', "x")])
async def test_in_doubt_a_result_is_json_or_text(desk: Desk, typed: str, kept: object) -> None:
    doubt = await doubtful(desk)
    await desk.clicks(REVIEWER, await desk.card(doubt), "in_doubt.happened")
    await desk.submits(REVIEWER, await desk.view_of(REVIEWER, "in_doubt.happened.submit"), answer=typed)
    await desk.ends(doubt)
    step = await desk.database.one(GET_STEP, b_id=doubt.execution_id, b_position=1)
    assert step is not None
    assert json.loads(step.result or "{}")["value"] == kept


async def test_extending_is_recorded(desk: Desk) -> None:
    approval = await asked(desk, SHORT)
    await shown_and_running(desk, approval)
    await desk.clicks(REVIEWER, await desk.card(approval), "approval.details", option="extend")
    rows = await desk.database.all(EVENTS_OF_APPROVAL, b_approval=approval.approval_request_id, b_after=0, b_limit=100)
    extended = [row for row in rows if row.type == "approval.extended"]
    assert [row.principal for row in extended] == [f"slack:T0SANDBOX:{REVIEWER}"]
