"""What people say to the bot: runs, commands, answers to what starts nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agent_runtime.core.principal import LOCAL_OPERATOR
from agent_runtime.engine.worker import register
from agent_runtime.operations.deploy import deploy
from agent_runtime.store.executions import REQUESTED_BY
from bot.listeners.said import command_of, read_said
from tests.bot.conftest import OpenDesk
from tests.bot.desk import Desk, connected
from tests.bot.seeing import shown, until
from tests.bot.workspace import AGENTS, BYSTANDER, FOREIGN, FORMER, GUEST, REQUESTER, TEAM


async def prompts(desk: Desk, user: str = REQUESTER) -> list[tuple[str, str]]:
    """(agent, prompt) of everything that a person has started, oldest first."""
    rows = await desk.database.all(REQUESTED_BY, b_requested_by=f"slack:{TEAM}:{user}", b_limit=100)
    return [(row.agent, json.loads(row.input)["prompt"]) for row in reversed(rows)]


async def also_deploys(desk: Desk, *agents: str) -> None:
    for agent in agents:
        await desk.database.write(deploy, agent, "v1", {}, by=LOCAL_OPERATOR)


async def test_nobody_serves_the_agent(desk: Desk) -> None:
    """Who asked reads that nothing begins yet; once a worker takes it, that is no more said."""
    await connected(desk)
    execution = await desk.runs(await desk.mentions(REQUESTER, "refund it"))
    queued = await desk.sees_text(AGENTS, "Queued", "No worker serves this agent now", "countersign serve")
    await desk.claims(execution)
    working = await desk.sees_text(AGENTS, "Working", "refund_agent")
    assert working["ts"] == queued["ts"]
    assert "No worker" not in shown(working)
    await desk.database.write(register, "worker-1", ["refund_agent"])
    await desk.mentions(REQUESTER, "refund another")
    assert "No worker" not in shown(await desk.sees_text(AGENTS, "Queued"))


async def test_nul_characters_are_left_out(desk: Desk) -> None:
    await connected(desk)
    await desk.runs(await desk.mentions(REQUESTER, "refund\0 it"))
    assert await prompts(desk) == [("refund_agent", "refund it")]


async def test_the_default_agent_gets_the_whole_text(desk: Desk) -> None:
    await connected(desk)
    await also_deploys(desk, "prod_change_demo")
    ts = await desk.mentions(REQUESTER, "Refund <ORD-8821> & say sorry")
    execution = await desk.runs(ts)
    assert await prompts(desk) == [("refund_agent", "Refund <ORD-8821> & say sorry")]
    assert execution.origin is not None
    assert json.loads(execution.origin) == {
        "slack": {"team": TEAM, "channel": AGENTS, "thread_ts": ts, "message_ts": ts, "user": REQUESTER}
    }


async def test_an_agent_by_name_and_the_next_turn_in_its_thread(desk: Desk) -> None:
    await connected(desk)
    await also_deploys(desk, "prod_change_demo")
    ts = await desk.mentions(REQUESTER, "prod_change_demo roll out 1.2")
    first = await desk.runs(ts)
    await desk.mentions(REQUESTER, "and now 1.3", thread_ts=ts)

    async def second() -> bool:
        return len(await prompts(desk)) == 2

    await until(second, "the follow-up runs")
    assert await prompts(desk) == [("prod_change_demo", "roll out 1.2"), ("prod_change_demo", "and now 1.3")]
    assert first.conversation_id == f"slack:{TEAM}:{AGENTS}:{ts}"


async def test_the_only_agent_runs_without_a_default(desk_for: OpenDesk) -> None:
    async with desk_for(default_agent="") as desk:
        await connected(desk)
        await desk.runs(await desk.mentions(REQUESTER, "refund it"))
        assert await prompts(desk) == [("refund_agent", "refund it")]


async def test_which_agent(desk_for: OpenDesk) -> None:
    async with desk_for(default_agent="") as desk:
        await connected(desk)
        await also_deploys(desk, "prod_change_demo")
        await desk.mentions(REQUESTER, "refund it")
        await desk.is_told(REQUESTER, "Which agent?", "`prod_change_demo`", "`refund_agent`", channel=AGENTS)
        assert await prompts(desk) == []


async def test_a_name_alone(desk: Desk) -> None:
    await connected(desk)
    await desk.mentions(REQUESTER, "refund_agent")
    await desk.is_told(REQUESTER, "What is `refund_agent` to do?", channel=AGENTS)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("help", "/approvals"),
        ("", "/approvals"),
        ("HELP", "/approvals"),
        ("agents", "Agents: `refund_agent`. Without a name `refund_agent` runs."),
        ("status", "Nothing has been started in this thread"),
        ("cancel", "Nothing is running in this thread"),
    ],
)
async def test_commands(desk: Desk, said: str, words: str) -> None:
    await connected(desk)
    await desk.mentions(REQUESTER, said)
    await desk.is_told(REQUESTER, words, channel=AGENTS)
    assert await prompts(desk) == []


async def test_status_and_cancel_of_a_thread(desk: Desk) -> None:
    await connected(desk)
    ts = await desk.mentions(REQUESTER, "refund it")
    execution = await desk.runs(ts)
    approval = await desk.proposes(execution)
    await desk.card(approval)
    await desk.mentions(REQUESTER, "status", thread_ts=ts)
    await desk.is_told(
        REQUESTER, "Waiting for approval", f"<@{REQUESTER}>", "No worker serves `refund_agent` now", channel=AGENTS
    )
    await desk.mentions(BYSTANDER, "cancel", thread_ts=ts)
    await desk.is_told(BYSTANDER, "none of these runs is yours", channel=AGENTS)
    await desk.mentions(REQUESTER, "cancel", thread_ts=ts)
    await desk.is_told(REQUESTER, "Cancelled", "`refund_agent`", channel=AGENTS)
    assert (await desk.execution(execution.execution_id)).status == "cancelled"
    await desk.card_shows(approval, "Withdrawn")


@pytest.mark.parametrize("who", [GUEST, FOREIGN, FORMER])
async def test_who_may_not_start(desk: Desk, who: str) -> None:
    await connected(desk)
    await desk.mentions(who, "refund it")
    if who != FORMER:
        reason = "guests may not decide or start anything" if who == GUEST else ""
        await desk.is_told(who, "You can't start anything here", reason, channel=AGENTS)
    await desk.runs(await desk.mentions(REQUESTER, "refund it"))
    assert await prompts(desk, who) == []


async def test_a_direct_message(desk: Desk) -> None:
    await connected(desk)
    channels = (await desk.get("/channels", user=REQUESTER))["channels"]
    direct = next(channel["id"] for channel in channels if channel.get("is_im"))
    ts = await desk.says(REQUESTER, "refund it", channel=direct)
    execution = await desk.runs(ts, direct)
    await desk.sees(direct, lambda m: "refund_agent" in shown(m), "the progress", user=REQUESTER)
    assert execution.requested_by == f"slack:{TEAM}:{REQUESTER}"


async def test_what_is_said_without_a_mention_starts_nothing(desk: Desk) -> None:
    await connected(desk)
    await desk.says(REQUESTER, "refund it")
    await desk.runs(await desk.mentions(REQUESTER, "this one"))
    assert await prompts(desk) == [("refund_agent", "this one")]


async def test_the_same_event_twice_starts_once(desk: Desk) -> None:
    await connected(desk)
    await desk.post("/faults", {"duplicate_events": 3})
    await desk.runs(await desk.mentions(REQUESTER, "refund it"))
    await desk.changes("/users/U0BYSTANDER", {"name": "Somebody"})
    assert await prompts(desk) == [("refund_agent", "refund it")]


async def test_a_retry_that_is_the_only_delivery(desk: Desk) -> None:
    await connected(desk)
    await desk.post("/faults", {"lost_events": 1})
    await desk.runs(await desk.mentions(REQUESTER, "refund it"))
    assert await prompts(desk) == [("refund_agent", "refund it")]


async def test_a_flood_of_mentions(desk: Desk) -> None:
    await connected(desk)
    await asyncio.gather(*(desk.mentions(REQUESTER, f"refund {number}") for number in range(50)))

    async def all_started() -> bool:
        return len(await prompts(desk)) == 50

    await until(all_started, "all of them run")


def event(text: str, **fields: Any) -> dict[str, Any]:
    given = {"type": "app_mention", "user": "U1", "ts": "1.2", "channel": "C1", "text": text, "team": "T1"} | fields
    return {"event_id": "Ev1", "team_id": "T1", "authorizations": [{"team_id": "T1"}], "event": given}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<@UBOT> refund it", "refund it"),
        ("please <@UBOT>  do", "please do"),
        (
            "<@UBOT> ask <@U2> in <#C2|ops> about <https://x.example/a?b=1|the page>",
            "ask <@U2> in #ops about the page (https://x.example/a?b=1)",
        ),
        ("<@UBOT> <https://x.example> &lt;b&gt; <mailto:a@b.c|a@b.c> <!here>", "https://x.example <b> a@b.c here"),
    ],
)
def test_text_as_people_read_it(text: str, read: str) -> None:
    said = read_said(event(text), "UBOT")
    assert said is not None
    assert said.text == read


@pytest.mark.parametrize("fields", [{"bot_id": "B1"}, {"user": None}, {"subtype": "message_changed"}])
def test_nobody_said_it(fields: dict[str, Any]) -> None:
    assert read_said(event("x", **fields), "UBOT") is None


def test_an_agent_named_like_a_command_goes_first() -> None:
    assert command_of("status", []) == "status"
    assert command_of("status", ["status"]) is None
    assert command_of("status of the rollout", []) is None
