"""The main job, from a mention to an approved call that ran once, as the people in Slack see it."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.room import (
    BYSTANDER,
    DECIDE,
    FOREIGN,
    FORMER,
    GUEST,
    REQUESTER,
    Room,
    approval_of,
    buttons,
    mark,
    says,
)
from tests.e2e.stack import REVIEWER, REVIEWER_2

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="package")]

REFUND = "refund_agent Customer Alex (cust_001) wants a refund on order ORD-8821"


async def test_a_refund_is_approved_and_runs_once(room: Room) -> None:
    thread = await room.asks(REFUND)
    await thread.sees("Waiting for approval", "process_refund", topic="execution.progress")
    card = await thread.open_card()
    assert buttons(card) == DECIDE
    assert says(card, "Approval needed: process_refund", 'order_id: "ORD-8821"', "29.99", "0 of 1")
    assert says(card, f"<@{REQUESTER}>", f"<@{REVIEWER}>", f"<@{REVIEWER_2}>")

    await room.clicks(REQUESTER, card, "approval.approve")
    await room.is_told(REQUESTER, "You can't decide this", "you asked for this", f"<@{REVIEWER}>")
    assert (await thread.execution())["status"] == "waiting"
    assert await thread.effects() == []

    await room.clicks(REVIEWER, card, "approval.approve")
    await thread.sees("Done", f"<@{REQUESTER}>", "$29.99 was refunded", topic="execution.result")
    card = await thread.card("Approved", f"<@{REVIEWER}>", "in Slack", "<!date^", "The call ran", "refunded: true")
    assert buttons(card) == []
    await thread.sees("Done", "process_refund", topic="execution.progress")
    execution = await thread.ends()
    assert execution["result"] == "Done: $29.99 was refunded to Alex for order ORD-8821."
    (effect,) = await thread.effects()
    assert (effect["tool"], effect["arguments"]) == ("process_refund", {"order_id": "ORD-8821", "amount": 29.99})


async def test_a_refund_is_rejected_with_a_reason(room: Room) -> None:
    thread = await room.asks(REFUND)
    card = await thread.open_card()
    form = await room.opens(REVIEWER, card, "approval.reject")
    assert form["callback_id"] == "approval.reject.submit"
    await room.submits(REVIEWER, form, answer="The parcel never came back.")
    card = await thread.card("Rejected", f"<@{REVIEWER}>", "The parcel never came back.")
    assert buttons(card) == []
    execution = await thread.ends()
    assert "The parcel never came back." in execution["result"]
    await thread.sees(f"<@{REQUESTER}>", "The parcel never came back.", topic="execution.result")
    await thread.sees(f"<@{REQUESTER}>", "Rejected", "Nothing runs", topic="approval.note")
    assert await thread.effects() == []


async def test_requested_changes_lead_to_another_card(room: Room) -> None:
    thread = await room.asks(REFUND)
    first = await thread.open_card()
    form = await room.opens(REVIEWER, first, "approval.request_changes")
    assert form["callback_id"] == "approval.request_changes.submit"
    await room.submits(REVIEWER, form, answer="Refund only 10.00, please.")
    closed = await thread.card("Changes requested", f"<@{REVIEWER}>", "Refund only 10.00, please.")
    assert (closed["ts"], buttons(closed)) == (first["ts"], [])
    second = await thread.open_card()
    assert approval_of(second) != approval_of(first)
    assert says(second, "amount: 10")
    await room.clicks(REVIEWER_2, second, "approval.approve")
    assert "$10.00 was refunded" in (await thread.ends())["result"]
    assert [effect["arguments"]["amount"] for effect in await thread.effects()] == [10]


async def test_a_follow_up_goes_on_with_the_conversation(room: Room) -> None:
    thread = await room.asks(REFUND)
    await room.clicks(REVIEWER, await thread.open_card(), "approval.approve")
    await thread.sees("was refunded", topic="execution.result")
    first = await thread.ends()
    again = await room.asks("what did you do?", thread_ts=thread.ts)
    await again.sees("As I said", "$29.99 was refunded", topic="execution.result")
    second = await again.ends()
    assert second["execution_id"] != first["execution_id"]
    assert await again.effects() == []


async def test_of_two_reviewers_who_click_at_once_one_wins(room: Room) -> None:
    thread = await room.asks(REFUND)
    card = await thread.open_card()
    async with asyncio.TaskGroup() as both:
        for reviewer in (REVIEWER, REVIEWER_2):
            both.create_task(room.clicks(reviewer, card, "approval.approve"))
    card = await thread.card("The call ran")
    winner, loser = (REVIEWER, REVIEWER_2) if says(card, f"*Approved* by <@{REVIEWER}>") else (REVIEWER_2, REVIEWER)
    assert says(card, f"*Approved* by <@{winner}>")
    await room.is_told(loser, "Already approved", f"<@{winner}>", "nothing was changed")
    await thread.ends()
    assert len(await thread.effects()) == 1


async def test_a_second_click_of_the_same_reviewer_changes_nothing(room: Room) -> None:
    thread = await room.asks(REFUND)
    card = await thread.open_card()
    async with asyncio.TaskGroup() as both:
        for _ in range(2):
            both.create_task(room.clicks(REVIEWER, card, "approval.approve"))
    await room.is_told(REVIEWER, "You have approved this already")
    await thread.ends()
    assert len(await thread.effects()) == 1


async def test_a_quorum_of_two_takes_two(room: Room) -> None:
    thread = await room.asks("joint_refund Please refund order ORD-8821")
    card = await thread.open_card()
    assert says(card, "0 of 2")
    await room.clicks(REVIEWER, card, "approval.approve")
    card = await thread.card("1 of 2", f"<@{REVIEWER}>")
    assert buttons(card) == DECIDE
    await room.clicks(REVIEWER, card, "approval.approve")
    await room.is_told(REVIEWER, "You have approved this already")
    assert await thread.effects() == []
    await room.clicks(REVIEWER_2, card, "approval.approve")
    card = await thread.card("The call ran", f"<@{REVIEWER}>", f"<@{REVIEWER_2}>")
    assert buttons(card) == []
    await thread.ends()
    assert len(await thread.effects()) == 1


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (BYSTANDER, "you are not one of its reviewers"),
        (GUEST, "guests may not decide"),
        (FOREIGN, "you belong to another workspace"),
        (FORMER, "your account is deactivated"),
    ],
    ids=["bystander", "guest", "foreign", "deactivated"],
)
async def test_others_are_refused_with_the_reason(room: Room, user: str, reason: str) -> None:
    thread = await room.asks(REFUND)
    card = await thread.open_card()
    for action in ("approval.approve", "approval.reject", "approval.request_changes"):
        await room.clicks(user, card, action)
    if user != FORMER:  # there is no client in which somebody deactivated would read it
        await room.is_told(user, "You can't decide this", reason, f"<@{REVIEWER}>")
    assert (await room.stack.workspace("GET", "/views", query={"user": user}))["views"] == []
    assert (await thread.execution())["status"] == "waiting"
    assert buttons(await thread.open_card()) == DECIDE
    assert await thread.effects() == []


@pytest.mark.parametrize("user", [GUEST, FOREIGN, FORMER], ids=["guest", "foreign", "deactivated"])
async def test_others_start_nothing(room: Room, user: str) -> None:
    thread = await room.asks(REFUND, user=user)
    if user != FORMER:
        await room.is_told(user, "You can't start anything here")
    await (await room.asks(REFUND)).open_card()
    assert [message for message in await thread.messages() if mark(message, "topic")] == []
    listed = (await room.stack.get("/api/v1/executions?limit=200"))["items"]
    assert [each for each in listed if thread.ts in (each["conversation_id"] or "")] == []
