"""`countersign demo`: everything up with a first card, from nothing, and everything down again."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.conftest import TEMPORARY, StartDemo
from tests.e2e.family import PROC, alive, children, command
from tests.e2e.process import ProductProcess
from tests.e2e.room import DECIDE, REQUESTER, buttons, says
from tests.e2e.stack import REVIEWER, Json
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not PROC.is_dir(), reason="children are looked up in /proc")]

CHANNEL = "C0AGENTS001"
PARTS = ("bot.sandbox", "bot.scripted_model", "bot serve")

REAL = {
    "SLACK_BOT_TOKEN": "xoxb-real",
    "SLACK_APP_TOKEN": "xapp-real",
    "SLACK_SIGNING_SECRET": "a-real-signing-secret",
    "OPENAI_API_KEY": "sk-real",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "ANTHROPIC_API_KEY": "sk-ant-real",
    "COUNTERSIGN_DATABASE_URL": "sqlite+aiosqlite:////nowhere/real.db",
    "COUNTERSIGN_APPROVALS_CHANNEL": "C0REALCHANNEL",
    "COUNTERSIGN_REVIEWERS": "U0REALPERSON",
    "COUNTERSIGN_MODEL": "anthropic/claude-real",
}
"""What somebody has set who uses the product in earnest."""


async def urls(demo: ProductProcess) -> tuple[str, str]:
    """Where the API and the workspace are."""
    return (await demo.says(r"API and dashboard: (\S+)"))[1], (await demo.says(r"Slack sandbox: (\S+)"))[1]


class Page:
    """What the page of the workspace asks for."""

    def __init__(self, url: str, http: aiohttp.ClientSession, demo: ProductProcess) -> None:
        self._url = f"{url}/sandbox/api"
        self._http = http
        self._demo = demo

    async def get(self, path: str) -> Json:
        async with self._http.get(self._url + path) as answer:
            assert answer.status == 200, await answer.text()
            told: Json = await answer.json()
            return told

    async def post(self, path: str, **body: Any) -> Json:
        async with self._http.post(self._url + path, json=body) as answer:
            assert answer.status == 200, await answer.text()
            told: Json = await answer.json()
            return told

    async def sees(self, wanted: Callable[[Json], bool], what: str) -> Json:
        async def there() -> Json | None:
            messages = (await self.get(f"/channels/{CHANNEL}/messages"))["messages"]
            return next(filter(wanted, messages), None)

        return await until(there, what, explain=self._demo.tail)

    async def connected(self, wanted: bool) -> None:
        async def is_so() -> bool:
            return bool((await self.get("/state"))["connections"]) is wanted

        await until(is_so, f"the bot is {'on' if wanted else 'off'}line", within=30, explain=self._demo.tail)

    async def approves(self, card: Json) -> bool:
        """A click by a reviewer; whether the bot has acknowledged it."""
        where = {"user": REVIEWER, "channel": CHANNEL, "message_ts": card["ts"]}
        return bool((await self.post("/actions", **where, action_id="approval.approve", confirm=True))["acked"])


async def test_the_demo_from_its_first_card_to_ctrl_c(start_demo: StartDemo, tmp_path: Path) -> None:
    """It reaches nothing real, whatever is set; its server survives kill -9; nothing stays behind."""
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in REAL.items()))
    ledger = tmp_path / "ledger.jsonl"
    real = REAL | {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    demo = start_demo(COUNTERSIGN_DEMO_LEDGER=str(ledger), **real)
    api, sandbox = await urls(demo)
    family = children(demo.pid)
    assert sorted(next(part for part in PARTS if part in command(pid)) for pid in family) == sorted(PARTS)

    async with aiohttp.ClientSession() as http:
        page = Page(sandbox, http, demo)
        card = await page.sees(lambda message: buttons(message) == DECIDE, "the first card")
        assert says(card, "process_refund", 'order_id: "ORD-8821"', f"<@{REQUESTER}>", f"<@{REVIEWER}>")
        assert card["thread_ts"]

        (server,) = (pid for pid in family if "bot serve" in command(pid))
        await page.post("/server", action="kill")
        await page.connected(False)
        assert server not in alive(family)
        assert not await page.approves(card)
        await page.post("/server", action="start")
        assert (await demo.says(r"The server is up again: (\S+)"))[1] == api
        await page.connected(True)
        async with http.get(f"{api}/readyz") as answer:
            assert answer.status == 200

        assert await page.approves(card)
        await page.sees(lambda message: says(message, "$29.99 was refunded", f"<@{REQUESTER}>"), "the result")
        (effect,) = ledger.read_text().splitlines()
        assert json.loads(effect)["arguments"] == {"order_id": "ORD-8821", "amount": 29.99}
        family |= children(demo.pid)

    assert await demo.stop(signal.SIGINT) == 0
    assert alive(family) == set()
    assert "Traceback" not in demo.log.read_text()
    assert os.listdir(tmp_path / TEMPORARY) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".env",
        "demo.log",
        "demo.out",
        "ledger.jsonl",
        TEMPORARY,
    ]


async def test_nothing_outlives_a_demo_that_is_killed(start_demo: StartDemo) -> None:
    demo = start_demo()
    await urls(demo)
    family = children(demo.pid)
    assert len(family) == len(PARTS)
    await demo.kill()

    async def gone() -> bool:
        return not alive(family)

    await until(gone, "its processes end by themselves", explain=lambda: "\n".join(map(command, alive(family))))


async def test_ctrl_c_while_it_starts(start_demo: StartDemo) -> None:
    demo = start_demo()

    async def begun() -> set[int]:
        return children(demo.pid)

    family = await until(begun, "its first process is there", within=30)
    assert await demo.stop(signal.SIGINT) == 0
    assert alive(family) == set()
    assert "Traceback" not in demo.log.read_text()


@pytest.mark.parametrize("setting", ["COUNTERSIGN_PORT", "COUNTERSIGN_SANDBOX_PORT"])
async def test_a_port_in_use_stops_it_and_is_named(start_demo: StartDemo, setting: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        demo = start_demo(**{setting: port})
        assert await demo.ended(within=40) != 0
    said = demo.log.read_text()
    assert port in said
    assert setting in said
    assert "in use" in said
    assert "Traceback" not in said
