"""Connections that say nothing, or too many of them: who talks is served, and who is refused is told so."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from agent_runtime.web import listening
from agent_runtime.web.connections import AT_MOST, CONNECTIONS, Connections, as_many_as_files_allow, connections
from agent_runtime.web.listening import bind, listen, runner_of

pytestmark = pytest.mark.databases("sqlite")

SILENT = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "


class Served:
    """An application with one path that answers at once and one that waits."""

    def __init__(self, at_most: int) -> None:
        self.go_on = asyncio.Event()
        self.app = web.Application(middlewares=[connections])
        self.app[CONNECTIONS] = Connections(at_most)
        self.app.add_routes([web.get("/", self.quick), web.get("/slow", self.slow)])
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def quick(self, request: web.Request) -> web.Response:
        return web.Response(text="here")

    async def slow(self, request: web.Request) -> web.Response:
        await self.go_on.wait()
        return web.Response(text="at last")

    async def opened(self, sent: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        writer.write(sent)
        return reader

    async def close(self) -> None:
        self.go_on.set()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def answers(self, path: str = "/") -> tuple[int, str | None]:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return answer.status, answer.headers.get("Retry-After")


@asynccontextmanager
async def served(at_most: int) -> AsyncIterator[Served]:
    serving = Served(at_most)
    runner = runner_of(serving.app)
    await runner.setup()
    await listen(runner, await bind("127.0.0.1", 0), "127.0.0.1")
    serving.port = runner.addresses[0][1]
    try:
        yield serving
    finally:
        await serving.close()
        await runner.cleanup()


async def test_the_longest_at_rest_gives_way() -> None:
    async with served(5) as serving:
        silent = [await serving.opened(SILENT) for _ in range(8)]
        assert await serving.answers() == (200, None)
        for reader in silent[:4]:
            assert await asyncio.wait_for(reader.read(), 5) == b"", "it was dropped"
        assert serving.app[CONNECTIONS].dropped == 4
        assert not any(reader.at_eof() for reader in silent[4:])


async def test_a_connection_that_is_used_again_is_not_the_longest_at_rest() -> None:
    async with served(3) as serving:
        used = await serving.opened()
        for _ in range(6):
            serving._writers[0].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await asyncio.wait_for(used.readuntil(b"here"), 5)
            await serving.opened(SILENT)
        assert serving.app[CONNECTIONS].dropped == 4


async def test_a_newcomer_is_refused_where_all_are_busy() -> None:
    async with served(2) as serving:
        busy = [asyncio.create_task(serving.answers("/slow")) for _ in range(2)]
        while len(serving.app[CONNECTIONS]._resting) or serving.app[CONNECTIONS].refused == 0:
            status, retry_after = await serving.answers()
            if status == 503:
                assert retry_after == "1"
        serving.go_on.set()
        assert await asyncio.gather(*busy) == [(200, None)] * 2


async def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "KEPT_ALIVE", 0.2)
    async with served(100) as serving:
        for sent in (b"", SILENT):
            assert await asyncio.wait_for((await serving.opened(sent)).read(), 5) == b""


async def test_what_is_closed_is_forgotten() -> None:
    async with served(100) as serving:
        for _ in range(200):
            await serving.answers()
        assert len(serving.app[CONNECTIONS]._resting) < 150


def test_as_many_as_there_are_files_for(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1024, 1024)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, both: limits.append(both))
    assert as_many_as_files_allow() == 1024 - 256
    limits[:] = [(1024, 20_000)]
    assert as_many_as_files_allow() == AT_MOST
    assert limits[-1] == (20_000, 20_000)
    limits[:] = [(resource.RLIM_INFINITY, resource.RLIM_INFINITY)]
    assert as_many_as_files_allow() == AT_MOST


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer cs_hidden\x00\r\n\r\n",
        b"GET /?token=cs_hidden \x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: cs_hidden" + b"a" * 10_000 + b"\r\n\r\n",
    ],
    ids=["a bad header", "a bad line", "a long header"],
)
async def test_what_cannot_be_read_is_not_repeated(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with served(at_most=8) as serving:
        with capture_logs() as logged:
            reader = await serving.opened(sent)
            answer = (await asyncio.wait_for(reader.read(), 10)).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.split()[1] == "400"
    assert "\r\nServer: countersign\r\n" in head
    assert json.loads(body)["type"] == "urn:countersign:problem:bad-request"
    assert not any(word in answer for word in ("hidden", "aiohttp", "Python"))
    assert [line["event"] for line in logged] == ["unreadable request"]
    assert "hidden" not in f"{logged} {caplog.text}"
    assert caplog.records == []
