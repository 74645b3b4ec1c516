"""Who may decide by a click, and what each of them gets to read."""

from __future__ import annotations

import asyncio
import json

import pytest

from agent_runtime.core.approval import Verdict
from agent_runtime.core.policy import Approval
from agent_runtime.store.events import EVENTS_OF_APPROVAL
from bot.ui.message import Message
from tests.bot.conftest import OpenDesk
from tests.bot.desk import Desk, asked
from tests.bot.seeing import action_ids, click_payload, shown
from tests.bot.workspace import (
    AGENTS,
    APPROVALS,
    BYSTANDER,
    FOREIGN,
    FORMER,
    GUEST,
    REQUESTER,
    REVIEWER,
    REVIEWER_2,
    TEAM,
)


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (BYSTANDER, "you are not one of its reviewers"),
        (GUEST, "guests may not decide"),
        (FOREIGN, "another workspace"),
        (FORMER, "deactivated"),
        (REQUESTER, "you asked for this"),
    ],
)
async def test_refused_with_the_reason_and_who_may(desk: Desk, who: str, words: str) -> None:
    """Even where they are listed: in the reviewers, all of them stand."""
    everybody = (GUEST, FOREIGN, FORMER, REQUESTER, REVIEWER)
    approval = await asked(desk, Approval(reviewers=everybody, channel=AGENTS))
    card = await desk.card(approval, AGENTS)
    await desk.clicks(who, card, "approval.approve")
    if who != FORMER:
        # Nothing can be shown to somebody whose account is closed.
        await desk.is_told(who, words, f"<@{REVIEWER}>", channel=AGENTS)
    assert (await desk.approval(approval)).pending


async def test_nobody_is_listed(desk_for: OpenDesk) -> None:
    async with desk_for(reviewers=()) as desk:
        approval = await asked(desk)
        card = await desk.card(approval)
        assert "Nobody may decide this here" in shown(card)
        await desk.clicks(REVIEWER, card, "approval.approve")
        await desk.is_told(REVIEWER, "no reviewers are set", "COUNTERSIGN_REVIEWERS", "countersign doctor")
        assert (await desk.approval(approval)).pending


@pytest.mark.parametrize("action", ["approval.approve", "approval.reject", "approval.request_changes"])
async def test_an_attempt_that_is_refused_is_recorded_once(desk: Desk, action: str) -> None:
    """Also where it is refused before its form opens."""
    approval = await asked(desk)
    await desk.clicks(BYSTANDER, await desk.card(approval), action)
    await desk.is_told(BYSTANDER, "you are not one of its reviewers")
    rows = await desk.database.all(EVENTS_OF_APPROVAL, b_approval=approval.approval_request_id, b_after=0, b_limit=100)
    refused = [(row.principal, row.via) for row in rows if row.type == "approval.refused"]
    assert refused == [(f"slack:{TEAM}:{BYSTANDER}", "slack")]


async def test_the_requester_may_where_it_is_allowed(desk: Desk) -> None:
    approval = await asked(desk, Approval(reviewers=(REQUESTER,), allow_self_approval=True, channel=AGENTS))
    await desk.clicks(REQUESTER, await desk.card(approval, AGENTS), "approval.approve")
    assert (await desk.ends(approval)).status == "approved"


@pytest.mark.parametrize("name", ["S0REVIEWERS", "@Payments-Reviewers", " Reviewer1@Example.com"])
async def test_reviewers_by_group_handle_and_email(desk: Desk, name: str) -> None:
    approval = await asked(desk, Approval(reviewers=(name,)))
    await desk.clicks(BYSTANDER, await desk.card(approval), "approval.approve")
    await desk.is_told(BYSTANDER, "you are not one of its reviewers")
    await desk.clicks(REVIEWER, await desk.card(approval), "approval.approve")
    assert (await desk.ends(approval)).decided_by.endswith(REVIEWER)


