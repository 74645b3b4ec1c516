"""What is taken of a flood, and what is refused aloud: so many at once as are answered in time."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any
from urllib.parse import urlencode

import pytest

from agent_runtime.errors import Overloaded, StoreUnavailable
from agent_runtime.store.executions import REQUESTED_BY
from bot.listeners.later import AT_ONCE, OF_ONE_PERSON, Later
from bot.transport import http as http_mode_module
from bot.transport.admission import (
    AGAIN_AT_ONCE,
    CLICKS_AT_ONCE,
    CLICKS_OF_ONE_PERSON,
    EVENTS_OF_ONE_PERSON,
    FEWEST,
    FIRST,
    MOST,
    SLOW,
    Admission,
    Full,
)
from tests.bot.conftest import OpenDesk
from tests.bot.desk import Desk, connected
from tests.bot.seeing import click_payload, until
from tests.bot.test_transports import asked_over_api, http_mode, sent, serving
from tests.bot.workspace import AGENTS, BYSTANDER, GUEST, REQUESTER, REVIEWER

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def event_of(user: str) -> dict[str, Any]:
    return {"event": {"user": user}}


def click_of(user: str) -> dict[str, Any]:
    return {"user": {"id": user}}


def taken(admission: Admission, wanted: int, **kind: Any) -> int:
    """How many of so many, each from somebody else, are taken."""
    for number in range(wanted):
        try:
            admission.take((event_of if kind["event"] else click_of)(f"U{number}"), **kind)
        except Full:
            return number
    return wanted


def test_events_have_a_limit_and_those_brought_again_more_room() -> None:
    admission = Admission()
    assert taken(admission, 1000, event=True) == FIRST
    assert taken(admission, 1000, event=True, again=True) == AGAIN_AT_ONCE
    assert admission.refused == 2


def test_nobody_takes_more_than_a_share() -> None:
    admission = Admission()
    while admission._events.limit < MOST:  # it grows while they are quick
        admission.take(event_of("U0"), event=True)()
    for _ in range(EVENTS_OF_ONE_PERSON):
        admission.take(event_of("U1"), event=True)
    with pytest.raises(Full):
        admission.take(event_of("U1"), event=True)
    admission.take(event_of("U2"), event=True)
    leaves = [admission.take(click_of("U1"), event=False) for _ in range(CLICKS_OF_ONE_PERSON)]
    with pytest.raises(Full):
        admission.take({"user_id": "U1"}, event=False)
    leaves[0]()
    admission.take({"user_id": "U1"}, event=False)


def test_a_first_click_is_taken_past_the_limit() -> None:
    admission = Admission()
    assert taken(admission, FIRST, event=False) == FIRST
    with pytest.raises(Full):
        admission.take(click_of("U1"), event=False)
    assert taken(Admission(), 2 * CLICKS_AT_ONCE, event=False) == CLICKS_AT_ONCE


def test_how_many_are_taken_follows_how_long_they_take() -> None:
    now = [0.0]
    admission = Admission(lambda: now[0])

    def limit() -> int:
        leaves = []
        try:
            while True:
                leaves.append(admission.take(event_of(f"U{len(leaves)}"), event=True))
        except Full:
            limits.append(len(leaves))
        now[0] += pace[0]
        for leave in leaves:
            leave()
        return limits[-1]

    limits: list[int] = []
    pace = [2 * SLOW]
    assert [limit() for _ in range(4)] == [50, 25, 16, 16]
    assert limits[-1] == FEWEST
    pace[0] = 0.01
    assert [limit() for _ in range(4)] == [16, 17, 18, 19]


async def test_more_to_answer_than_has_room_is_refused() -> None:
    later, held = Later(), asyncio.Event()
    for _ in range(OF_ONE_PERSON):
        later.spawn(held.wait(), "x", person="U1", name="same")
    assert later.under_way("same")
    with pytest.raises(Overloaded):
        later.spawn(held.wait(), "x", person="U1")
    for _ in range(AT_ONCE - OF_ONE_PERSON):
        later.spawn(held.wait(), "x")
    with pytest.raises(Overloaded):
        later.spawn(held.wait(), "x", person="U2")
    held.set()
    await later.close()
    assert not later.under_way("same")
    later.require_room("U1")


def mention(user: str, number: int, **fields: Any) -> bytes:
    event = {"type": "app_mention", "user": user, "team": "T0SANDBOX", "channel": AGENTS, "ts": f"17{number:08}.1"}
    event |= {"text": f"<@U0COUNTERSIGN> refund {number}", **fields}
    authorizations = [{"team_id": "T0SANDBOX", "user_id": "U0COUNTERSIGN", "is_bot": True}]
    envelope = {"type": "event_callback", "team_id": "T0SANDBOX", "event_id": f"Ev{number}", "event": event}
    return json.dumps(envelope | {"authorizations": authorizations}).encode()


async def prompts(desk: Desk) -> int:
    return len(await desk.database.all(REQUESTED_BY, b_requested_by=f"slack:T0SANDBOX:{REQUESTER}", b_limit=50))


async def test_an_event_that_has_no_room_is_refused_and_taken_later(desk_for: OpenDesk) -> None:
    async with http_mode(desk_for) as desk:
        await connected(desk)
        async with serving(desk) as url:
            admission = desk.surface._admission
            room = math.ceil(admission._events.limit)
            leaves = [admission.take(event_of(f"U{number}"), event=True) for number in range(room)]
            assert (await sent(desk, url, mention(REQUESTER, 1)))[0] == 503
            assert (await sent(desk, url, mention(REQUESTER, 1), **{"X-Slack-Retry-Num": "1"}))[0] == 200
            assert await prompts(desk) == 1
            for leave in leaves:
                leave()
            assert (await sent(desk, url, mention(REQUESTER, 2)))[0] == 200
            assert await prompts(desk) == 2
            assert desk.surface.status()["refused"] == 1


async def test_an_event_that_takes_too_long_is_refused_and_starts_once(
    desk_for: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_mode_module, "ANSWER_WITHIN", 0.1)
    async with http_mode(desk_for) as desk:
        await connected(desk)
        write, go_on = desk.database.write, asyncio.Event()

        async def slowly(operation: Any, /, *args: Any, **kwargs: Any) -> Any:
            await go_on.wait()
            return await write(operation, *args, **kwargs)

        monkeypatch.setattr(desk.database, "write", slowly)
        async with serving(desk) as url:
            assert (await sent(desk, url, mention(REQUESTER, 1)))[0] == 503
            go_on.set()
            monkeypatch.setattr(http_mode_module, "ANSWER_WITHIN", 10.0)
            assert (await sent(desk, url, mention(REQUESTER, 1)))[0] == 200
            assert await prompts(desk) == 1


async def test_a_body_that_does_not_come_is_refused(desk_for: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_mode_module, "SECONDS_TO_SEND", 0.1)

    async def never() -> Any:
        yield b"{"
        await asyncio.sleep(30)

    async with http_mode(desk_for) as desk, serving(desk) as url, desk.http.post(url, data=never()) as answer:
        assert answer.status == 408


async def test_an_answer_that_has_no_room_is_not_acknowledged(
    desk_for: OpenDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack then shows the clicker that it did not work, and brings an event again."""
    async with http_mode(desk_for) as desk:
        await connected(desk)
        approval = await asked_over_api(desk)
        async with serving(desk) as url:
            card = await desk.card(approval)

            async def click(user: str) -> int:
                body = json.dumps(click_payload(card, user, "approval.approve"))
                return (await sent(desk, url, urlencode({"payload": body}).encode(), **FORM))[0]

            monkeypatch.setattr(desk.surface._context.pacing, "interval", 3600.0)
            monkeypatch.setattr(desk.surface._context.pacing, "burst", 1)
            assert await click(BYSTANDER) == 200
            await desk.is_told(BYSTANDER, "You can't decide this")
            assert await click(GUEST) == 503
            assert (await sent(desk, url, mention(GUEST, 1)))[0] == 503
            assert (await desk.approval(approval)).pending
            assert await click(REVIEWER) == 200, "a decision needs no answer"
            assert (await desk.ends(approval)).status == "approved"


