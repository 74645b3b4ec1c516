"""`python -m bot.sandbox` as a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

REPOSITORY = Path(__file__).parents[2]
Process = asyncio.subprocess.Process
Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts sandboxes; those still alive at the end of the test are killed."""
    processes: list[Process] = []

    async def started(*arguments: str) -> Process:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.sandbox", *arguments, stdin=pipe, stdout=pipe, stderr=pipe, cwd=REPOSITORY
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        if process.returncode is None:
            process.kill()
        # Reads to the end, so that the pipes are closed.
        await process.communicate()


async def line(process: Process) -> dict[str, str]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return dict(json.loads(await process.stdout.readline()))


async def test_it_announces_itself_and_ends_with_its_parents_pipe(start: Start) -> None:
    process = await start("--config", "-")
    assert process.stdin is not None
    process.stdin.write(json.dumps({"server_controls": True, "team_name": "Configured"}).encode() + b"\n")
    ready = await line(process)
    assert ready["event"] == "ready"
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{ready['url']}/sandbox/api/state") as response:
            assert (await response.json())["team"]["name"] == "Configured"
        async with http.post(f"{ready['url']}/sandbox/api/server", json={"action": "kill"}) as response:
            assert response.status == 200
        assert await line(process) == {"event": "server.kill"}
    process.stdin.close()
    async with asyncio.timeout(10):
        assert await process.wait() == 0


async def test_it_ends_at_a_signal(start: Start) -> None:
    process = await start()
    await line(process)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() == 0


async def test_a_bad_configuration_is_named(start: Start) -> None:
    process = await start("--config", "-")
    async with asyncio.timeout(20):
        _, words = await process.communicate(b'{"team_nam": "x"}\n')
    assert process.returncode == 2
    assert "team_nam" in words.decode()
