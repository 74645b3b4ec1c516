"""An execution's events as they happen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from agent_runtime.core.execution import Execution
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import StoreUnavailable
from agent_runtime.operations.tokens import revoke_token
from agent_runtime.web import events as web_events
from agent_runtime.web import waiting as web_waiting
from tests.web.conftest import Api, World


class Stream:
    """Reads server-sent events as a browser does."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, str] | None:
        """The fields of the next event or comment (under ""); None at the end of the stream."""
        fields: dict[str, str] = {}
        while True:
            line = (await asyncio.wait_for(self.response.content.readline(), 10)).decode()
            if line in ("", "\n"):
                return fields or None
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value

    async def rest(self) -> list[dict[str, str]]:
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


@asynccontextmanager
async def stream(api: Api, execution: Execution, **headers: str) -> AsyncIterator[Stream]:
    path = f"{api.url}/api/v1/executions/{execution.execution_id}/events"
    async with api.session.get(path, headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield Stream(response)


def types(events: list[dict[str, str]]) -> list[str]:
    return [event["event"] for event in events]


async def test_what_happened_is_replayed_and_what_happens_follows(api: Api, world: World) -> None:
    approval = await world.waiting(expires_after=None)
    execution = await world.execution(approval)
    async with stream(api, execution) as watched:
        before = [await watched.next() for _ in range(4)]
        assert types(before) == ["execution.queued", "execution.claimed", "approval.requested", "execution.waiting"]
        assert [event["id"] for event in before] == ["1", "2", "3", "4"]
        await world.decide(approval, "rejected")
        decided = await watched.next()
        assert decided["event"] == "approval.rejected"
        told = json.loads(decided["data"])
        assert (told["by"], told["via"], told["seq"]) == ("local:operator", "cli", 5)
        await world.completed(await world.claimed())
        assert types(await watched.rest()) == ["execution.queued", "execution.claimed", "execution.succeeded"]


async def test_it_resumes_after_the_last_event(api: Api, world: World) -> None:
    execution = await world.execution(await world.waiting())
    async with stream(api, execution, **{"Last-Event-ID": "2"}) as watched:
        assert (await watched.next())["id"] == "3"
    await api.post(f"/api/v1/executions/{execution.execution_id}/cancel")
    async with stream(api, execution, **{"Last-Event-ID": "4"}) as watched:
        rest = await watched.rest()
    assert types(rest) == ["execution.cancelled", "approval.cancelled"]
    path = f"/api/v1/executions/{execution.execution_id}/events"
    assert (await api.get(path, headers={"Last-Event-ID": rest[-1]["id"]})).status == 204
    assert (await api.get(path, headers={"Last-Event-ID": ""})).status == 200


@pytest.mark.parametrize("last", ["-1", "x", "1.5", "1e3", "9" * 16, "\u0663"])
async def test_a_bad_last_event_id_is_refused(api: Api, world: World, last: str) -> None:
    execution = await world.started()
    path = f"/api/v1/executions/{execution.execution_id}/events"
    answer = await api.get(path, headers={"Last-Event-ID": last})
    assert (answer.status, answer.json["detail"].split(":")[0]) == (422, "Last-Event-ID")


async def test_silence_is_kept_alive(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_events, "HEARTBEAT", 0.0)
    execution = await world.started()
    async with stream(api, execution) as watched:
        assert (await watched.next())["event"] == "execution.queued"
        comment = await watched.next()
        assert comment is not None
        assert set(comment) == {""}


async def test_a_token_that_was_revoked_hears_no_more(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_events, "LOOKED_AT_AGAIN", 0.0)
    execution = await world.started()
    token = await world.token("read", name="reader")
    await world.token("read", name="another")
    async with stream(api, execution, **token) as watched:
        assert await watched.next()
        await world.database.write(revoke_token, "reader", by=LOCAL_OPERATOR, via=Via.cli)
        await world.gated(await world.claimed(execution))
        [problem] = await watched.rest()
    assert problem["event"] == "problem"
    assert json.loads(problem["data"])["status"] == 401


async def test_secrets_in_edits_stay_masked(api: Api, world: World) -> None:
    approval = await world.waiting(allow_edits=True, redact=("iban",))
    body = {"decision": "approved", "edited_arguments": {"iban": "DE-not-for-eyes", "amount": 1}}
    await api.post(f"/api/v1/approvals/{approval.approval_request_id}/decision", body)
    execution = await world.execution(approval)
    await api.post(f"/api/v1/executions/{execution.execution_id}/cancel")
    async with stream(api, execution) as watched:
        text = json.dumps(await watched.rest())
    assert "approval.approved" in text
    assert "not-for-eyes" not in text


async def test_a_client_that_goes_away_is_forgotten(api: Api, world: World) -> None:
    execution = await world.started()
    async with stream(api, execution) as watched:
        await watched.next()
        assert api.app[web_waiting.WAITING].count == 1
        watched.response.close()
    async with asyncio.timeout(10):
        while api.app[web_waiting.WAITING].count:
            await asyncio.sleep(0.01)


async def test_a_stopping_server_ends_the_stream(api: Api, world: World) -> None:
    execution = await world.started()
    async with stream(api, execution) as watched:
        await watched.next()
        await web_waiting.stop_waiting(api.app)
        assert await watched.rest() == []


async def test_a_broken_store_is_no_end_of_the_execution(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = await world.started()

    async def refuse(*args: Any, **kwargs: Any) -> None:
        raise StoreUnavailable()

    async with stream(api, execution) as watched:
        await watched.next()
        monkeypatch.setattr(world.database, "one", refuse)
        (last,) = await watched.rest()
    assert last["event"] == "problem"
    assert json.loads(last["data"])["status"] == 503