async def test_a_removed_group_member_may_no_more(desk: Desk) -> None:
    approval = await asked(desk, Approval(reviewers=("@payments-reviewers",), quorum=2))
    card = await desk.card(approval)
    await desk.clicks(REVIEWER, card, "approval.approve")
    await desk.card_shows(approval, "1 of 2")
    await desk.changes("/usergroups/S0REVIEWERS", {"users": [REVIEWER]})
    await desk.clicks(REVIEWER_2, card, "approval.approve")
    await desk.is_told(REVIEWER_2, "you are not one of its reviewers")
    assert (await desk.approval(approval)).pending


async def test_a_deactivated_reviewer_may_no_more(desk: Desk) -> None:
    approval = await asked(desk, Approval(quorum=2))
    card = await desk.card(approval)
    await desk.clicks(REVIEWER_2, card, "approval.reject")
    await desk.view_of(REVIEWER_2, "approval.reject.submit")
    await desk.changes(f"/users/{REVIEWER_2}", {"deleted": True})
    await desk.clicks(REVIEWER_2, card, "approval.approve")
    await desk.clicks(REVIEWER, card, "approval.approve")
    await desk.card_shows(approval, "1 of 2", f"<@{REVIEWER}>")
    assert (await desk.approval(approval)).pending


async def test_quorum(desk: Desk) -> None:
    approval = await asked(desk, Approval(quorum=2))
    card = await desk.card_shows(approval, "0 of 2")
    await desk.clicks(REVIEWER, card, "approval.approve")
    card = await desk.card_shows(approval, "1 of 2", f"approved: <@{REVIEWER}>")
    await desk.clicks(REVIEWER, card, "approval.approve")
    await desk.is_told(REVIEWER, "You have approved this already")
    assert (await desk.approval(approval)).pending
    await desk.clicks(REVIEWER_2, card, "approval.approve")
    assert (await desk.ends(approval)).status == "approved"
    await desk.card_shows(approval, f"by <@{REVIEWER_2}>", f"also approved by <@{REVIEWER}>")


async def test_rejection_with_a_reason(desk: Desk) -> None:
    approval = await asked(desk)
    card = await desk.card(approval)
    await desk.clicks(REVIEWER, card, "approval.reject")
    form = await desk.view_of(REVIEWER, "approval.reject.submit")
    assert [block["type"] for block in form["blocks"]] == ["input"]
    await desk.submits(REVIEWER, form, answer="The order was delivered.")
    ended = await desk.ends(approval)
    assert (ended.status, ended.feedback) == ("rejected", "The order was delivered.")
    card = await desk.card_shows(approval, "Rejected", f"<@{REVIEWER}>", "The order was delivered.")
    assert action_ids(card) == []
    await desk.sees_text(AGENTS, f"<@{REQUESTER}>", "Rejected", "The order was delivered.")


async def test_requested_changes(desk: Desk) -> None:
    approval = await asked(desk)
    await desk.clicks(REVIEWER, await desk.card(approval), "approval.request_changes")
    form = await desk.view_of(REVIEWER, "approval.request_changes.submit")
    await desk.submits(REVIEWER, form, answer="Only 20, please.")
    ended = await desk.ends(approval)
    assert (ended.status, ended.feedback) == ("request_changes", "Only 20, please.")
    await desk.card_shows(approval, "Changes requested", "Only 20, please.")


async def test_a_reason_of_blanks_is_none(desk: Desk) -> None:
    approval = await asked(desk)
    await desk.clicks(REVIEWER, await desk.card(approval), "approval.reject")
    form = await desk.view_of(REVIEWER, "approval.reject.submit")
    answer = await desk.submits(REVIEWER, form, answer="   ")
    assert answer["response_action"] == "errors"
    assert (await desk.approval(approval)).pending


async def test_no_form_for_who_may_not(desk: Desk) -> None:
    approval = await asked(desk, Approval(channel=AGENTS))
    card = await desk.card(approval, AGENTS)
    await desk.clicks(REQUESTER, card, "approval.reject")
    await desk.is_told(REQUESTER, "you asked for this", channel=AGENTS)
    assert (await desk.get("/views", user=REQUESTER))["views"] == []


