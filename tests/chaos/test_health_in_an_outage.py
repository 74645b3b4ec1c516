"""PostgreSQL is gone or silent: a server lives, is not ready and says why, and tells no figures of its own making."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.engine import make_url

from agent_runtime.conformance.agents import AGENT, Model, agent
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.operations.start import Start
from agent_runtime.replica import Replica
from agent_runtime.sdk.logs import keep_quiet
from agent_runtime.settings import Settings
from agent_runtime.web.app import create_app
from agent_runtime.web.listening import bind, listen, runner_of
from tests.proxy import Proxy, proxy_to

pytestmark = [pytest.mark.databases("postgresql"), pytest.mark.timeout(120)]

AT_ONCE = 1.0
"""Seconds for what needs no database."""

ANSWERED_WITHIN = 5.0
"""Seconds in which a probe hears that it is not ready; one that hears nothing is usually tried again after ten."""

BACK_WITHIN = 20.0


@dataclass
class Answered:
    status: int
    text: str
    seconds: float


@dataclass
class Served:
    """A replica with the HTTP API that reaches its database through `proxy` alone."""

    url: str
    http: aiohttp.ClientSession
    proxy: Proxy

    async def get(self, path: str) -> Answered:
        began = time.monotonic()
        async with self.http.get(self.url + path) as answer:
            return Answered(answer.status, await answer.text(), time.monotonic() - began)

    async def ready(self) -> dict[str, Any]:
        async with self.http.get(f"{self.url}/readyz") as answer:
            told: dict[str, Any] = await answer.json()
            assert (answer.status == 200) == told.get("ready", False)
            return told

    async def until_ready(self) -> None:
        async with asyncio.timeout(BACK_WITHIN):
            while not (await self.ready()).get("ready"):
                await asyncio.sleep(0.05)


@pytest.fixture
async def served(database_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    keep_quiet()
    url = make_url(database_url)
    async with proxy_to(str(url.host), url.port or 5432) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port, query={"sslmode": "disable"})
        settings = Settings(database_url=through.render_as_string(hide_password=False))
        async with (
            Replica(settings, model=Model(), surfaces=False) as replica,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=12)) as http,
        ):
            await replica.deploy(agent(Ledger(tmp_path / "effects")))
            await replica.start_execution(Start(AGENT, {"prompt": "one unsafe"}))
            app = create_app(
                replica.database, settings, defaults=replica.defaults, status=replica.status, calls=replica.calls
            )
            runner = runner_of(app)
            await runner.setup()
            await listen(runner, await bind("127.0.0.1", 0), "127.0.0.1")
            try:
                yield Served(f"http://127.0.0.1:{runner.addresses[0][1]}", http, proxy)
            finally:
                proxy.silent.clear()
                await runner.cleanup()


async def waiting(served: Served) -> float:
    """Executions that wait for people, as Prometheus reads it."""
    answer = await served.get("/metrics")
    assert answer.status == 200, answer
    samples = {
        (one.name, one.labels.get("status")): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }
    return samples["countersign_executions", "waiting"]


@pytest.mark.parametrize("how", ["gone", "silent"])
async def test_what_a_server_says_of_itself(served: Served, how: str) -> None:
    await served.until_ready()
    async with asyncio.timeout(BACK_WITHIN):
        while await waiting(served) != 1:
            await asyncio.sleep(0.05)
    if how == "gone":
        await served.proxy.vanish()
    else:
        served.proxy.silent.set()
    scraping = asyncio.create_task(served.get("/metrics"))
    probing = asyncio.create_task(served.get("/readyz"))
    for _ in range(5):  # while those wait
        alive = await served.get("/healthz")
        assert (alive.status, alive.seconds < AT_ONCE) == (200, True), alive
        await asyncio.sleep(0.1)
    unready = await probing
    assert (unready.status, unready.seconds < ANSWERED_WITHIN) == (503, True), unready
    assert '"database":"ok"' not in unready.text.replace(" ", "")
    assert how == "silent" or not served.proxy.listening
    if how == "gone" or scraping.done():
        unread = await scraping
        assert unread.status == 503, "gauges that nobody has read would be zeros, or of a minute ago"
        assert "countersign_executions" not in unread.text
    served.proxy.silent.clear()
    if how == "gone":
        await served.proxy.listen()
    await served.until_ready()
    assert (await scraping).status in {200, 503}, "one that waited all the time reads what is there now, or is told"
    assert await waiting(served) == 1
