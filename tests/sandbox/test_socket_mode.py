"""Socket Mode as apps see it: hello, one of N, acks, retries, disconnects."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.sandbox.conftest import StartWorkspace
from tests.sandbox.workspace import (
    AGENTS,
    REVIEWER,
    Workspace,
    actions,
    button,
    connected,
    eventually,
    socket_url,
)

MENTIONS_ONLY = {"bot_events": ["app_mention"], "rate_limits": False}


async def connections(workspace: Workspace) -> int:
    return int((await workspace.get("state"))["connections"])


async def test_hello_counts_the_connections(workspace: Workspace) -> None:
    async with connected(workspace) as first, connected(workspace) as second:
        assert first.hello["type"] == "hello"
        assert (first.hello["num_connections"], second.hello["num_connections"]) == (1, 2)
        assert first.hello["connection_info"] == {"app_id": "A0COUNTERSIGN"}
        assert await connections(workspace) == 2

    async def gone() -> bool:
        return await connections(workspace) == 0

    await eventually(gone)


async def test_a_socket_needs_a_ticket(workspace: Workspace) -> None:
    url = (await socket_url(workspace)).replace("ticket=", "ticket=x")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await workspace.http.ws_connect(url)
    assert refused.value.status == 401


async def test_each_envelope_goes_down_one_connection(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(**MENTIONS_ONLY)
    async with connected(workspace) as first, connected(workspace) as second:
        for number in range(6):
            await workspace.say(f"@Countersign {number}")

        async def all_there() -> bool:
            return first.envelopes.qsize() + second.envelopes.qsize() == 6

        await eventually(all_there)
        assert first.envelopes.qsize() == second.envelopes.qsize() == 3


async def test_the_eleventh_connection_is_one_too_many(workspace: Workspace) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(connected(workspace))
        async with workspace.http.ws_connect(await socket_url(workspace)) as socket:
            frame = await socket.receive_json()
            assert (frame["type"], frame["reason"]) == ("disconnect", "too_many_websockets")
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert await connections(workspace) == 10


async def test_an_event_without_ack_comes_again_four_times_in_all(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(**MENTIONS_ONLY, ack_seconds=0.05, time_scale=1e-4)
    async with connected(workspace) as app:
        app.acks = False
        await workspace.say("@Countersign help")
        tries = [await app.next() for _ in range(4)]
        # Nothing comes after the last retry: the next delivery is another event's.
        app.acks = True
        await workspace.say("@Countersign again")
        assert (await app.next())["payload"]["event"]["text"] == "<@U0COUNTERSIGN> again"
    assert [(t["retry_attempt"], t["retry_reason"]) for t in tries] == [
        (0, ""),
        (1, "http_timeout"),
        (2, "http_timeout"),
        (3, "http_timeout"),
    ]
    assert len({t["payload"]["event_id"] for t in tries}) == 1
    assert len({t["envelope_id"] for t in tries}) == 4


async def test_a_retry_reaches_an_app_that_comes_back(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(**MENTIONS_ONLY, time_scale=0.005)
    said = await workspace.say("@Countersign are you there?")
    async with connected(workspace) as app:
        envelope = await app.next()
    assert envelope["payload"]["event"]["ts"] == said["ts"]
    assert (envelope["retry_attempt"], envelope["retry_reason"]) == (2, "connection_failed")


async def test_a_warned_connection_is_served_until_it_is_closed(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(**MENTIONS_ONLY, time_scale=0.02)
    async with connected(workspace) as app:
        await workspace.post("faults", disconnect="warning")
        assert (await app.disconnects.get())["reason"] == "warning"
        await workspace.say("@Countersign still here?")
        assert await app.next("app_mention")
        async with asyncio.timeout(5):
            while not app.socket.closed:
                await asyncio.sleep(0.01)
    assert (await workspace.get("faults"))["faults"] == {}


async def test_a_refreshed_connection_gets_nothing_more(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(**MENTIONS_ONLY)
    async with connected(workspace) as old:
        await workspace.post("faults", disconnect="refresh_requested")
        assert (await old.disconnects.get())["reason"] == "refresh_requested"
        async with connected(workspace) as new:
            for number in range(3):
                await workspace.say(f"@Countersign {number}")
            for _ in range(3):
                await new.next("app_mention")
        assert old.envelopes.empty()


async def test_a_cut_socket_ends_without_a_closing_handshake(workspace: Workspace) -> None:
    async with connected(workspace) as app:
        await workspace.post("faults", drop_socket=True)
        async with asyncio.timeout(5):
            while not app.socket.closed:
                await asyncio.sleep(0.01)
        assert app.socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE


async def test_late_and_senseless_frames_do_no_harm(start_workspace: StartWorkspace) -> None:
    workspace = await start_workspace(ack_seconds=0.1)
    posted = await workspace.client.chat_postMessage(channel=AGENTS, text="x", blocks=[actions(button("yes"))])
    click = {"user": REVIEWER, "channel": AGENTS, "message_ts": posted["ts"], "action_id": "yes"}
    async with connected(workspace) as app:
        app.acks = False
        assert (await workspace.post("actions", **click))["acked"] is False
        late = (await app.next("block_actions"))["envelope_id"]
        await app.socket.send_json({"envelope_id": late})
        for text in ("not json", "[]", '{"envelope_id": 1}', "{}"):
            await app.socket.send_str(text)
        app.acks = True
        assert (await workspace.post("actions", **click))["acked"] is True