async def test_a_form_that_comes_too_late(desk: Desk) -> None:
    approval = await asked(desk)
    await desk.clicks(REVIEWER, await desk.card(approval), "approval.reject")
    form = await desk.view_of(REVIEWER, "approval.reject.submit")
    await desk.decides(approval, Verdict.approved)
    answer = await desk.submits(REVIEWER, form, answer="No.")
    assert "already approved" in answer["errors"]["answer"]
    await desk.is_told(REVIEWER, "Already approved by `api:ci` through the API")
    assert (await desk.approval(approval)).status == "approved"


async def test_a_form_sent_by_another_person_is_theirs(desk: Desk) -> None:
    """A modal's private metadata names no person: who submits is who decides."""
    approval = await asked(desk, Approval(channel=AGENTS))
    await desk.clicks(REVIEWER, await desk.card(approval, AGENTS), "approval.reject")
    form = await desk.view_of(REVIEWER, "approval.reject.submit")
    payload = {
        "type": "view_submission",
        "team": {"id": "T0SANDBOX", "domain": "x"},
        "user": {"id": BYSTANDER, "team_id": "T0SANDBOX"},
        "view": {**form, "state": {"values": {"answer": {"text": {"type": "plain_text_input", "value": "No."}}}}},
    }
    _, answer = await desk.post("/deliveries", {"type": "interactive", "payload": payload})
    assert answer["payload"]["response_action"] == "errors"
    assert (await desk.approval(approval)).pending


async def test_decided_through_the_api_redraws_the_card(desk: Desk) -> None:
    approval = await asked(desk)
    await desk.card(approval)
    await desk.decides(approval, Verdict.rejected, "not today")
    card = await desk.card_shows(approval, "Rejected", "`api:ci`", "through the API", "not today")
    assert action_ids(card) == []


async def test_a_click_on_a_card_that_is_over(desk: Desk) -> None:
    """Slack shows somebody the old card still: they read who decided, and the card is redrawn."""
    approval = await asked(desk)
    card = await desk.card(approval)
    await desk.decides(approval, Verdict.approved)
    payload = click_payload(card, REVIEWER, "approval.approve")
    await desk.card_shows(approval, "Approved")
    await desk.post("/deliveries", {"type": "interactive", "payload": payload})
    await desk.is_told(REVIEWER, "Already approved by `api:ci` through the API")


async def test_two_reviewers_at_once(desk: Desk) -> None:
    approval = await asked(desk)
    card = await desk.card(approval)
    await asyncio.gather(
        desk.post("/deliveries", {"type": "interactive", "payload": click_payload(card, REVIEWER, "approval.approve")}),
        desk.post(
            "/deliveries", {"type": "interactive", "payload": click_payload(card, REVIEWER_2, "approval.approve")}
        ),
    )
    winner = (await desk.ends(approval)).decided_by[-len(REVIEWER) :]
    loser = REVIEWER_2 if winner == REVIEWER else REVIEWER
    await desk.is_told(loser, f"Already approved by <@{winner}>")


async def test_a_card_without_a_receipt_is_redrawn_when_clicked(desk: Desk) -> None:
    """A crash between post and receipt leaves a second card: a click on it after the decision takes it up."""
    approval = await asked(desk)
    card = await desk.card(approval)
    channel, ts = await desk.surface._client.post(APPROVALS, Message(card["text"], card["blocks"]))
    await desk.decides(approval, Verdict.approved)
    await desk.card_shows(approval, "Approved")
    await desk.clicks(REVIEWER, {"channel": channel, "ts": ts}, "approval.approve")
    await desk.is_told(REVIEWER, "Already approved")
    await desk.sees(APPROVALS, lambda message: message["ts"] == ts and not action_ids(message), "the spare is redrawn")


async def test_another_cards_digest(desk: Desk) -> None:
    """The value of a button from a card that showed something else decides nothing."""
    approval = await asked(desk)
    card = await desk.card(approval)
    payload = click_payload(card, REVIEWER, "approval.approve")
    payload["actions"][0]["value"] = payload["actions"][0]["value"].replace("sha256:", "sha256:0")
    await desk.post("/deliveries", {"type": "interactive", "payload": payload})
    await desk.is_told(REVIEWER, "What this card shows is not what stands now")
    assert (await desk.approval(approval)).pending