async def test_many_clicks_of_one_person_are_answered_once(desk_for: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_mode(desk_for) as desk:
        await connected(desk)
        approval = await asked_over_api(desk)
        async with serving(desk) as url:
            card = await desk.card(approval)
            told, go_on, ephemeral = [0], asyncio.Event(), desk.surface._client.ephemeral

            async def counted(*args: Any, **kwargs: Any) -> Any:
                told[0] += 1
                await go_on.wait()
                return await ephemeral(*args, **kwargs)

            monkeypatch.setattr(desk.surface._client, "ephemeral", counted)

            async def click(number: int) -> int:
                payload = click_payload(card, BYSTANDER, "approval.approve") | {"trigger_id": f"{number}.1.x"}
                return (await sent(desk, url, urlencode({"payload": json.dumps(payload)}).encode(), **FORM))[0]

            assert set(await asyncio.gather(*map(click, range(10)))) == {200}
            go_on.set()
            await desk.is_told(BYSTANDER, "You can't decide this")

            async def quiet() -> bool:
                return not desk.surface._context.later._tasks

            await until(quiet, "everything is told")
            assert told == [1]


async def test_a_full_database_is_not_acknowledged(desk_for: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_mode(desk_for) as desk:
        await connected(desk)
        problems: list[Exception] = [Overloaded(), StoreUnavailable()]

        async def refusing(*args: Any, **kwargs: Any) -> Any:
            raise problems.pop(0)

        monkeypatch.setattr(desk.database, "write", refusing)
        async with serving(desk) as url:
            assert (await sent(desk, url, mention(REQUESTER, 1)))[0] == 503
            assert (await sent(desk, url, mention(REQUESTER, 2)))[0] == 500
