"""`Agent.run` and what stands behind it: where it listens, what it reads, and that it stops."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from agent_runtime.agent import Agent
from agent_runtime.errors import InvalidSetting, WrongLoop
from agent_runtime.server import Server, running, serve
from agent_runtime.settings import Settings
from agent_runtime.store.agents import AGENT_NAMES
from agent_runtime.store.database import Database
from tests.e2e.process import ProductProcess, environment

pytestmark = pytest.mark.databases("sqlite")

SCRIPT = """
from agent_runtime import Agent
app = Agent("greeter")
@app.reasoner()
async def greet(name: str) -> str:
    return f"Hello {name}"
if __name__ == "__main__":
    app.run()
"""


@pytest.fixture(autouse=True)
def without_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


async def test_a_port_that_is_taken(database_url: str, taken: int) -> None:
    settings = Settings(database_url=database_url, port=taken)
    with pytest.raises(InvalidSetting, match=f"COUNTERSIGN_PORT: {taken} on 127.0.0.1 is in use"):
        async with running([Agent("a")], settings=settings):
            pass
    async with await Database.open(database_url) as database:
        assert await database.all(AGENT_NAMES) == [], "nothing was deployed"
    async with running([Agent("a")], settings=settings, auto_port=True) as server:
        assert f":{taken}" not in server.url
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/healthz") as answer:
            assert answer.status == 200


async def test_listening_everywhere_it_is_reached_here(database_url: str) -> None:
    async with running([Agent("a")], settings=Settings(database_url=database_url, host="0.0.0.0", port=0)) as server:
        assert server.url.startswith("http://127.0.0.1:")


async def test_an_address_that_is_nobodys(database_url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"COUNTERSIGN_HOST: cannot listen on 203\.0\.113\.1"):
        async with running([Agent("a")], settings=Settings(database_url=database_url, host="203.0.113.1", port=0)):
            pass


async def test_in_a_thread_of_its_own(database_url: str) -> None:
    """Signals are the main thread's; `stop` is anybody's."""
    here = asyncio.get_running_loop()
    up: asyncio.Future[tuple[Server, asyncio.AbstractEventLoop, asyncio.Event]] = here.create_future()

    async def served() -> None:
        stop = asyncio.Event()
        there = asyncio.get_running_loop()

        def ready(server: Server) -> None:
            here.call_soon_threadsafe(up.set_result, (server, there, stop))

        await serve([Agent("a")], settings=Settings(database_url=database_url, port=0), ready=ready, stop=stop)

    thread = threading.Thread(target=lambda: asyncio.run(served()))
    thread.start()
    _, there, stop = await up
    there.call_soon_threadsafe(stop.set)
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()


async def test_where_a_loop_runs_it_refuses() -> None:
    with pytest.raises(WrongLoop, match="call it from a thread of its own"):
        Agent("a").run(port=0)


async def test_as_a_script_it_reads_the_settings_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "greeter.py").write_text(SCRIPT)
    (tmp_path / ".env").write_text("COUNTERSIGN_PORT=0\nCOUNTERSIGN_DATABASE_URL=sqlite+aiosqlite:///here.db\n")
    process = ProductProcess.start([sys.executable, "greeter.py"], environment(), tmp_path)
    try:
        url = (await process.says(r"API and dashboard: (\S+)"))[1]
        await process.says("Agents: greeter")
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/api/v1/execute/greeter", json={"prompt": "Alex"}) as answer,
        ):
            told = await answer.json()
        assert (told["status"], told["result"]) == ("succeeded", "Hello Alex")
        assert (tmp_path / "here.db").exists()
        assert await process.stop() == 0
        assert process.log.read_text() == ""
    finally:
        process.abandon()