async def test_without_the_digest_of_what_was_shown(desk: Desk) -> None:
    """Neither a value that names the approval alone decides, nor the block that its buttons stand in."""
    approval = await asked(desk)
    payload = click_payload(await desk.card(approval), REVIEWER, "approval.approve")
    assert payload["actions"][0]["block_id"].endswith(approval.approval_request_id)
    for value in (json.dumps({"id": approval.approval_request_id}), ""):
        payload["actions"][0]["value"] = value
        await desk.post("/deliveries", {"type": "interactive", "payload": payload})
        await desk.is_told(REVIEWER, "What this card shows is not what stands now")
        assert (await desk.approval(approval)).pending


@pytest.mark.parametrize("value", ["", "{}", "null", '{"id": 7}', '{"id": "../x"}', "not json"])
async def test_a_value_that_is_not_ours(desk: Desk, value: str) -> None:
    approval = await asked(desk)
    payload = click_payload(await desk.card(approval), REVIEWER, "approval.approve")
    payload["actions"][0] |= {"value": value, "block_id": "x"}
    _, answer = await desk.post("/deliveries", {"type": "interactive", "payload": payload})
    assert answer["acked"]
    assert (await desk.approval(approval)).pending


async def test_a_payload_of_another_workspace(desk: Desk) -> None:
    approval = await asked(desk)
    payload = click_payload(await desk.card(approval), REVIEWER, "approval.approve")
    payload["team"]["id"] = "T0PARTNER"
    await desk.post("/deliveries", {"type": "interactive", "payload": payload})
    await desk.is_told(REVIEWER, "another workspace")
    assert (await desk.approval(approval)).pending


async def test_high_risk_is_reviewed_first(desk: Desk) -> None:
    approval = await asked(desk, Approval(risk="high"))
    card = await desk.card(approval)
    assert "approval.approve" not in action_ids(card)
    await desk.clicks(REVIEWER, card, "approval.review")
    form = await desk.view_of(REVIEWER, "approval.review.submit")
    await desk.submits(REVIEWER, form, answer="Looked at all of it.")
    ended = await desk.ends(approval)
    assert (ended.status, ended.feedback) == ("approved", "Looked at all of it.")


async def test_long_arguments_are_reviewed_whole(desk: Desk) -> None:
    sql = "\n".join(f"DELETE FROM orders WHERE id = {number};" for number in range(100))
    approval = await asked(desk, tool_name="run_sql", arguments={"sql": sql})
    card = await desk.card(approval)
    assert "id = 99;" not in shown(card)
    assert "approval.approve" not in action_ids(card)
    await desk.clicks(REVIEWER, card, "approval.review")
    form = await desk.view_of(REVIEWER, "approval.review.submit")
    assert "id = 99;" in str(form["blocks"])
    await desk.submits(REVIEWER, form)
    assert (await desk.ends(approval)).status == "approved"


async def test_details_for_whoever_sees_the_card(desk: Desk) -> None:
    approval = await asked(desk)
    await desk.clicks(REVIEWER, await desk.card(approval), "approval.details", option="details")
    view = await desk.view_of(REVIEWER, "approval.details.view")
    assert "ORD-8821" in str(view["blocks"])
    assert view.get("submit") is None


async def test_the_shortcut_shows_what_a_message_shows(desk: Desk) -> None:
    approval = await asked(desk)
    card = await desk.card(approval)
    where = {"user": REVIEWER, "callback_id": "approval.show"}
    await desk.post("/shortcuts", {**where, "channel": APPROVALS, "message_ts": card["ts"]})
    assert "ORD-8821" in str(await desk.view_of(REVIEWER, "approval.details.view"))
    other = await desk.says(REVIEWER, "hello", channel=APPROVALS)
    await desk.post("/shortcuts", {**where, "channel": APPROVALS, "message_ts": other})
    await desk.is_told(REVIEWER, "shows no approval of ours")
