"""A real server under floods of mentions, clicks, bodies and connections; and that bad figures are told from good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import web

from agent_runtime.conformance.answering import Answers, Request, Wire, ask, at_rate
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.flooded import FLOODS, FloodSizes
from agent_runtime.conformance.floods import Floods
from agent_runtime.conformance.growth import GROWTH_AT_MOST, PEAK_AT_MOST, memory
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.conformance.people import people
from agent_runtime.conformance.processes import zygote
from agent_runtime.conformance.usage import MIB
from agent_runtime.store.database import Database
from bot.floods import slack_floods
from tests.chaos import LONG

SHORT = FloodSizes(
    seconds=0.5,
    each_second=100,
    strangers=3,
    bodies=1,
    idle=60,
    waiting=24,
    pages=4,
    slow=2,
    gone=28,
    times=2,
    to_the_end=False,
)

pytestmark = [pytest.mark.databases("sqlite"), pytest.mark.timeout(900 if LONG else 120)]


async def flooded(database: Database, database_url: str, ledger: Path, sizes: FloodSizes) -> Sequence[Finding]:
    async with zygote(database_url, ledger) as forking, people(Ledger(ledger)) as present:
        return await Floods(forking, present, database, sizes, slack_floods).run()


async def test_every_flood_is_answered_and_nothing_is_lost(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    findings = await flooded(database, database_url, tmp_path / "effects", FLOODS if LONG else SHORT)
    broken = [(finding.title, finding.figures, finding.violations[:5]) for finding in findings if not finding.held]
    assert not broken
    sizes = FLOODS if LONG else SHORT
    mentions, one, many, from_slack, bodies, idle, waiting, gone, memory, *ends, envelopes, _, _ = findings
    assert mentions.figures["acknowledged and lost"] == 0
    assert int(mentions.figures["honest clicks meanwhile"]) >= 2
    assert one.figures["decisions"] == 1
    assert many.figures["decided"] == many.figures["clicks of who may decide"]
    assert int(bodies.figures["sent"]) >= 30
    assert (int(from_slack.figures["sent"]), from_slack.figures["sent too slowly"]) == (24 * sizes.bodies, sizes.slow)
    assert idle.figures["idle"] == sizes.idle
    assert (waiting.figures["opened"], waiting.figures["let in and not told"]) == (sizes.waiting + sizes.pages, 0)
    assert (gone.figures["killed"], gone.figures["executions of these"]) == (sizes.gone, sizes.gone // 7)
    assert (envelopes.figures["sent"], envelopes.figures["acknowledged and lost"]) == (
        sizes.seconds * sizes.each_second,
        0,
    )
    assert memory.title.startswith("memory")
    assert len(ends) == sizes.to_the_end


@asynccontextmanager
async def answering(status: int, headers: dict[str, str], after: float = 0.0) -> AsyncIterator[Wire]:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(after)
        return web.Response(status=status, headers=headers)

    app = web.Application()
    app.add_routes([web.post("/", answer)])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        with closing(Wire(f"http://127.0.0.1:{runner.addresses[0][1]}")) as wire:
            yield wire
    finally:
        await runner.cleanup()


async def told(status: int, after: float = 0.0, **headers: str) -> tuple[str, ...]:
    answers = Answers()
    async with answering(status, headers, after) as wire:
        requests = [Request(f"r{number}", "/", b"x", {}) for number in range(2)]
        await at_rate(requests, lambda one: ask(wire, one, answers, expected={200, 503}), 1000)
    assert sum(answers.statuses.values()) == 2
    return tuple(violation.partition(": ")[2] for violation in answers.violations)


async def test_a_bad_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_runtime.conformance.answering.IN_TIME", 0.1)
    monkeypatch.setattr("agent_runtime.conformance.answering.GIVEN_UP", 0.5)
    assert await told(200) == ()
    assert await told(503, **{"Retry-After": "1"}) == ()
    assert await told(503) == ("refused without saying when to come again",) * 2
    assert await told(500) == ("answered 500",) * 2
    assert [words.split(" after")[0] for words in await told(200, 0.2)] == ["answered 200"] * 2
    assert [words.split(" after")[0] for words in await told(200, 2.0)] == ["TimeoutError"] * 2


def test_memory_that_grows_is_found() -> None:
    base, more = 80 * MIB, MIB
    assert memory(base, [base, base + GROWTH_AT_MOST], base, 1.0).held
    assert memory(base, [base + PEAK_AT_MOST, base], base + more, 1.0).held
    assert not memory(base, [base + PEAK_AT_MOST + more, base], base, 1.0).held
    assert not memory(base, [base, base, base + GROWTH_AT_MOST + more], base, 1.0).held


async def test_an_acknowledged_mention_that_is_not_there_is_found(database: Database) -> None:
    async with slack_floods(0) as floods:
        workspace = floods.workspace
        assert await workspace.not_started(database, ["Ev1", "Ev1"]) == [
            "Ev1: acknowledged, and 0 executions are there"
        ]
