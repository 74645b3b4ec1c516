"""kill -9 of the server while executions stand at every stage, and a new server on the same database."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import NewStack
from tests.e2e.room import CARD, DECIDE, Room, Thread, approval_of, buttons, mark, says
from tests.e2e.stack import REVIEWER, Stack
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SETTLE = ["in_doubt.happened", "in_doubt.not_happened", "in_doubt.stop", "approval.details"]
RECOVERS_WITHIN = 30.0
"""Seconds for claims of the dead server to be taken over: its lease, where nothing shows that it is dead."""

REFUND = "refund_agent Customer Alex (cust_001) wants a refund on order ORD-8821"


async def asks(stack: Stack, text: str) -> Thread:
    return await Room(stack, stack.new_room()).asks(text)


async def approved_and_held(stack: Stack, agent: str, order_id: str) -> Thread:
    """A call that runs now, and goes no further."""
    thread = await asks(stack, f"{agent} Please refund order {order_id}")
    await thread.room.clicks(REVIEWER, await thread.open_card(), "approval.approve")
    await stack.held(order_id)
    return thread


async def waits(thread: Thread) -> None:
    """Until its approval is committed."""

    async def waiting() -> bool:
        return bool((await thread.execution())["is_waiting"])

    await until(waiting, "the execution waits", explain=thread.room.stack.explain)


@pytest.mark.variants("sqlite-http", "postgresql-socket")
async def test_every_stage_survives_a_crash(new_stack: NewStack) -> None:
    stack = await new_stack()
    open_before = await asks(stack, REFUND)
    card_before = await open_before.open_card()
    happened = await approved_and_held(stack, "held_refund", "ORD-LATE1")
    not_happened = await approved_and_held(stack, "held_refund", "ORD-EARLY1")
    stopped = await approved_and_held(stack, "held_refund", "ORD-EARLY2")
    keyed_before = await approved_and_held(stack, "keyed_refund", "ORD-EARLY3")
    keyed_after = await approved_and_held(stack, "keyed_refund", "ORD-LATE3")
    done = await asks(stack, REFUND)
    await done.room.clicks(REVIEWER, await done.open_card(), "approval.approve")
    await done.ends()
    acked = await asks(stack, REFUND)
    card_of_acked = await acked.open_card()
    # From here on Slack does what it is asked and does not say so in time: a card is up, and nothing knows of it.
    await stack.faults(slow={"method": "chat.postMessage", "seconds": 60})
    unrecorded = await asks(stack, REFUND)
    card_unrecorded = await unrecorded.open_card()
    await stack.faults(status_5xx={"method": "chat.postMessage"})
    unshown = await asks(stack, REFUND)
    await waits(unshown)
    await acked.room.clicks(REVIEWER, card_of_acked, "approval.approve")
    await stack.kill_server()
    await stack.faults()
    for order_id in ("ORD-LATE1", "ORD-EARLY1", "ORD-EARLY2", "ORD-EARLY3", "ORD-LATE3"):
        stack.let_go(order_id)
    await stack.start_server()

    assert (await open_before.open_card())["ts"] == card_before["ts"]
    await approves_and_ends_once(open_before)
    await finishes_or_asks(acked)
    await ends_well(done)
    await it_happened(happened)
    await it_did_not_happen(not_happened)
    await it_is_stopped(stopped)
    for keyed in (keyed_before, keyed_after):
        await keyed.ends(within=RECOVERS_WITHIN)
        assert len({effect["idempotency_key"] for effect in await keyed.effects()}) == 1
        await shows_the_truth(keyed)
    assert (await unrecorded.open_card())["ts"] == card_unrecorded["ts"]
    await approves_and_ends_once(unrecorded)
    await unshown.room.sees(
        lambda m: m["thread_ts"] == unshown.ts and buttons(m) == DECIDE, "the card", within=RECOVERS_WITHIN
    )
    await approves_and_ends_once(unshown)


async def approves_and_ends_once(thread: Thread) -> None:
    await thread.room.clicks(REVIEWER, await thread.open_card(), "approval.approve")
    await ends_well(thread)


async def ends_well(thread: Thread) -> None:
    await thread.ends(within=RECOVERS_WITHIN)
    assert len(await thread.effects()) == 1
    await shows_the_truth(thread)


async def finishes_or_asks(thread: Thread) -> None:
    """The click was acknowledged, so it counts; the call may have been cut short by the crash, and is asked about."""

    async def settled() -> str | None:
        execution = await thread.execution()
        kinds = [approval["kind"] for approval in execution["pending_approvals"]]
        return "in_doubt" if "in_doubt" in kinds else str(execution["status"]) if execution["is_complete"] else None

    if await until(settled, "it ends or asks", within=RECOVERS_WITHIN, explain=thread.room.stack.explain) == "in_doubt":
        await (it_happened if await thread.effects() else it_did_not_happen)(thread)
    else:
        await ends_well(thread)


async def doubt(thread: Thread) -> dict[str, str]:
    """The card that asks what became of the call."""
    card = await thread.room.sees(
        lambda m: m["thread_ts"] == thread.ts and buttons(m) == SETTLE, "a card in doubt", within=RECOVERS_WITHIN
    )
    assert says(card, "In doubt", "process_refund")
    return card


async def it_happened(thread: Thread) -> None:
    """The effect was there before the crash: a person says so, and the execution goes on from that result."""
    form = await thread.room.opens(REVIEWER, await doubt(thread), "in_doubt.happened")
    await thread.room.submits(REVIEWER, form, answer='{"refunded": true}', evidence="seen in the ledger")
    execution = await thread.ends()
    assert "was refunded" in execution["result"]
    assert len(await thread.effects()) == 1
    await shows_the_truth(thread)


async def it_did_not_happen(thread: Thread) -> None:
    """Nothing was there: a person says so, and a fresh approval lets it run."""
    assert await thread.effects() == []
    await thread.room.clicks(REVIEWER, await doubt(thread), "in_doubt.not_happened")
    fresh = await thread.room.sees(
        lambda m: m["thread_ts"] == thread.ts and buttons(m) == DECIDE and says(m, "did not happen"), "a fresh card"
    )
    assert await thread.effects() == []
    await thread.room.clicks(REVIEWER, fresh, "approval.approve")
    await ends_well(thread)


async def it_is_stopped(thread: Thread) -> None:
    await thread.room.clicks(REVIEWER, await doubt(thread), "in_doubt.stop")
    await thread.ends("failed")
    assert await thread.effects() == []
    await shows_the_truth(thread)


async def shows_the_truth(thread: Thread) -> None:
    """One card for each approval, none of them open, one result."""
    stack = thread.room.stack
    execution = await thread.execution()
    asked = {approval["approval_request_id"]: approval["status"] for approval in execution["approvals"]}

    async def settled() -> bool:
        messages = await thread.messages()
        cards = [message for message in messages if mark(message, "topic") == CARD]
        results = [message for message in messages if mark(message, "topic") == "execution.result"]
        closed = not any(map(buttons, messages))
        return closed and sorted(map(approval_of, cards)) == sorted(asked) and len(results) == 1

    def explain() -> str:
        return f"{asked}\n{stack.explain()}"

    await until(settled, "one closed card for each approval, one result", within=RECOVERS_WITHIN, explain=explain)
