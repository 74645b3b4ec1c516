"""`countersign doctor` against the local workspace, a model's service and a database: all well, and each fault."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.operations.tokens import create_token
from agent_runtime.store.database import Database
from agent_runtime.store.revision import HEAD
from bot.manifest import SCOPES
from bot.sandbox.app import Sandbox, running_sandbox
from bot.sandbox.config import ChannelConfig
from bot.scripted_model import serve_scripted_model
from tests.cli.command import Answer, Command
from tests.cli.conftest import StartSandbox
from tests.cli.test_database import set_revision
from tests.flow import Flow

REVIEWER, REVIEWER_2 = "U0REVIEWER1", "U0REVIEWER2"
APPROVALS, ESCALATIONS, SECRET_ROOM = "C0APPROVALS", "C0ESCALATE1", "G0SECRET001"


def pointed_at(sandbox: Sandbox, **settings: str) -> dict[str, str]:
    """Settings for a sound set-up on this workspace, with some others."""
    return {
        "COUNTERSIGN_SLACK_API_URL": sandbox.api_url,
        "SLACK_BOT_TOKEN": sandbox.config.bot_token,
        "SLACK_APP_TOKEN": sandbox.config.app_token,
        "COUNTERSIGN_REVIEWERS": f"{REVIEWER}, @payments-reviewers, reviewer2@example.com",
        "COUNTERSIGN_APPROVALS_CHANNEL": APPROVALS,
        "COUNTERSIGN_ESCALATION_CHANNEL": ESCALATIONS,
    } | settings


def findings(answer: Answer) -> dict[tuple[str, str], dict[str, Any]]:
    return {(found["about"], found["level"]): found for found in answer.json["findings"]}


async def test_all_well(countersign: Command, open_rows: Database, start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(scopes=tuple(SCOPES))
    await Flow.started(open_rows)
    async with serve_scripted_model() as model:
        settings = pointed_at(
            sandbox, OPENAI_BASE_URL=model.base_url, OPENAI_API_KEY="k-123", COUNTERSIGN_MODEL="openai/scripted"
        )
        answer = await countersign.done("doctor", **settings)
    assert {line[0] for line in answer.out.splitlines() if line and not line.startswith(" ")} == {"✓", "N"}
    for words in (
        f"revision {HEAD}, writable, synchronous FULL",
        "the bot U0COUNTERSIGN of the workspace Local workspace (T0SANDBOX)",
        f"all {len(SCOPES)} that are needed",
        "Socket Mode opens",
        f"{APPROVALS}: the bot is a member",
        f"{ESCALATIONS}: the bot is a member",
        f"First Reviewer ({REVIEWER}), @payments-reviewers (2 people), Second Reviewer (reviewer2@example.com)",
        "takes the key, and has openai/scripted",
        "deployed: refund_agent",
        "Nothing stands in the way.",
    ):
        assert words in answer.out, words
    for secret in (sandbox.config.bot_token, sandbox.config.app_token, "k-123"):
        assert secret not in answer.out + answer.err
    asked = {call["method"] for call in sandbox.server.calls.records()}
    assert not {method for method in asked if method.startswith(("chat.", "views.", "conversations.open"))}


async def test_json(bare: Command) -> None:
    answer = await bare.done("doctor", "--json")
    assert answer.json["ok"] is True
    for found in answer.json["findings"]:
        assert found.keys() == {"level", "about", "text", "remedy"}
        assert found["level"] in {"good", "note"}
    assert findings(answer)["Slack", "note"]["remedy"]
    assert list(bare.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "about", "words"),
    [
        ({"SLACK_BOT_TOKEN": "xapp-local-workspace"}, "Slack", "SLACK_BOT_TOKEN: must begin with xoxb-"),
        ({"COUNTERSIGN_REVIEWERS": "api:ci"}, "reviewers", "api:ci is no valid token"),
        ({"COUNTERSIGN_CHECKPOINTS": "missing.toml"}, "policy", "missing.toml"),
    ],
)
async def test_a_fault_is_named_with_its_remedy(
    countersign: Command, start_sandbox: StartSandbox, changed: dict[str, str], about: str, words: str
) -> None:
    answer = await countersign("doctor", "--json", **pointed_at(await start_sandbox()) | changed)
    assert answer.status == 1, answer
    assert answer.json["ok"] is False
    found = findings(answer)[about, "bad"]
    assert words in found["text"]
    assert found["remedy"]


async def test_a_revoked_token(countersign: Command, start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    sandbox.server.faults.revoked_token = True
    answer = await countersign("doctor", **pointed_at(sandbox))
    assert answer.status == 1
    assert "✗ Slack bot token" in answer.out
    assert "it was revoked" in answer.out
    assert "→ install the app again" in answer.out
    assert "1 to put right." in answer.out


async def test_a_token_of_another_kind(countersign: Command, start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(bot_token="xapp-is-the-bot", app_token="xoxb-is-the-app")
    answer = await countersign(
        "doctor", "--json", **pointed_at(sandbox, SLACK_BOT_TOKEN="xoxb-is-the-app", SLACK_APP_TOKEN="xapp-1")
    )
    assert answer.status == 1
    assert "a token of another kind" in findings(answer)["Slack bot token", "bad"]["text"]


async def test_each_missing_scope_says_what_it_is_for(countersign: Command, start_sandbox: StartSandbox) -> None:
    lacking = ("chat:write", "users:read.email")
    sandbox = await start_sandbox(scopes=(*(scope for scope in SCOPES if scope not in lacking), "files:write"))
    answer = await countersign("doctor", **pointed_at(sandbox))
    assert answer.status == 1
    for scope in lacking:
        assert f"✗ Slack scopes {scope} is missing: {SCOPES[scope]}" in answer.said
    assert "not needed: files:write" in answer.out
    assert "reviewer2@example.com could not be looked up: the scope users:read.email is missing" in answer.out


async def test_what_may_be_meant_so_is_only_noted(countersign: Command, start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(channels=(ChannelConfig(id=APPROVALS, name="approvals", bot_is_member=False),))
    settings = pointed_at(
        sandbox,
        COUNTERSIGN_ESCALATION_CHANNEL="",
        COUNTERSIGN_REVIEWERS=REVIEWER,
        COUNTERSIGN_REVIEWER=REVIEWER,
        COUNTERSIGN_HOST="0.0.0.0",
        COUNTERSIGN_DEFAULT_AGENT="other_agent",
    )
    answer = await countersign.done("doctor", "--json", **settings)
    found = findings(answer)
    assert "not a member" in found["Slack approvals channel", "note"]["text"]
    assert found["Slack approvals channel", "note"]["remedy"].startswith("invite the bot")
    assert "only First Reviewer" in found["Slack reviewers", "note"]["text"]
    assert "allow_self_approval" in found["Slack reviewers", "note"]["remedy"]
    assert found["settings", "note"]["text"].startswith("COUNTERSIGN_REVIEWER is no setting")
    assert found["settings", "note"]["remedy"] == "write COUNTERSIGN_REVIEWERS"
    assert "COUNTERSIGN_HOST is 0.0.0.0" in found["API tokens", "note"]["text"]
    assert "OPENAI_API_KEY is not set" in found["model", "note"]["text"]


async def test_slack_that_cannot_be_reached(countersign: Command) -> None:
    async with running_sandbox() as sandbox:
        pass  # its address is nobody's now
    answer = await countersign("doctor", "--json", **pointed_at(sandbox))
    assert answer.status == 1
    found = findings(answer)["Slack", "bad"]
    assert f"{sandbox.api_url} did not answer (auth.test: cannot be reached)" in found["text"]
    assert "HTTPS_PROXY" in found["remedy"]


async def test_http_mode_without_an_address(countersign: Command, start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    settings = pointed_at(sandbox, SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=sandbox.config.signing_secret)
    missing = await countersign("doctor", "--json", **settings)
    assert missing.status == 1
    assert "COUNTERSIGN_PUBLIC_URL is not set" in findings(missing)["Slack request URL", "bad"]["text"]
    assert sandbox.config.signing_secret not in missing.out


async def test_an_api_reviewer_whose_token_exists(countersign: Command, open_rows: Database) -> None:
    await open_rows.write(create_token, "ci", ["decide"], by=LOCAL_OPERATOR, via=Via.cli)
    answer = await countersign.done("doctor", "--json", COUNTERSIGN_REVIEWERS="api:ci")
    assert "1 valid" in findings(answer)["API tokens", "good"]["text"]


async def test_an_older_schema(countersign: Command) -> None:
    set_revision(countersign.folder / "countersign.db", "0000")
    answer = await countersign("doctor", "--json")
    assert answer.status == 1
    assert findings(answer)["database", "bad"]["remedy"] == "run `countersign db upgrade`"


async def test_nothing_is_said_of_what_a_damaged_database_holds(bare: Command) -> None:
    (bare.folder / "countersign.db").write_text("this is no database, and long enough to be looked at as one")
    answer = await bare("doctor", "--json")
    assert answer.status == 1
    assert ("database", "bad") in findings(answer)
    assert not {"API tokens", "agents"} & {about for about, _ in findings(answer)}


async def test_somebody_elses_database_is_not_changed(bare: Command) -> None:
    path = bare.folder / "countersign.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (id)")
    before = path.read_bytes()
    answer = await bare("doctor", "--json")
    assert answer.status == 1
    assert "customers" in findings(answer)["database", "bad"]["text"]
    assert path.read_bytes() == before


async def test_a_broken_setting_is_said_alone(bare: Command) -> None:
    answer = await bare("doctor", "--json", COUNTERSIGN_PORT="eighty")
    assert answer.status == 1
    assert "COUNTERSIGN_PORT" in findings(answer)["settings", "bad"]["text"]
