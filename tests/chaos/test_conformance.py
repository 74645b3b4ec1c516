"""`countersign conformance` in its shortest form, and that it can find something wrong."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.conformance.agents import Model, agent
from agent_runtime.conformance.figures import Finding
from agent_runtime.conformance.ledger import Ledger
from agent_runtime.conformance.parts import KILLS, PARTS
from agent_runtime.conformance.people import people
from agent_runtime.conformance.reading import read_all
from agent_runtime.conformance.run import Conformance
from agent_runtime.conformance.sizes import Sizes
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import InvalidRequest
from agent_runtime.operations.start import Start, start
from agent_runtime.replica import Replica
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from bot.cli.conformance import conformance
from bot.conformance import slack_door
from bot.conformance_messages import local_workspace
from tests.chaos import LONG
from tests.e2e.process import ProductProcess, environment, run

SHORT = Sizes(
    kills=1,
    rounds=8,
    deadlines=20,
    replicas=10,
    kill_every=0.5,
    changes=2,
    sleepers=0,
    parked=20,
    leases=False,
    patience=60,
    points=frozenset(
        {"commit.before@resolve", "commit.after@start_call", "effect.after@keyed", "effect.before@unsafe"}
    ),
)
SHOWN_TOO = frozenset(
    {"commit.after@call_child", "step.after", "post.after@approval.card", "update.after@approval.card"}
)
"""Points of reasoners and messages: on SQLite alone, where nobody waits for the leases of dead servers."""

pytestmark = pytest.mark.timeout(6 * 3600 if LONG else 180)

EVERYTHING = "everything"


@pytest.mark.parametrize("part", PARTS if LONG else (EVERYTHING,))
async def test_every_promise_holds(empty_database_url: str, part: str) -> None:
    """In the long form each part is a test of its own, so that `make chaos` can run in pieces."""
    on_sqlite = empty_database_url.startswith("sqlite")
    short = replace(SHORT, points=SHORT.points | SHOWN_TOO) if on_sqlite else SHORT
    trying = Conformance(
        empty_database_url,
        Sizes() if LONG else short,
        more={"slack": slack_door},
        say=_said if LONG else str,
        workspace=local_workspace,
        only=PARTS if part == EVERYTHING else (part,),
    )
    findings = await trying.run()
    if part == EVERYTHING:
        assert [finding.promise for finding in findings[:4]] == ["P2", "P8", "P7", "P5"]
        assert [*trying.seconds] == [*PARTS]
    broken = [(finding.title, finding.violations[:5]) for finding in findings if not finding.held]
    assert not broken
    kills = [finding for finding in findings if finding.title.startswith("kill -9")]
    assert len(kills) == ((3 if on_sqlite else 1) if part == EVERYTHING else int(part in KILLS))
    assert all(int(killed.figures["at each point"]) >= trying.sizes.kills for killed in kills)
    assert not any(killed.figures["lost"] for killed in kills)


def _said(line: str) -> None:
    """Past what pytest captures: the long form is watched."""
    print(line, file=sys.__stderr__, flush=True)


@pytest.mark.databases("sqlite")
async def test_a_database_in_use_is_left_alone(database: Database, database_url: str) -> None:
    async with Replica(Settings(database_url=database_url), model=Model(), surfaces=False) as replica:
        await replica.deploy(agent(Ledger(Path(str(database.url.database)).parent / "effects")))
    await database.write(start, Start("conformance", {"prompt": "x"}), by=LOCAL_OPERATOR, via=Via.cli)
    with pytest.raises(InvalidRequest, match="in use"):
        await Conformance(database_url, SHORT).run()


@pytest.mark.databases("sqlite")
async def test_what_is_lost_is_found(database: Database, tmp_path: Path) -> None:
    """A run that reads nothing wrong where something is would be worth nothing."""
    ledger = Ledger(tmp_path / "effects")
    async with people(ledger) as present:
        present.want("never-started")
        present.want("gone")
        present.started["gone"] = "exe_gone"
        present.decided["apr_gone"] = "approved"
        present.settled["apr_doubt"] = "happened"
        reading = await read_all(database, present, ledger)
    assert len(reading.lost) == 4
    assert not Finding("P1", "x", {}, reading.violations).held


@pytest.mark.e2e
async def test_a_running_deployment(tmp_path: Path) -> None:
    """`countersign serve`, and a token with the scopes that `--url` needs: races, replays, tampering, strangers."""
    settings = environment(COUNTERSIGN_DATABASE_URL=f"sqlite+aiosqlite:///{tmp_path}/served.db", COLUMNS="200")
    server = ProductProcess.start([sys.executable, "-m", "bot", "serve", "--port", "0"], settings, tmp_path)
    try:
        url = (await server.says(r"API and dashboard: (\S+)"))[1]
        scopes = ("--scope", "start", "--scope", "read", "--scope", "decide")
        made = await run("tokens", "create", "conformance", *scopes, settings=settings, folder=tmp_path)
        token = re.search(r"cs_[\w-]{43}", made.out)
        assert token is not None, made
        asked = ("conformance", "--url", url, "--quick", "--json")
        without = await run(*asked, settings=settings, folder=tmp_path)
        tried = await run(*asked, "--token", token[0], settings=settings, folder=tmp_path)
    finally:
        server.abandon()
    assert (without.status, "with the scopes start, read and decide" in without.err) == (2, True), without
    findings = json.loads(tried.out)["findings"]
    assert [(one["promise"], one["violations"]) for one in findings] == [
        ("P2", []),
        ("P5", []),
        ("P13", []),
        ("P7", []),
    ]
    assert (tried.status, findings[0]["figures"]["rounds"]) == (0, 10)


@pytest.mark.parametrize("given", [{}, {"database_url": "sqlite+aiosqlite:///x.db", "url": "http://127.0.0.1:1"}])
def test_the_command_takes_one_of_two(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="--database-url") as refused:
        conformance(**given)
    assert refused.value.exit_status == 2


def test_findings_as_json() -> None:
    finding = Finding("P1", "title", {"lost": 1}, ("one",) * 50, 1.234)
    told = json.loads(json.dumps(finding.as_json()))
    assert (told["held"], told["figures"], len(told["violations"])) == (False, {"lost": 1}, 20)
