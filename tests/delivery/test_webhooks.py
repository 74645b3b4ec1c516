"""Outbound webhooks: who is told what, signed, once and again, and what happens where a receiver does not take it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from agent_runtime.core.approval import ApprovalRequest, Decision, Verdict
from agent_runtime.core.duration import HOUR, MINUTE
from agent_runtime.core.permit import PermitStatus
from agent_runtime.core.policy import Approval, Defaults, Policy
from agent_runtime.core.principal import LOCAL_OPERATOR, Actor, Via
from agent_runtime.core.standard_webhooks import key_of
from agent_runtime.delivery import holds
from agent_runtime.delivery.notifier_rows import take as take_for_notifiers
from agent_runtime.delivery.receivers import Sender
from agent_runtime.delivery.webhook_rows import delivered
from agent_runtime.delivery.webhooks import PER_RECEIVER, Webhooks
from agent_runtime.errors import StoreUnavailable
from agent_runtime.operations.ask import Asked, ask
from agent_runtime.operations.consume import claim_approval, report_result
from agent_runtime.operations.resolve import resolve
from agent_runtime.operations.sweep import sweep
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings, load
from agent_runtime.store.database import Database
from agent_runtime.store.events import EVENTS_OF_APPROVAL
from agent_runtime.store.outbox import APPROVAL_CARD, RECEIPTS
from agent_runtime.store.webhooks import DEAD_WEBHOOKS, WAITING_WEBHOOKS
from tests.clock import Clock
from tests.delivery.receiver import Receiver, receiving
from tests.flow import Flow, gated

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CREW = Actor("api:crew")
LADDER = Approval(reviewers=["U012"], expires_in_hours=4, remind_after="15m", escalate_after="1h", escalate_to=["U999"])


class Setting:
    """One database, and processes that deliver from it."""

    def __init__(self, database: Database, stack: AsyncExitStack) -> None:
        self.database = database
        self._stack = stack

    async def receiver(self) -> Receiver:
        return await self._stack.enter_async_context(receiving())

    async def process(
        self, *urls: str, secret: str | None = SECRET, hosts: tuple[str, ...] = ("127.0.0.1",)
    ) -> Webhooks:
        key = None if secret is None else key_of(secret, "it")
        sender = await self._stack.enter_async_context(Sender(key, hosts))
        return Webhooks(self.database, sender, urls, 24 * HOUR)

    async def asked(self, *, notify: bool = True, notified: bool = False, **wanted: Any) -> ApprovalRequest:
        defaults = Defaults(LADDER, notified=notified, webhooks=notify)
        asking = await self.database.write(ask, Asked(title="Refund", **wanted), defaults, by=CREW, via=Via.api)
        return asking.approval

    async def decided(self, approval: ApprovalRequest) -> None:
        decision = Decision(Verdict.approved, "go ahead")
        await self.database.write(resolve, approval.approval_request_id, decision, by=LOCAL_OPERATOR, via=Via.cli)

    async def waiting(self) -> int:
        row = await self.database.one(WAITING_WEBHOOKS)
        return int(row.n)

    async def dead(self) -> int:
        row = await self.database.one(DEAD_WEBHOOKS)
        return int(row.n)


@pytest.fixture
async def setting(database: Database) -> AsyncIterator[Setting]:
    async with AsyncExitStack() as stack:
        yield Setting(database, stack)


async def deliver(webhooks: Webhooks) -> None:
    """Everything that is due, and what becomes due by it."""
    for _ in range(3):
        await webhooks.deliver_due()
        await webhooks.idle()


async def test_receivers_hear_of_a_request_and_its_decision(setting: Setting) -> None:
    receiver = await setting.receiver()
    approval = await setting.asked(tool_name="refund", arguments={"amount": 250, "api_key": "sk-1"})
    await setting.decided(approval)
    await deliver(await setting.process(receiver.url))
    created, decided = sorted(receiver.received, key=lambda received: str(received.json["timestamp"]))
    assert sorted(receiver.types()) == ["approval.created", "approval.decided"]
    assert created.headers["content-type"] == "application/json"
    assert all(received.is_signed(SECRET) for received in receiver.received)
    assert not created.is_signed("another secret, long enough")
    assert created.id != decided.id
    data = decided.json["data"] if decided.json["type"] == "approval.decided" else created.json["data"]
    assert (data["approval_request_id"], data["status"]) == (approval.approval_request_id, "approved")
    assert (data["decided_by"], data["feedback"]) == ("local:operator", "go ahead")
    assert data["arguments"] == {"amount": 250, "api_key": "[redacted]"}
    assert [decision["decision"] for decision in data["decisions"]] == ["approved"]
    assert (await setting.waiting(), await setting.dead()) == (0, 0)


async def test_every_rung_and_the_expiry_are_told(setting: Setting, clock: Clock) -> None:
    receiver = await setting.receiver()
    webhooks = await setting.process(receiver.url)
    await setting.asked()
    await deliver(webhooks)
    for wait in (15 * MINUTE, 45 * MINUTE, 3 * HOUR):
        await clock.advance(wait)
        await setting.database.write(sweep)
        await deliver(webhooks)
    assert receiver.types() == ["approval.created", "approval.reminded", "approval.escalated", "approval.expired"]


async def test_a_call_in_doubt_is_told(setting: Setting) -> None:
    receiver = await setting.receiver()
    approval = await setting.asked()
    await setting.decided(approval)
    claim = {"digest": approval.digest, "attempt_key": "k", "by": CREW, "via": Via.api}
    claimed = await setting.database.write(claim_approval, approval.approval_request_id, **claim)
    said = {"permit": claimed.secret, "status": PermitStatus.in_doubt, "by": CREW, "via": Via.api}
    await setting.database.write(report_result, approval.approval_request_id, **said)
    await deliver(await setting.process(receiver.url))
    (doubt,) = [received.json["data"] for received in receiver.received if received.json["type"] == "approval.in_doubt"]
    assert (doubt["kind"], doubt["status"]) == ("in_doubt", "pending")


async def test_an_approvals_own_callback_is_told_where_nobody_else_is(setting: Setting) -> None:
    receiver = await setting.receiver()
    approval = await setting.asked(notify=False, callback_url=receiver.url)
    await setting.decided(approval)
    await deliver(await setting.process())
    assert sorted(receiver.types()) == ["approval.created", "approval.decided"]
    assert all(received.is_signed(SECRET) for received in receiver.received)


async def test_without_anybody_to_tell_nothing_is_written(setting: Setting) -> None:
    await setting.decided(await setting.asked(notify=False))
    assert await setting.waiting() == 0


async def test_without_a_secret_callbacks_are_unsigned(setting: Setting) -> None:
    receiver = await setting.receiver()
    await setting.asked(notify=False, callback_url=receiver.url)
    await deliver(await setting.process(secret=None))
    (received,) = receiver.received
    assert "webhook-id" in received.headers
    assert "webhook-signature" not in received.headers


async def test_a_process_without_receivers_leaves_them_to_others(setting: Setting) -> None:
    receiver = await setting.receiver()
    await setting.asked()
    await deliver(await setting.process())
    assert await setting.waiting() == 1
    await deliver(await setting.process(receiver.url))
    assert receiver.types() == ["approval.created"]


async def test_a_retry_is_the_same_message(setting: Setting, clock: Clock) -> None:
    receiver = await setting.receiver()
    receiver.answer = lambda received: web.Response(status=503 if len(receiver.received) == 1 else 200)
    await setting.asked()
    await deliver(await setting.process(receiver.url))
    assert len(receiver.received) == 1
    await clock.advance(5_000_000)
    await deliver(await setting.process(receiver.url))
    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    assert second.is_signed(SECRET)
    assert await setting.waiting() == 0
    binds = {"b_notifier": "webhooks", "b_topic": "approval.created", "b_subject": first.id}
    (receipt,) = await setting.database.all(RECEIPTS, **binds)
    assert json.loads(receipt.receipt) == {"status": 200, "attempts": 2}


async def test_retry_after_is_kept(setting: Setting, clock: Clock) -> None:
    receiver = await setting.receiver()
    receiver.answer = lambda received: web.Response(status=429, headers={"Retry-After": "1800"})
    await setting.asked()
    await deliver(await setting.process(receiver.url))
    await clock.advance(30 * MINUTE - 1)
    await deliver(await setting.process(receiver.url))
    assert len(receiver.received) == 1
    await clock.advance(1)
    await deliver(await setting.process(receiver.url))
    assert len(receiver.received) == 2


@pytest.mark.databases("sqlite")
async def test_what_could_not_be_recorded_is_held_no_longer_and_sent_again(
    setting: Setting, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = await setting.receiver()
    webhooks = await setting.process(receiver.url)
    await setting.asked()
    whole, broken = setting.database.write, []

    async def breaks(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if operation is delivered:
            broken.append(operation)
            raise StoreUnavailable
        return await whole(operation, *args, **kwargs)

    monkeypatch.setattr(holds, "HELD_ON_EVERY", 0.01)
    monkeypatch.setattr(setting.database, "write", breaks)
    running = asyncio.create_task(webhooks.run())
    try:
        await _until(lambda: len(receiver.received) == 1 and broken)
        await webhooks.idle()
        monkeypatch.setattr(setting.database, "write", whole)
        await setting.database.write(lambda tx: None)  # behind what still held on to it as it ended
        for _ in range(2):
            await clock.advance(holds.HELD_FOR // 2)
            await asyncio.sleep(0.1)  # time enough to hold on to whatever is held
        setting.database.wakes.announce(["outbox"])
        await _until(lambda: len(receiver.received) == 2)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len({received.id for received in receiver.received}) == 1


async def _until(there: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not there():
            await asyncio.sleep(0.01)


async def test_a_receiver_that_fails_costs_the_others_nothing(setting: Setting) -> None:
    good, bad = await setting.receiver(), await setting.receiver()
    bad.answer = lambda received: web.Response(status=500)
    for _ in range(12):
        await setting.asked()
    webhooks = await setting.process(bad.url, good.url)
    await deliver(webhooks)
    assert len(good.received) == 12
    assert len(bad.received) <= 2 * PER_RECEIVER  # then it is paused, for all messages
    assert await setting.waiting() == 12


async def test_a_hanging_receiver_holds_up_neither_others_nor_cards(setting: Setting, clock: Clock) -> None:
    good, hanging = await setting.receiver(), await setting.receiver()
    hanging.hangs = asyncio.Event()
    approval = await setting.asked(notified=True)
    webhooks = await setting.process(hanging.url, good.url)
    running = asyncio.create_task(webhooks.run())
    async with asyncio.timeout(5):
        while not (good.received and hanging.received):
            await asyncio.sleep(0.01)
    cards = await setting.database.write(take_for_notifiers, 32)
    assert [(card.topic, card.subject) for card in cards] == [(APPROVAL_CARD, approval.approval_request_id)]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await setting.waiting() == 1  # given back: whoever comes next sends it again
    hanging.hangs.set()
    await deliver(await setting.process(hanging.url, good.url))
    assert len({received.id for received in hanging.received}) == 1
    assert await setting.waiting() == 0


async def events(setting: Setting, approval: ApprovalRequest) -> list[Any]:
    rows = await setting.database.all(
        EVENTS_OF_APPROVAL, b_approval=approval.approval_request_id, b_after=0, b_limit=50
    )
    return [json.loads(row.data) for row in rows if row.type == "delivery.failed"]


async def test_what_is_never_taken_is_given_up_aloud(setting: Setting, clock: Clock) -> None:
    receiver = await setting.receiver()
    receiver.answer = lambda received: web.Response(status=500)
    approval = await setting.asked()
    await deliver(await setting.process(receiver.url))
    await clock.advance(24 * HOUR)
    webhooks = await setting.process(receiver.url)
    await deliver(webhooks)
    assert (await setting.waiting(), await setting.dead()) == (0, 1)
    assert webhooks.counts["dead"] == 1
    (failed,) = await events(setting, approval)
    assert (failed["topic"], failed["type"]) == ("webhook", "approval.created")
    assert failed["webhook_id"] == receiver.received[0].id
    assert failed["reasons"] == ["the receiver answered 500"]
    assert receiver.url not in json.dumps(failed)


async def test_a_receiver_that_is_gone_is_given_up_at_once(setting: Setting) -> None:
    receiver = await setting.receiver()
    receiver.answer = lambda received: web.Response(status=410)
    await setting.asked()
    await deliver(await setting.process(receiver.url))
    assert (await setting.waiting(), await setting.dead()) == (0, 1)


async def test_redirects_are_not_followed(setting: Setting) -> None:
    elsewhere, receiver = await setting.receiver(), await setting.receiver()
    receiver.answer = lambda received: web.Response(status=307, headers={"Location": elsewhere.url})
    await setting.asked()
    await deliver(await setting.process(receiver.url))
    assert (len(receiver.received), len(elsewhere.received)) == (1, 0)
    assert await setting.waiting() == 1


async def test_a_receiver_that_was_taken_out_of_the_settings_is_given_up(setting: Setting, clock: Clock) -> None:
    old, new = await setting.receiver(), await setting.receiver()
    old.answer = lambda received: web.Response(status=500)
    await setting.asked()
    await deliver(await setting.process(old.url))
    await clock.advance(MINUTE)
    await deliver(await setting.process(new.url))
    assert (await setting.waiting(), await setting.dead()) == (0, 1)


async def test_callbacks_to_this_machine_are_refused_unless_allowed(setting: Setting) -> None:
    receiver = await setting.receiver()
    approval = await setting.asked(notify=False, callback_url=receiver.url)
    await deliver(await setting.process(hosts=()))
    assert (receiver.received, await setting.dead()) == ([], 1)
    (failed,) = await events(setting, approval)
    assert "public" in failed["reasons"][0]


async def test_the_operators_receivers_may_be_private(setting: Setting) -> None:
    receiver = await setting.receiver()
    await setting.asked()
    await deliver(await setting.process(receiver.url, hosts=()))
    assert len(receiver.received) == 1


async def test_a_call_of_the_runtimes_own_is_told_too(setting: Setting) -> None:
    receiver = await setting.receiver()
    flow = await Flow.asked(setting.database, gated(policy=Policy(reviewers=("U012",), webhooks=True)))
    approval = await flow.approval()
    await setting.decided(approval)
    await deliver(await setting.process(receiver.url))
    assert sorted(receiver.types()) == ["approval.created", "approval.decided"]
    assert {received.json["data"]["execution_id"] for received in receiver.received} == {flow.execution_id}


@pytest.mark.databases("sqlite")
async def test_a_replica_sends_them_as_the_settings_say(setting: Setting, database_url: str) -> None:
    receiver = await setting.receiver()
    settings: Settings = load(database_url=database_url, notify_urls=receiver.url, notify_secret=SECRET)
    async with Replica(settings, surfaces=False) as replica:
        assert replica.defaults.webhooks
        await replica.database.write(ask, Asked(title="May I?"), replica.defaults, by=CREW, via=Via.api)
        async with asyncio.timeout(10):
            while replica.status()["webhooks"].get("delivered") != 1:
                await asyncio.sleep(0.01)
    (received,) = receiver.received
    assert received.is_signed(SECRET)
    async with Replica(load(database_url=database_url), surfaces=False) as plain:
        assert plain.webhooks is None
