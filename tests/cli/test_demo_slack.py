"""`countersign demo --slack`, with the local workspace in Slack's place."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.demo import real_slack
from bot.demo.workspace import REFUND
from bot.manifest import SCOPES
from bot.sandbox.app import Sandbox
from bot.settings import slack_settings
from tests.cli.command import Command, Process
from tests.cli.conftest import StartSandbox

APPROVALS, REVIEWER, REVIEWER_2 = "C0APPROVALS", "U0REVIEWER1", "U0REVIEWER2"
PATIENCE = 60.0

pytestmark = pytest.mark.e2e


def pointed_at(sandbox: Sandbox, **settings: str) -> dict[str, str]:
    return {
        "COUNTERSIGN_SLACK_API_URL": sandbox.api_url,
        "SLACK_BOT_TOKEN": sandbox.config.bot_token,
        "SLACK_APP_TOKEN": sandbox.config.app_token,
        "COUNTERSIGN_REVIEWERS": REVIEWER,
        "COUNTERSIGN_APPROVALS_CHANNEL": APPROVALS,
        "COUNTERSIGN_PORT": "0",
    } | settings


async def test_the_first_card_is_decided_by_one_person(
    bare: Command, start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    sandbox = await start_sandbox(scopes=tuple(SCOPES))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-a-paid-one\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\n")
    settings = pointed_at(sandbox, TMPDIR=str(temporary))
    demo = await bare.start("demo", "--slack", **settings)
    said = await lines_until(demo, "The first card is on its way")
    assert all(line in said for line in plan_for(settings)), said
    assert said.index("This is real") < said.index("API and dashboard: http://127.0.0.1:")

    async with aiohttp.ClientSession() as http:
        card = await message_with(http, sandbox, "approval.approve")
        assert "ORD-8821" in json.dumps(card)
        click = {"user": REVIEWER, "channel": APPROVALS, "message_ts": card["ts"], "action_id": "approval.approve"}
        async with http.post(f"{sandbox.url}/sandbox/api/actions", json={**click, "confirm": True}) as answer:
            assert answer.status == 200, await answer.text()
        done = await message_with(http, sandbox, "refunded")
        assert "approval.approve" not in json.dumps(done["blocks"])

        asked = {"user": "U0REQUESTER", "channel": "C0AGENTS001", "text": f"<@U0COUNTERSIGN> refund_agent {REFUND}"}
        async with http.post(f"{sandbox.url}/sandbox/api/messages", json=asked) as answer:
            assert answer.status == 200, await answer.text()
        left_open = await message_with(http, sandbox, "approval.approve")
        assert left_open["ts"] != card["ts"]

        demo.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            out, err = await demo.communicate()
        assert demo.returncode == 0, err.decode()
        withdrawn = await message_with(http, sandbox, "Withdrawn")
        assert withdrawn["ts"] == left_open["ts"]
        assert "approval.approve" not in json.dumps(withdrawn["blocks"])
    assert list(temporary.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".db"] == []
    assert sandbox.config.bot_token not in said + out.decode() + err.decode()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"SLACK_BOT_TOKEN": "", "SLACK_APP_TOKEN": ""}, ["SLACK_BOT_TOKEN", "countersign manifest", "docs/slack.md"]),
        ({"COUNTERSIGN_REVIEWERS": ""}, ["COUNTERSIGN_REVIEWERS", "Copy member ID", "allow_self_approval"]),
        (
            {"COUNTERSIGN_REVIEWERS": "@payments-reviewers", "COUNTERSIGN_APPROVALS_CHANNEL": ""},
            ["COUNTERSIGN_APPROVALS_CHANNEL", "no place"],
        ),
    ],
)
async def test_what_is_missing_is_said_before_anything_is_asked_of_slack(
    bare: Command, start_sandbox: StartSandbox, changed: dict[str, str], words: list[str]
) -> None:
    sandbox = await start_sandbox()
    answer = await bare("demo", "--slack", **pointed_at(sandbox, **changed))
    assert answer.status == 2
    assert all(word in answer.err for word in words), answer.err
    assert sandbox.server.calls.records() == []


async def test_it_does_not_start_on_tokens_that_do_not_work(bare: Command, start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    answer = await bare("demo", "--slack", **pointed_at(sandbox, SLACK_APP_TOKEN="xapp-of-somebody-else"))
    assert answer.status == 1
    assert "✗ Slack app token" in answer.out
    assert "API and dashboard" not in answer.out
    assert not [call for call in sandbox.server.calls.records() if call["method"].startswith("chat.")]


async def test_at_a_terminal_it_asks_first(bare: Command, start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    ours, terminal = os.openpty()
    try:
        demo = await bare.start("demo", "--slack", stdin=terminal, **pointed_at(sandbox))
        os.write(ours, b"n\n")
        async with asyncio.timeout(PATIENCE):
            out, _ = await demo.communicate()
    finally:
        os.close(ours)
        os.close(terminal)
    assert demo.returncode == 0
    assert "This is real" in out.decode()
    assert "Go on?" in out.decode()
    assert "API and dashboard" not in out.decode()
    assert not [call for call in sandbox.server.calls.records() if call["method"].startswith("chat.")]


def test_the_plan_names_the_place_the_people_and_the_state() -> None:
    settings = slack_settings(reviewers=("U0REVIEWER1",), database_url="postgresql://me:hunter2@db/approvals")
    plan = "\n".join(real_slack.plan(settings, "the bot B"))
    for words in ("as the bot B", "direct messages to the reviewers", "U0REVIEWER1", "@db/approvals", "scripted model"):
        assert words in plan, words
    assert "hunter2" not in plan


def test_the_server_gets_the_scripted_model_and_no_key() -> None:
    given = {
        "OPENAI_API_KEY": "sk-1",
        "ANTHROPIC_API_KEY": "sk-2",
        "COUNTERSIGN_MODEL": "x/y",
        "SLACK_BOT_TOKEN": "xoxb-1",
    }
    environment = real_slack.server_environment(
        given | {"NO_PROXY": "intranet.example"}, "sqlite:///x.db", "http://127.0.0.1:1"
    )
    assert environment["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
    assert environment["SLACK_BOT_TOKEN"] == "xoxb-1"
    assert environment["no_proxy"] == environment["NO_PROXY"] == "intranet.example,127.0.0.1"
    assert not {"sk-1", "sk-2", "x/y"} & set(environment.values())


def plan_for(settings: dict[str, str]) -> list[str]:
    known = slack_settings(
        slack_bot_token=settings["SLACK_BOT_TOKEN"],
        slack_app_token=settings["SLACK_APP_TOKEN"],
        reviewers=(settings["COUNTERSIGN_REVIEWERS"],),
        approvals_channel=settings["COUNTERSIGN_APPROVALS_CHANNEL"],
    )
    return real_slack.plan(known, "the bot U0COUNTERSIGN of the workspace Local workspace (T0SANDBOX)")


async def lines_until(process: Process, words: str) -> str:
    """What it prints, up to the line that begins with `words`."""
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(PATIENCE):
        while words not in said:
            line = await process.stdout.readline()
            assert line, f"it ended after {said!r}"
            said += line.decode()
    return said


async def message_with(http: aiohttp.ClientSession, sandbox: Sandbox, words: str) -> dict[str, Any]:
    """The message in the approvals channel that holds `words`, once it is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with http.get(f"{sandbox.url}/sandbox/api/channels/{APPROVALS}/messages") as answer:
                messages: list[dict[str, Any]] = (await answer.json())["messages"]
            found = next((message for message in messages if words in json.dumps(message)), None)
            if found is not None:
                return found
            await asyncio.sleep(0.1)
