"""Each fault that tests can switch on, seen from a Slack client."""

from __future__ import annotations

import time

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import AGENTS, REVIEWER, Workspace, connected, error_of, modal


async def test_a_lost_response_has_its_effect(workspace: Workspace) -> None:
    await workspace.post("faults", lost_response={"method": "chat.postMessage"})
    workspace.client.retry_handlers.clear()
    with pytest.raises(aiohttp.ClientError):
        await workspace.client.chat_postMessage(channel=AGENTS, text="once")
    assert [m["text"] for m in await workspace.messages()] == ["once"]
    await workspace.client.chat_postMessage(channel=AGENTS, text="twice")
    assert [m["text"] for m in await workspace.messages()] == ["once", "twice"]


async def test_a_lost_response_makes_the_sdks_retry_post_twice(workspace: Workspace) -> None:
    await workspace.post("faults", lost_response={"method": "chat.postMessage"})
    await workspace.client.chat_postMessage(channel=AGENTS, text="once")
    assert [m["text"] for m in await workspace.messages()] == ["once", "once"]


async def test_a_slow_method_answers_late(workspace: Workspace) -> None:
    await workspace.post("faults", slow={"method": "auth.test", "seconds": 0.2, "count": 1})
    for slow in (True, False):
        started = time.monotonic()
        await workspace.client.auth_test()
        assert (time.monotonic() - started >= 0.2) is slow


async def test_a_server_error_has_no_effect(workspace: Workspace) -> None:
    await workspace.post("faults", status_5xx=[{"method": "chat.postMessage", "status": 502, "count": 1}])
    with pytest.raises(SlackApiError) as refused:
        await workspace.client.chat_postMessage(channel=AGENTS, text="x")
    assert refused.value.response.status_code == 502
    assert await workspace.messages() == []
    await workspace.client.chat_postMessage(channel=AGENTS, text="x")
    calls = (await workspace.get("calls", method="chat.postMessage"))["calls"]
    assert [(call["status"], call["error"]) for call in calls] == [(502, "fault"), (200, "")]


async def test_a_429_storm_strikes_every_method_until_it_ends(workspace: Workspace) -> None:
    await workspace.post("faults", rate_limited={"retry_after": 7})
    for call in (workspace.client.auth_test(), workspace.client.users_info(user=REVIEWER)):
        with pytest.raises(SlackApiError) as refused:
            await call
        assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (429, "7")
    await workspace.post("faults")
    await workspace.client.auth_test()


async def test_several_faults_at_once(workspace: Workspace) -> None:
    active = {
        "slow": [{"method": "auth.test", "seconds": 0.01, "count": None}],
        "status_5xx": [{"method": "users.info"}, {"method": "users.list"}],
        "revoked_token": True,
    }
    answer = await workspace.post("faults", **active)
    assert answer["faults"]["status_5xx"] == [{"method": "users.info"}, {"method": "users.list"}]
    assert await error_of(workspace.client.auth_test()) == "token_revoked"
    state = await workspace.get("state")
    assert set(state["faults"]) == {"slow", "status_5xx", "revoked_token"}


@pytest.mark.parametrize(
    "fault", [{"slowly": True}, {"slow": {"method": "x"}}, {"disconnect": "because"}, {"status_5xx": {"status": 404}}]
)
async def test_a_misspelt_fault_is_refused(workspace: Workspace, fault: dict[str, object]) -> None:
    status, answer = await workspace.try_post("faults", **fault)
    assert (status, answer["error"]) == (422, "invalid_request")
    assert (await workspace.get("faults"))["faults"] == {}


async def test_duplicated_events_have_one_id(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(bot_events=["app_mention"])
    await workspace.post("faults", duplicate_events=1)
    async with connected(workspace) as app:
        await workspace.say("@Countersign help")
        twins = [(await app.next())["payload"]["event_id"] for _ in range(2)]
    assert len(set(twins)) == 1


async def test_a_lost_event_arrives_by_its_retry_alone(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(bot_events=["app_mention"])
    await workspace.post("faults", lost_events=1)
    async with connected(workspace) as app:
        await workspace.say("@Countersign help")
        assert (await app.next())["retry_attempt"] == 1


async def test_late_acks_count_as_missing(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(bot_events=["app_mention"], ack_seconds=0.1)
    await workspace.post("faults", delay_acks=1.0)
    async with connected(workspace) as app:
        answer = await workspace.post("shortcuts", user=REVIEWER, callback_id="open")
        assert (answer["acked"], answer["reason"]) == (False, "http_timeout")
        await app.next("shortcut")
        await workspace.say("@Countersign help")
        assert [(await app.next())["retry_attempt"] for _ in range(2)] == [0, 1]
        await workspace.post("faults")


async def test_triggers_arrive_expired(workspace: Workspace) -> None:
    await workspace.post("faults", expired_trigger=True)
    async with connected(workspace) as app:
        await workspace.post("shortcuts", user=REVIEWER, callback_id="open")
        trigger_id = (await app.next("shortcut"))["payload"]["trigger_id"]
    assert await error_of(workspace.client.views_open(trigger_id=trigger_id, view=modal())) == "expired_trigger_id"
