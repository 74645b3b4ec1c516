"""A bad setting stops the server at once, with one clear message; without Slack the rest is served."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest
import structlog

from bot.cli import main
from tests.databases import sqlite_url
from tests.e2e.process import ENDS_WITHIN, ProductProcess, environment, run

pytestmark = pytest.mark.e2e

SAMPLE = ["--agents", "examples.refund_agent:agent"]

Start = Callable[..., Awaitable[tuple[ProductProcess, str]]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `countersign serve` in an empty folder, up to its URL; arguments, and settings by keyword."""
    started: list[ProductProcess] = []

    async def serving(*arguments: str, **settings: str) -> tuple[ProductProcess, str]:
        command = [sys.executable, "-m", "bot", "serve", "--port", "0", *arguments]
        server = ProductProcess.start(command, environment(**settings), tmp_path)
        started.append(server)
        return server, (await server.says(r"API and dashboard: (\S+)"))[1]

    yield serving
    for server in started:
        await asyncio.to_thread(server.abandon)


BAD = {
    "a port that is none": ({"COUNTERSIGN_PORT": "eighty"}, [], "COUNTERSIGN_PORT"),
    "a port out of range": ({"COUNTERSIGN_PORT": "70000"}, [], "COUNTERSIGN_PORT"),
    "an unknown database": ({"COUNTERSIGN_DATABASE_URL": "mysql://u:hidden@h/d"}, [], "COUNTERSIGN_DATABASE_URL"),
    "no database URL at all": ({"COUNTERSIGN_DATABASE_URL": "countersign.db"}, [], "COUNTERSIGN_DATABASE_URL"),
    "a folder that is not there": (
        {"COUNTERSIGN_DATABASE_URL": "sqlite+aiosqlite:////nowhere/at/all.db"},
        [],
        "COUNTERSIGN_DATABASE_URL",
    ),
    "a database in memory": (
        {"COUNTERSIGN_DATABASE_URL": "sqlite+aiosqlite:///:memory:"},
        [],
        "COUNTERSIGN_DATABASE_URL",
    ),
    "another kind of bot token": (
        {"SLACK_BOT_TOKEN": "xoxp-hidden", "SLACK_APP_TOKEN": "xapp-1"},
        [],
        "SLACK_BOT_TOKEN",
    ),
    "another kind of app token": (
        {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "hidden"},
        [],
        "SLACK_APP_TOKEN",
    ),
    "no way for clicks to arrive": ({"SLACK_BOT_TOKEN": "xoxb-1"}, [], "SLACK_APP_TOKEN"),
    "no bot token": ({"SLACK_APP_TOKEN": "xapp-1"}, [], "SLACK_BOT_TOKEN"),
    "a short signing secret": (
        {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "hidden"},
        [],
        "SLACK_SIGNING_SECRET",
    ),
    "tokens sent in clear": (
        {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "COUNTERSIGN_SLACK_API_URL": "http://slack.test/"},
        [],
        "COUNTERSIGN_SLACK_API_URL",
    ),
    "a channel's name": (
        {
            "SLACK_BOT_TOKEN": "xoxb-1",
            "SLACK_APP_TOKEN": "xapp-1",
            "COUNTERSIGN_APPROVALS_CHANNEL": "#approvals",
        },
        [],
        "COUNTERSIGN_APPROVALS_CHANNEL",
    ),
    "a short webhook secret": (
        {"COUNTERSIGN_APPROVAL_WEBHOOK_SECRET": "hidden"},
        [],
        "COUNTERSIGN_APPROVAL_WEBHOOK_SECRET",
    ),
    "an unreadable webhook secret": (
        {"COUNTERSIGN_APPROVAL_WEBHOOK_SECRET": "whsec_hidden*hidden*"},
        [],
        "COUNTERSIGN_APPROVAL_WEBHOOK_SECRET",
    ),
    "unknown signatures": ({"COUNTERSIGN_WEBHOOK_SIGNATURES": "none"}, [], "COUNTERSIGN_WEBHOOK_SIGNATURES"),
    "no reviewer": ({"COUNTERSIGN_REVIEWERS": "everybody!"}, [], "COUNTERSIGN_REVIEWERS"),
    "no URL": ({"COUNTERSIGN_PUBLIC_URL": "countersign.test"}, [], "COUNTERSIGN_PUBLIC_URL"),
    "an address of another machine": ({"COUNTERSIGN_HOST": "192.0.2.1"}, [], "COUNTERSIGN_HOST"),
    "an option's address of another machine": ({"COUNTERSIGN_HOST": "::1"}, ["--host", "192.0.2.1"], ": --host: "),
    "an option's address that is none": ({}, ["--host", "256.1.1.1"], ": --host: "),
    "an unknown module": ({}, ["--agents", "no_such_module:agent"], "no_such_module"),
    "no module": ({}, ["--agents", ":agent"], "--agents :agent"),
    "an unknown attribute": ({}, ["--agents", "examples.refund_agent:nobody"], "nobody"),
    "something that is no agent": (
        {},
        ["--agents", "examples.refund_agent:get_order"],
        "examples.refund_agent:get_order",
    ),
    "a module without agents": ({}, ["--agents", "json"], "json"),
    "an option's bad port": ({}, ["--port", "70000"], "--port"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_is_named(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    logging_as_before: None,
) -> None:
    settings, arguments, about = BAD[name]
    _set(monkeypatch, settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["countersign", "serve", *(arguments or SAMPLE)])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    assert (stopped.value.code, said.out) == (2, "")
    assert about in said.err
    assert "Traceback" not in said.err
    assert "hidden" not in said.err
    told = [line for line in said.err.splitlines() if line.startswith("countersign: ")]
    assert len(told) == 1 or about == "--port", said.err


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """The command line sets logging up for a process of its own."""
    yield
    structlog.reset_defaults()


def _set(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


async def test_the_process_ends_with_status_2_and_one_message(tmp_path: Path) -> None:
    settings = environment(SLACK_BOT_TOKEN="xoxp-hidden", SLACK_APP_TOKEN="xapp-1")
    ran = await run("serve", *SAMPLE, settings=settings, folder=tmp_path)
    assert (ran.status, ran.out) == (2, "")
    assert re.fullmatch(r"countersign: SLACK_BOT_TOKEN: must begin with xoxb-.*\n", ran.err)
    assert os.listdir(tmp_path) == []


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ran = await run("serve", *SAMPLE, settings=environment(COUNTERSIGN_PORT=port), folder=tmp_path)
    assert (ran.status, ran.out) == (2, "")
    last = ran.err.strip().splitlines()[-1]
    assert port in last
    assert "in use" in last
    assert "Traceback" not in ran.err
    assert os.listdir(tmp_path) == []


async def test_a_corrupt_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"this is no database" * 1000)
    url = sqlite_url(tmp_path / "broken.db")
    ran = await run("serve", *SAMPLE, settings=environment(COUNTERSIGN_DATABASE_URL=url), folder=tmp_path)
    assert (ran.status, ran.out) == (1, "")
    assert "broken.db" in ran.err
    assert "Traceback" not in ran.err


async def test_without_slack_api_and_timers_are_served(start: Start) -> None:
    server, url = await start(*SAMPLE)
    await server.says("Model: OPENAI_API_KEY is not set: agents on openai/gpt-4o-mini cannot think; set it")
    await server.says("Slack: not configured.*SLACK_BOT_TOKEN.*SLACK_APP_TOKEN.*SLACK_SIGNING_SECRET")
    async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as answer:
        told = await answer.json()
    assert (answer.status, told["ready"]) == (200, True)
    assert told["checks"]["agents"] == ["refund_agent"]
    assert told["checks"]["surfaces"] == {"slack": {"state": "unconfigured"}}


async def test_without_agents_it_serves_and_says_so(start: Start) -> None:
    server, url = await start()
    await server.says("Agents: none.*--agents")
    async with aiohttp.ClientSession() as http, http.get(f"{url}/healthz") as answer:
        assert answer.status == 200


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_cleanly(start: Start, signum: signal.Signals) -> None:
    server, _ = await start(*SAMPLE)
    began = time.monotonic()
    assert await server.stop(signum) == 0
    assert time.monotonic() - began < ENDS_WITHIN / 2
    assert "Traceback" not in server.log.read_text()


async def test_it_ends_with_its_parent(start: Start) -> None:
    """The pipe at its standard input is all that ties it to its parent, and survives the parent's kill -9."""
    server, _ = await start(*SAMPLE)
    server.close_input()
    assert await server.ended() == 0


async def test_settings_come_from_a_file_in_the_folder_too(start: Start, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"COUNTERSIGN_DATABASE_URL={sqlite_url(tmp_path / 'named-in-the-file.db')}\n")
    await start(*SAMPLE)
    assert (tmp_path / "named-in-the-file.db").exists()


@pytest.mark.parametrize("arguments", [(), ("serve",), ("executions", "start")], ids=" ".join)
async def test_help(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ran = await run(*arguments, "--help", settings=environment(), folder=tmp_path)
    assert (ran.status, ran.err) == (0, "")
    assert "Usage: " in ran.out
    assert os.listdir(tmp_path) == []
