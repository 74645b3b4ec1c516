"""What people see of an approval that nobody decides: reminder, escalation, warning, more time, expiry."""

from __future__ import annotations

import pytest

from tests.e2e.room import CARD, DECIDE, REQUESTER, Room, Thread, approval_of, buttons, mark, says
from tests.e2e.stack import ESCALATIONS, ON_CALL, REVIEWER, REVIEWER_2, Json
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="package")]

ROLLOUT = "Review change CHG-901 and execute if safe."


async def test_nobody_answers(room: Room) -> None:
    thread = await room.asks(f"quick_rollout {ROLLOUT}")
    card = await thread.open_card()
    assert buttons(card) == DECIDE
    assert not says(card, f"<@{ON_CALL}>")
    reminder = await thread.sees("Reminder", f"<@{REVIEWER}>", f"<@{REVIEWER_2}>", topic="approval.note")
    assert ON_CALL not in reminder["text"]
    await thread.sees("Escalated", f"<@{ON_CALL}>", topic="approval.note")
    elsewhere = await escalated(room, approval_of(card))
    assert buttons(elsewhere) == DECIDE
    assert says(elsewhere, f"<@{ON_CALL}>")
    await thread.sees("Expired", "It was about to expire", topic="approval.warning")
    await thread.card("Expired", "nobody decided in time")
    for place in ("", ESCALATIONS):
        (shown,) = await over(room, approval_of(card), place)
        assert says(shown, "Expired", "Nothing runs")
    await thread.sees(f"<@{REQUESTER}>", "Expired", "Nothing runs", topic="approval.note")
    await thread.sees(f"<@{REQUESTER}>", "expired", topic="execution.result")
    await thread.ends()
    assert await thread.effects() == []
    notes = [shown["text"] for shown in await thread.messages() if mark(shown, "topic") == "approval.note"]
    assert len(notes) == len(set(notes)) == 3, notes


async def escalated(room: Room, approval_request_id: str) -> Json:
    """The card in the escalation's channel, once it is there."""
    return await room.sees(
        lambda m: mark(m, "topic") == CARD and mark(m, "id") == approval_request_id, "the card", channel=ESCALATIONS
    )


async def over(room: Room, approval_request_id: str, channel: str) -> list[Json]:
    """The cards of an approval in a channel, once none of them has buttons."""

    async def closed() -> list[Json] | None:
        cards = await room.cards(approval_request_id, channel)
        return cards if not any(map(buttons, cards)) else None

    return await until(closed, f"no open card in {channel}", explain=room.stack.explain)


@pytest.mark.variants("sqlite-socket", "postgresql-http")
async def test_who_was_escalated_to_may_decide_from_then_on(room: Room) -> None:
    thread = await room.asks(f"quick_rollout {ROLLOUT}")
    card = await thread.open_card()
    await room.clicks(ON_CALL, card, "approval.approve")
    await room.is_told(ON_CALL, "You can't decide this")
    elsewhere = await escalated(room, approval_of(card))
    await room.clicks(ON_CALL, elsewhere, "approval.approve")
    await thread.card("Approved", f"<@{ON_CALL}>", "The call ran")
    await over(room, approval_of(card), ESCALATIONS)
    await thread.ends()
    assert [effect["tool"] for effect in await thread.effects()] == ["execute_rollout"]
    said = [shown for shown in await thread.messages() if says(shown, "Expires soon")]
    assert said == []


@pytest.mark.variants("sqlite-socket", "postgresql-http")
async def test_more_time_after_the_warning(room: Room) -> None:
    thread = await room.asks(f"patient_rollout {ROLLOUT}")
    card = await thread.open_card()
    warning = await thread.sees("Expires soon", f"<@{REVIEWER}>", topic="approval.warning")
    assert buttons(warning) == ["approval.extend"]
    before = await expiry(thread)
    await room.clicks(REQUESTER, warning, "approval.extend")
    await room.is_told(REQUESTER, "You can't decide this")
    await room.clicks(REVIEWER, warning, "approval.extend")
    await room.is_told(REVIEWER, "It now expires")
    await thread.sees("More time", topic="approval.note")
    await thread.sees("More time was given", topic="approval.warning")
    card = await thread.card("extended 1×")
    assert await expiry(thread) > before
    await room.clicks(REVIEWER, card, "approval.approve")
    await thread.card("Approved", "The call ran")
    await thread.ends()
    assert len(await thread.effects()) == 1


async def expiry(thread: Thread) -> str:
    (approval,) = (await thread.execution())["pending_approvals"]
    return str(approval["expires_at"])
