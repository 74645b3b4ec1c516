"""`python -m bot.scripted_model`: says where it listens, serves, and ends with its parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from openai import AsyncOpenAI

PIPE = asyncio.subprocess.PIPE


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.scripted_model", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    assert line.keys() == {"event", "url"}
    assert line["event"] == "ready"
    return str(line["url"])


async def test_it_listens_answers_and_ends_at_the_end_of_its_input() -> None:
    async with started() as process:
        url = await ready(process)
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
            assert [model.id async for model in client.models.list()] == ["scripted"]
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_it_ends_when_its_parent_is_killed() -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'bot.scripted_model'], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 30))
    url = await ready(parent)
    assert url.startswith("http://127.0.0.1:")
    try:
        parent.kill()
        # Its output ends when the child, which holds the same pipe, is gone too.
        await asyncio.wait_for(parent.communicate(), 10)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_when_it_is_told_to(number: signal.Signals) -> None:
    async with started("--port", "0") as process:
        await ready(process)
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_port_that_is_taken_is_said() -> None:
    async with started() as first:
        port = (await ready(first)).rpartition(":")[2]
        async with started("--port", port) as second:
            _, errors = await asyncio.wait_for(second.communicate(), 30)
            assert second.returncode == 1
            assert f"cannot listen on 127.0.0.1:{port}" in errors.decode()
