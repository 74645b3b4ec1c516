"""The doctor's single checks, called directly: each fault of Slack's, of a model's service and of the request URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from agent_runtime.store.inspection import inspect_database
from agent_runtime.store.revision import HEAD
from bot.checks.finding import Finding, Level
from bot.checks.model import check_models, missing_keys
from bot.checks.request_url import check_request_url
from bot.sandbox.app import Sandbox, running_sandbox
from bot.sandbox.config import ChannelConfig, UserGroupConfig
from bot.scripted_model import serve_scripted_model
from bot.settings import SlackSettings, slack_settings
from bot.slack.checks import check_slack
from bot.surface import SlackSurface
from tests.cli.conftest import StartSandbox
from tests.databases import sqlite_url

REVIEWER, REVIEWER_2 = "U0REVIEWER1", "U0REVIEWER2"
APPROVALS, SECRET_ROOM = "C0APPROVALS", "G0SECRET001"


def settings_for(sandbox: Sandbox, **settings: Any) -> SlackSettings:
    """Settings for a sound set-up on this workspace, with some others."""
    given = {
        "slack_api_url": sandbox.api_url,
        "slack_bot_token": sandbox.config.bot_token,
        "slack_app_token": sandbox.config.app_token,
        "reviewers": (REVIEWER, REVIEWER_2),
        "approvals_channel": APPROVALS,
    }
    return slack_settings(**given | settings)


def only(findings: list[Finding], level: Level) -> Finding:
    """The one finding of this level."""
    [found] = [finding for finding in findings if finding.level is level]
    return found


@pytest.mark.parametrize(
    ("changed", "about", "words"),
    [
        ({"slack_bot_token": "xoxb-of-somebody-else"}, "Slack bot token", "does not know it"),
        ({"slack_app_token": "xapp-of-somebody-else"}, "Slack app token", "does not know it"),
        ({"approvals_channel": "C0NOWHERE01"}, "Slack approvals channel", "does not exist"),
        ({"escalation_channel": SECRET_ROOM}, "Slack escalation channel", "is private"),
        ({"reviewers": ("U0NOBODY001",)}, "Slack reviewers", "there is nobody called U0NOBODY001"),
        ({"reviewers": ("nobody@example.com",)}, "Slack reviewers", "there is nobody called nobody@example.com"),
        ({"reviewers": ("U0FORMER001",)}, "Slack reviewers", "deactivated"),
        ({"reviewers": ("U0GUEST0001",)}, "Slack reviewers", "guests may not decide"),
        ({"reviewers": ("partner@example.org",)}, "Slack reviewers", "another workspace"),
        ({"reviewers": ("U0COUNTERSIGN",)}, "Slack reviewers", "bots may not decide"),
        ({"reviewers": ("@nobody-here",)}, "Slack reviewers", "no user group @nobody-here"),
        ({"escalation_reviewers": ("S0EMPTY0001",)}, "Slack reviewers", "S0EMPTY0001 is empty"),
        ({"reviewers": ("slack:T0OTHER:U0REVIEWER1",)}, "Slack reviewers", "of another workspace"),
    ],
)
async def test_a_fault_is_named_with_its_remedy(
    start_sandbox: StartSandbox, changed: dict[str, Any], about: str, words: str
) -> None:
    sandbox = await start_sandbox(
        channels=(
            ChannelConfig(id=APPROVALS, name="approvals"),
            ChannelConfig(id=SECRET_ROOM, name="secret", is_private=True, bot_is_member=False),
        ),
        user_groups=(UserGroupConfig(id="S0EMPTY0001", handle="empty", name="Empty"),),
    )
    found = only(await check_slack(settings_for(sandbox, **changed)), Level.bad)
    assert found.about == about
    assert words in found.text
    assert found.remedy


async def test_tokens_of_two_apps(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(app_token="xapp-1-A0ANOTHER-1-abc", app_id="A0COUNTERSIGN")
    found = only(await check_slack(settings_for(sandbox)), Level.bad)
    assert "A0ANOTHER" in found.text
    assert "A0COUNTERSIGN" in found.text


async def test_tokens_of_one_app(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(app_token="xapp-1-A0COUNTERSIGN-1-abc", app_id="A0COUNTERSIGN")
    assert all(finding.level is not Level.bad for finding in await check_slack(settings_for(sandbox)))


async def test_a_channel_that_the_bot_may_not_post_to(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(
        channels=(ChannelConfig(id=APPROVALS, name="approvals", bot_is_member=False),), scopes=("channels:history",)
    )
    found = [one for one in await check_slack(settings_for(sandbox)) if one.about == "Slack approvals channel"]
    assert [one.level for one in found] == [Level.bad]
    assert "cannot post there" in found[0].text


async def test_a_group_of_one_is_one_person(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox(
        user_groups=(UserGroupConfig(id="S0ONE000001", handle="one", name="One", users=(REVIEWER,)),)
    )
    found = await check_slack(settings_for(sandbox, reviewers=(REVIEWER, "@one", "S0ONE000001")))
    assert any("allow_self_approval" in one.remedy for one in found)


async def test_nobody_to_decide(start_sandbox: StartSandbox) -> None:
    found = await check_slack(settings_for(await start_sandbox(), reviewers=()))
    assert any("COUNTERSIGN_REVIEWERS is not set" in one.text for one in found if one.level is Level.note)


async def test_slack_that_is_busy_is_not_the_settings_fault(start_sandbox: StartSandbox) -> None:
    sandbox = await start_sandbox()
    sandbox.server.faults = type(sandbox.server.faults).model_validate(
        {"rate_limited": [{"method": "users.info"}, {"method": "conversations.history"}]}
    )
    found = await check_slack(settings_for(sandbox))
    assert all(one.level is not Level.bad for one in found)
    assert sum("run this again" in one.remedy for one in found) == 3


async def test_the_request_url_of_http_mode(start_sandbox: StartSandbox, tmp_path: Path) -> None:
    sandbox = await start_sandbox()
    secret = {"slack_signing_secret": sandbox.config.signing_secret, "slack_app_token": None}
    async with await Database.open(sqlite_url(tmp_path / "countersign.db")) as database:
        surface = SlackSurface(database, settings_for(sandbox, **secret))
        app = web.Application()
        app.add_routes(surface.routes())
        async with serving(app) as url:
            right = await check_request_url(settings_for(sandbox, **secret, public_url=url))
            other = secret | {"slack_signing_secret": "another-signing-secret-altogether"}
            wrong = await check_request_url(settings_for(sandbox, **other, public_url=url))
    elsewhere = await check_request_url(settings_for(sandbox, **secret, public_url=sandbox.url))
    assert only(right, Level.good).text == f"{url}/slack/events answers, with this signing secret"
    assert "https://" in only(right, Level.note).text
    assert "refuses what is signed" in only(wrong, Level.bad).text
    assert "not the challenge" in only(elsewhere, Level.bad).text


async def test_a_request_url_that_does_not_answer_from_here(start_sandbox: StartSandbox) -> None:
    async with running_sandbox() as ended:
        pass  # its address is nobody's now
    secret = {"slack_signing_secret": ended.config.signing_secret, "public_url": ended.url}
    found = await check_request_url(settings_for(ended, **secret))
    assert {one.level for one in found} == {Level.note}
    assert "does not answer from here" in found[0].text


async def test_no_request_url_is_asked_without_a_signing_secret(start_sandbox: StartSandbox) -> None:
    assert await check_request_url(settings_for(await start_sandbox(), public_url="https://example.invalid")) == []


async def test_a_model_that_is_not_listed_and_a_service_that_is_gone() -> None:
    async with serve_scripted_model() as model:
        settings = Settings(openai_base_url=model.base_url, openai_api_key="k-123", model="openai/scripted")
        listed = await check_models(settings, ["openai/gpt-4o-mini", ""])
    assert "does not list gpt-4o-mini" in only(listed, Level.note).text
    assert "has openai/scripted" in only(listed, Level.good).text
    gone = only(await check_models(settings, []), Level.bad)
    assert "cannot be reached" in gone.text
    assert "OPENAI_BASE_URL" in gone.remedy


async def test_a_model_of_no_service() -> None:
    assert (
        "no service is called 'mistral'"
        in only(await check_models(Settings(model="mistral/large"), []), Level.bad).text
    )


async def test_every_service_that_agents_name_is_looked_at() -> None:
    found = await check_models(Settings(), ["anthropic/claude", "gpt-4o"])
    assert [one.text.split(" ")[0] for one in found] == ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]
    assert "openai/gpt-4o, openai/gpt-4o-mini" in found[1].text


def test_keys_that_are_missing_are_told_without_asking_anybody() -> None:
    found = missing_keys(Settings(openai_api_key="k-123"), ["anthropic/claude", "gpt-4o", "mistral/large"])
    assert [one.text for one in found] == ["ANTHROPIC_API_KEY is not set: agents on anthropic/claude cannot think"]


@pytest.mark.parametrize(
    ("status", "level", "words"),
    [
        (401, Level.bad, "refuses the key (401)"),
        (404, Level.good, "lists no models"),
        (503, Level.note, "answers 503 now"),
    ],
)
async def test_what_a_models_service_answers(status: int, level: Level, words: str) -> None:
    async with serving_models(status) as (url, keys):
        named = url.replace("://", "://somebody:hunter2@")
        settings = Settings(anthropic_base_url=named, anthropic_api_key="k-123", model="anthropic/claude")
        [found] = await check_models(settings, [])
    assert found.level is level
    assert words in found.text
    assert "hunter2" not in found.text
    assert keys == ["k-123"]


async def test_a_database_is_inspected(database: Database, database_url: str, database_kind: str) -> None:
    found = await inspect_database(database_url)
    assert (found.exists, found.revision, found.others) == (True, HEAD, ())
    assert found.durable is ("off" not in found.durability.values())
    wanted = {"synchronous"} if database_kind == "sqlite" else {"synchronous_commit", "fsync"}
    assert wanted <= found.durability.keys()


async def test_an_empty_database_is_left_empty(empty_database_url: str) -> None:
    for _ in range(2):
        found = await inspect_database(empty_database_url)
        assert (found.revision, found.others) == (None, ())


@asynccontextmanager
async def serving_models(status: int) -> AsyncIterator[tuple[str, list[str]]]:
    """A service whose list of models is answered with `status`, and the keys that it was sent."""
    keys: list[str] = []

    async def models(request: web.Request) -> web.Response:
        keys.append(request.headers["x-api-key"])
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/v1/models", models)
    async with serving(app) as url:
        yield f"{url}/v1", keys


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serves an application on a free port; its address."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
