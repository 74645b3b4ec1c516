"""Decisions through every other door: the API, the signed webhook, the command line. Each redraws the Slack card."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.e2e.process import Ran, run
from tests.e2e.room import CARD, DECIDE, REQUESTER, Room, Thread, approval_of, buttons, mark, says
from tests.e2e.stack import REVIEWER, WEBHOOK_SECRET, Json, Stack
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="package")]

REFUND = "refund_agent Customer Alex (cust_001) wants a refund on order ORD-8821"
PROMPT = {"prompt": "Customer Alex (cust_001) wants a refund on order ORD-8821"}


async def started(stack: Stack, **headers: str) -> Json:
    """An execution of the refund agent that the API has started and that waits."""
    status, execution = await stack.api("POST", "/api/v1/execute/async/refund_agent", PROMPT, **headers)
    assert status == 202, execution
    return await reached(stack, execution["execution_id"], "waiting")


async def reached(stack: Stack, execution_id: str, status: str) -> Json:
    async def there() -> Json | None:
        execution = await stack.get(f"/api/v1/executions/{execution_id}")
        return execution if execution["status"] == status else None

    return await until(there, f"{execution_id} is {status}", explain=stack.explain)


async def test_start_wait_decide_succeed_over_the_api_alone(room: Room) -> None:
    stack = room.stack
    execution = await started(stack)
    (approval,) = execution["pending_approvals"]
    assert approval["arguments"] == {"order_id": "ORD-8821", "amount": 29.99}
    assert execution["is_waiting"]
    assert stack.effects(execution["execution_id"]) == []
    card = await card_of_reviewer(room, approval["approval_request_id"], "Approval needed")
    assert buttons(card) == DECIDE

    path = f"/api/v1/approvals/{approval['approval_request_id']}"
    decision = {"decision": "approved", "feedback": "checked the order", "digest": approval["digest"]}
    status, decided = await stack.api("POST", f"{path}/decision", decision)
    assert (status, decided["status"], decided["already_processed"]) == (200, "approved", False)
    execution = await reached(stack, execution["execution_id"], "succeeded")
    assert execution["result"] == "Done: $29.99 was refunded to Alex for order ORD-8821."
    status, decided = await stack.api("POST", f"{path}/decision", decision)
    assert (status, decided["already_processed"]) == (200, True)
    status, problem = await stack.api("POST", f"{path}/decision", {"decision": "rejected"})
    assert status == 409
    assert decided["decided_by"] in problem["detail"]
    card = await card_of_reviewer(
        room, approval["approval_request_id"], "Approved", "checked the order", "The call ran"
    )
    assert buttons(card) == []
    assert len(stack.effects(execution["execution_id"])) == 1


async def card_of_reviewer(room: Room, approval_request_id: str, *words: str) -> Json:
    """The card of what nobody asked for in Slack, where no channel is set for it: a direct message to each reviewer."""
    return await room.sees(
        lambda m: mark(m, "id") == approval_request_id and mark(m, "topic") == CARD and says(m, *words),
        f"the card says {' and '.join(words)}",
        channel=await room.direct_message(REVIEWER),
    )


async def test_a_start_with_an_idempotency_key_starts_once(stack: Stack, room: Room) -> None:
    key = {"Idempotency-Key": f"order-{room.channel}"}
    first, second = await started(stack, **key), await started(stack, **key)
    assert first["execution_id"] == second["execution_id"]
    path = f"/api/v1/executions/{first['execution_id']}/cancel"
    status, cancelled = await stack.api("POST", path, {"reason": "asked by mistake"})
    assert status == 200, cancelled
    (approval,) = (await reached(stack, first["execution_id"], "cancelled"))["approvals"]
    assert approval["status"] == "cancelled"
    assert stack.effects(first["execution_id"]) == []


async def test_a_decision_over_the_api_redraws_the_card_in_slack(room: Room) -> None:
    thread = await room.asks(REFUND)
    card = await thread.open_card()
    path = f"/api/v1/approvals/{approval_of(card)}/decision"
    status, decided = await room.stack.api("POST", path, {"decision": "rejected", "feedback": "no receipt"})
    assert status == 200, decided
    card = await thread.card("Rejected", "through the API", "no receipt")
    assert buttons(card) == []
    await thread.sees(f"<@{REQUESTER}>", "no receipt", topic="execution.result")
    await room_says_it_is_over(room, thread, card)


async def room_says_it_is_over(room: Room, thread: Thread, card: Json) -> None:
    """A click on what an old screen still shows is answered, and changes nothing."""
    value = json.dumps({"id": approval_of(card), "digest": ""})
    payload = await _click_on_an_old_screen(room, card, value)
    await room.stack.workspace("POST", "/deliveries", {"type": "interactive", "payload": payload})
    await room.is_told(REVIEWER, "Already rejected", "nothing was changed")
    assert await thread.effects() == []


async def _click_on_an_old_screen(room: Room, card: Json, value: str) -> dict[str, Any]:
    config = room.stack.sandbox.config
    return {
        "type": "block_actions",
        "team": {"id": config.team_id, "domain": config.team_domain},
        "user": {"id": REVIEWER, "username": "reviewer1", "team_id": config.team_id},
        "api_app_id": config.app_id,
        "token": config.verification_token,
        "trigger_id": "1.2.3",
        "container": {
            "type": "message",
            "message_ts": card["ts"],
            "channel_id": room.channel,
            "thread_ts": card["thread_ts"],
            "is_ephemeral": False,
        },
        "channel": {"id": room.channel, "name": "room"},
        "actions": [
            {
                "type": "button",
                "action_id": "approval.approve",
                "block_id": f"approval:{approval_of(card)}",
                "action_ts": card["ts"],
                "value": value,
            }
        ],
    }


async def test_the_signed_webhook_decides(room: Room) -> None:
    thread = await room.asks(REFUND)
    card = await thread.open_card()
    body = json.dumps({"requestId": approval_of(card), "decision": "approved", "feedback": "by the portal"}).encode()
    signature = "sha256=" + hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    url = f"{room.stack.url}/api/v1/webhooks/approval-response"
    kind = {"Content-Type": "application/json"}
    for wrong in ({}, {"X-Webhook-Signature": "sha256=" + "0" * 64}):
        async with room.stack.http.post(url, data=body, headers=kind | wrong) as answer:
            assert answer.status == 401
    assert (await thread.execution())["status"] == "waiting"
    for replayed in (False, True):
        async with room.stack.http.post(url, data=body, headers=kind | {"X-Webhook-Signature": signature}) as answer:
            assert answer.status == 200
            assert (await answer.json())["already_processed"] is replayed
    card = await thread.card("Approved", "by the portal", "The call ran")
    assert buttons(card) == []
    assert "was refunded" in (await thread.ends())["result"]
    assert len(await thread.effects()) == 1


async def command(stack: Stack, *arguments: str) -> Ran:
    """`countersign …` beside the server, on its database."""
    return await run(*arguments, settings=stack.settings, folder=stack.folder)


@pytest.mark.variants("sqlite-socket", "postgresql-http")
async def test_the_command_line_decides_while_the_server_runs(room: Room) -> None:
    thread = await room.asks(REFUND)
    approval = approval_of(await thread.open_card())
    listed = await command(room.stack, "approvals", "list", "--json")
    assert approval in [each["approval_request_id"] for each in json.loads(listed.out)]
    approved = await command(room.stack, "approvals", "approve", approval, "--comment", "seen by hand")
    assert (approved.status, approved.err) == (0, "")
    assert f"{approval} is approved" in approved.out
    card = await thread.card("Approved", "on the command line", "seen by hand", "The call ran")
    assert buttons(card) == []
    execution = await thread.ends()
    assert len(await thread.effects()) == 1

    refused = await command(room.stack, "approvals", "reject", approval)
    assert refused.status == 1
    assert "approved" in refused.err
    events = json.loads((await command(room.stack, "executions", "events", execution["execution_id"], "--json")).out)
    assert [event["via"] for event in events if event["type"] == "approval.approved"] == ["cli"]


@pytest.mark.variants("sqlite-socket", "postgresql-http")
async def test_the_command_line_starts_what_the_server_runs(stack: Stack) -> None:
    ran = await command(stack, "executions", "start", "refund_agent", PROMPT["prompt"])
    assert ran.status == 0, ran.err
    execution = await reached(stack, ran.out.strip(), "waiting")
    (approval,) = execution["pending_approvals"]
    rejected = await command(stack, "approvals", "reject", approval["approval_request_id"], "--reason", "not today")
    assert rejected.status == 0, rejected.err
    execution = await reached(stack, execution["execution_id"], "succeeded")
    assert "not today" in execution["result"]
    assert stack.effects(execution["execution_id"]) == []
