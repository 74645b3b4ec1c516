"""`countersign manifest`: one source, the file in the repository, and what Slack asks of it."""

from __future__ import annotations

import json

import pytest
import yaml

from bot.manifest import EVENTS, SCOPES, as_yaml, manifest
from bot.transport.http import PATH
from tests.cli.command import REPOSITORY, Command

TOKENS = {"SLACK_BOT_TOKEN": "xoxb-test", "SLACK_SIGNING_SECRET": "a-signing-secret-of-32-characters"}
PUBLIC = "https://approvals.example.com"


def test_the_file_is_what_the_command_prints() -> None:
    assert (REPOSITORY / "manifest.yml").read_text() == as_yaml(), (
        "run `countersign manifest --mode socket > manifest.yml`"
    )


@pytest.mark.parametrize("request_url", [None, f"{PUBLIC}{PATH}", "https://[2001:db8::1]:8443/a: b #c'\"/slack/events"])
def test_the_text_means_the_manifest(request_url: str | None) -> None:
    assert yaml.safe_load(as_yaml(request_url)) == manifest(request_url)


def test_scopes_and_events_are_explained_beside_them() -> None:
    text = as_yaml()
    for name, purpose in (SCOPES | EVENTS).items():
        assert f"- {name} # {purpose}\n" in text


async def test_socket_mode_by_default_and_without_any_setting(bare: Command) -> None:
    answer = await bare.done("manifest")
    assert answer.out == (REPOSITORY / "manifest.yml").read_text()
    assert list(bare.folder.iterdir()) == []


async def test_http_mode_has_the_address_wherever_slack_calls(bare: Command) -> None:
    answer = await bare.done("manifest", "--mode", "http", COUNTERSIGN_PUBLIC_URL=f"{PUBLIC}/")
    app = yaml.safe_load(answer.out)
    called = f"{PUBLIC}/slack/events"
    assert app["settings"]["event_subscriptions"]["request_url"] == called
    assert app["settings"]["interactivity"] == {"is_enabled": True, "request_url": called}
    assert {command["url"] for command in app["features"]["slash_commands"]} == {called}
    assert app["settings"]["socket_mode_enabled"] is False
    as_json = await bare.done("manifest", "--mode", "http", "--json", COUNTERSIGN_PUBLIC_URL=PUBLIC)
    assert json.loads(as_json.out) == app


async def test_the_mode_follows_the_tokens(bare: Command) -> None:
    over_http = await bare.done("manifest", COUNTERSIGN_PUBLIC_URL=PUBLIC, **TOKENS)
    assert yaml.safe_load(over_http.out)["settings"]["socket_mode_enabled"] is False
    socket = await bare.done("manifest", SLACK_APP_TOKEN="xapp-test", COUNTERSIGN_PUBLIC_URL=PUBLIC, **TOKENS)
    assert socket.out == as_yaml()


async def test_http_mode_without_an_address_says_which_setting_is_missing(bare: Command) -> None:
    answer = await bare("manifest", "--mode", "http")
    assert answer.status == 2
    assert "COUNTERSIGN_PUBLIC_URL" in answer.err
    assert "--mode socket" in answer.err
    assert answer.out == ""
