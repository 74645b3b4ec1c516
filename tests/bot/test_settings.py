"""Each bad setting is one clear message; none of them shows a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_runtime.errors import InvalidSetting
from agent_runtime.server import running
from agent_runtime.settings import Settings
from agent_runtime.store.database import Database
from bot.entry import Slack
from bot.settings import slack_settings

TOKENS = {"slack_bot_token": "xoxb-1-2-abc", "slack_app_token": "xapp-1-A0-abc"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"slack_bot_token": "xoxp-secret"} | {"slack_app_token": "xapp-1"}, "SLACK_BOT_TOKEN: must begin with xoxb-"),
        (TOKENS | {"slack_app_token": "xoxb-secret"}, "SLACK_APP_TOKEN: must begin with xapp-"),
        (TOKENS | {"slack_bot_token": "xoxb-secret with blanks"}, "SLACK_BOT_TOKEN: must begin with xoxb-"),
        (TOKENS | {"slack_signing_secret": "secret"}, "SLACK_SIGNING_SECRET: is too short"),
        ({"slack_bot_token": "xoxb-secret"}, "no click could arrive"),
        ({"slack_app_token": "xapp-secret"}, "SLACK_BOT_TOKEN is missing, while SLACK_APP_TOKEN is set"),
        ({"slack_signing_secret": "secret" * 5}, "SLACK_BOT_TOKEN is missing, while SLACK_SIGNING_SECRET is set"),
        (TOKENS | {"slack_api_url": "http://example.com/api/"}, "COUNTERSIGN_SLACK_API_URL: must begin with https://"),
        (TOKENS | {"slack_api_url": "slack.com"}, "COUNTERSIGN_SLACK_API_URL: must begin with https://"),
        (TOKENS | {"approvals_channel": "#general"}, "COUNTERSIGN_APPROVALS_CHANNEL: '#general' is no channel id"),
        (TOKENS | {"escalation_channel": "general"}, "COUNTERSIGN_ESCALATION_CHANNEL: 'general' is no channel id"),
        (TOKENS | {"slack_connections": 11}, "COUNTERSIGN_SLACK_CONNECTIONS"),
    ],
)
def test_one_clear_message(given: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSetting) as refusal:
        slack_settings(**given)
    assert message in refusal.value.message
    assert "secret" not in refusal.value.message.replace("Signing Secret", "")


def test_modes() -> None:
    assert slack_settings().mode == "off"
    assert slack_settings(**TOKENS).mode == "socket"
    secret = "0123456789abcdef"
    assert slack_settings(slack_bot_token="xoxb-1", slack_signing_secret=secret).mode == "http"
    assert slack_settings(**TOKENS, slack_signing_secret=secret).mode == "socket"


def test_from_the_environment_and_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "SLACK_BOT_TOKEN=xoxb-file\nSLACK_APP_TOKEN=xapp-file\nCOUNTERSIGN_SLACK_API_URL=http://localhost:1/api\n"
    )
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-environment")
    settings = slack_settings(env_file=str(file))
    assert settings.slack_bot_token is not None
    assert settings.slack_bot_token.get_secret_value() == "xoxb-environment"
    assert settings.slack_app_token is not None
    assert settings.slack_app_token.get_secret_value() == "xapp-file"
    assert (settings.slack_api_url, settings.on_this_machine) == ("http://localhost:1/api/", True)
    assert "xoxb" not in repr(settings)


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "")
    monkeypatch.setenv("SLACK_APP_TOKEN", " ")
    assert slack_settings().mode == "off"


def test_the_default_ladder() -> None:
    plain = slack_settings(**TOKENS, reviewers="U01 U02").approval_defaults()
    assert (plain.reviewers, plain.remind_after, plain.escalate_after) == (("U01", "U02"), "15m", None)
    escalates = slack_settings(
        **TOKENS, escalation_reviewers="@leads", escalation_channel="C0LEADS"
    ).approval_defaults()
    assert (escalates.escalate_after, escalates.escalate_to) == ("1h", ("@leads",))
    assert (escalates.escalate_channel, escalates.channel) == ("C0LEADS", None)


async def test_no_surface_without_tokens(tmp_path: Path) -> None:
    async with await Database.open(f"sqlite+aiosqlite:///{tmp_path}/x.db") as database:
        assert Slack.configured() is None
        create = Slack.configured(**TOKENS)
        assert create is not None
        surface = create(database)
        assert surface.routes() == []
        assert surface.status() == {"mode": "socket", "state": "away", "problem": "not asked yet"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SLACK_BOT_TOKEN", "xapp-of-another-kind"), ("COUNTERSIGN_APPROVAL_WEBHOOK_SECRET", "whsec_this is no base64")],
)
async def test_settings_are_refused_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    settings = Settings(database_url=f"sqlite+aiosqlite:///{tmp_path}/countersign.db", port=0)
    with pytest.raises(InvalidSetting, match=variable):
        async with running([], settings=settings):
            raise AssertionError("it runs")
    assert list(tmp_path.iterdir()) == []
