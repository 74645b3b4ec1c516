"""A server that is told to stop, and started again with other settings: nothing is lost, nothing runs twice."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.conftest import NewStack
from tests.e2e.room import CARD, DECIDE, REQUESTER, Room, approval_of, buttons, mark, says
from tests.e2e.stack import APPROVALS, REVIEWER

pytestmark = pytest.mark.e2e

REFUND = "refund_agent Customer Alex (cust_001) wants a refund on order ORD-8821"


@pytest.mark.variants("sqlite-socket", "postgresql-http")
async def test_a_restart_lets_finish_what_runs_and_keeps_what_waits(new_stack: NewStack) -> None:
    stack = await new_stack()
    assert stack.server is not None
    waiting, running = Room(stack, stack.new_room()), Room(stack, stack.new_room())
    waits = await waiting.asks(REFUND)
    card = await waits.open_card()
    runs = await running.asks("held_refund Please refund order ORD-LATE1")
    await running.clicks(REVIEWER, await runs.open_card(), "approval.approve")
    await stack.held("ORD-LATE1")
    execution_id = (await runs.execution())["execution_id"]
    stopping = asyncio.create_task(stack.server.stop())
    stack.let_go("ORD-LATE1")
    assert await stopping == 0
    assert len(stack.effects(execution_id)) == 1

    await stack.start_server()
    await runs.sees("Done", "was refunded", topic="execution.result")
    assert "in doubt" not in str(await runs.messages()).lower()
    assert len(await runs.effects()) == 1
    assert (await waits.open_card())["ts"] == card["ts"]
    await waiting.clicks(REVIEWER, card, "approval.approve")
    await waits.sees("Done", "was refunded", topic="execution.result")
    assert len(await waits.effects()) == 1


@pytest.mark.variants("sqlite-socket")
async def test_cards_go_to_the_reviewers_channel_that_is_set(new_stack: NewStack) -> None:
    stack = await new_stack(COUNTERSIGN_APPROVALS_CHANNEL=APPROVALS)
    room = Room(stack, stack.new_room())
    thread = await room.asks(REFUND)
    card = await room.sees(lambda m: buttons(m) == DECIDE, "the card", channel=APPROVALS)
    await thread.sees("Waiting for approval", f"<#{APPROVALS}>", topic="execution.progress")
    assert [message for message in await thread.messages() if mark(message, "topic") == CARD] == []
    form = await room.opens(REVIEWER, card, "approval.reject")
    await room.submits(REVIEWER, form, answer="Not without the receipt.")
    await room.sees(lambda m: m["ts"] == card["ts"] and not buttons(m), "the card is closed", channel=APPROVALS)
    assert len(await room.cards(approval_of(card), APPROVALS)) == 1
    await thread.sees(f"<@{REQUESTER}>", "Rejected", "Not without the receipt.", topic="approval.note")
    await thread.sees(f"<@{REQUESTER}>", "Not without the receipt.", topic="execution.result")
    await room.sees(
        lambda m: m["ts"] != m["thread_ts"] == card["ts"] and says(m, "Rejected", "Not without the receipt."),
        "the outcome below the card",
        channel=APPROVALS,
    )
