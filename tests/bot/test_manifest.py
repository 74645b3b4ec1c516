"""manifest.yml and the code hold together, both ways."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from slack_bolt.async_app import AsyncApp

from agent_runtime.store.database import Database
from bot.sandbox.delivery.events import NEEDED_SCOPES
from bot.sandbox.web_api.dispatch import METHODS as SLACK_METHODS
from bot.settings import slack_settings
from bot.slack import client
from bot.slack.client import METHODS
from bot.surface import SlackSurface
from bot.ui import actions

MANIFEST = Path(__file__).parents[2] / "manifest.yml"

# Events that are listened to wherever they come from, and subscribed to in the one form that is of use.
SUBSCRIBED_AS = {"message": "message.im"}

BY_EVENT = {"app_home_opened": ()} | NEEDED_SCOPES
"""The scopes that an event needs, any of them."""

OF_FEATURES = {"commands", "chat:write.public", "users:read.email"}
"""Scopes that no method names: slash commands and shortcuts, posting uninvited, the e-mail in a user object."""


def manifest() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())
    return loaded


async def listeners(tmp_path: Path) -> dict[str, set[str]]:
    """What the app listens to, as Bolt has it registered, less what takes anything."""
    settings = {"slack_bot_token": "xoxb-test", "slack_app_token": "xapp-test"}
    recorded: dict[str, set[str]] = {
        "event": set(),
        "command": set(),
        "shortcut": set(),
        "action": set(),
        "view": set(),
    }

    class Recorder(AsyncApp):
        def __getattribute__(self, name: str) -> Any:
            if name not in recorded:
                return super().__getattribute__(name)
            register = super().__getattribute__(name)

            def registered(constraint: Any) -> Any:
                named = constraint["callback_id"] if isinstance(constraint, dict) else constraint
                if isinstance(named, str):
                    recorded[name].add(named)
                return register(constraint)

            return registered

    async with await Database.open(f"sqlite+aiosqlite:///{tmp_path}/countersign.db") as database:
        surface = SlackSurface(database, slack_settings(**settings))
        from bot.listeners import register as register_all

        register_all(Recorder(token="xoxb-test", signing_secret="unused"), surface._context)
    return recorded


async def test_events(tmp_path: Path) -> None:
    heard = {SUBSCRIBED_AS.get(event, event) for event in (await listeners(tmp_path))["event"]}
    assert heard == set(manifest()["settings"]["event_subscriptions"]["bot_events"])


async def test_commands_and_shortcuts(tmp_path: Path) -> None:
    heard = await listeners(tmp_path)
    features = manifest()["features"]
    assert heard["command"] == {command["command"] for command in features["slash_commands"]}
    assert heard["shortcut"] == {shortcut["callback_id"] for shortcut in features["shortcuts"]}


async def test_every_button_and_modal_is_listened_to(tmp_path: Path) -> None:
    heard = await listeners(tmp_path)
    declared = {value for name, value in vars(actions).items() if name.isupper() and isinstance(value, str)}
    submitted = {value for value in declared if value.endswith(".submit")}
    assert heard["view"] == submitted
    buttons = declared - submitted - {actions.SHORTCUT, actions.COMMAND, actions.DETAILS_VIEW}
    assert heard["action"] == {value for value in buttons if "." in value}


def test_every_scope_is_used_and_every_use_has_its_scope() -> None:
    granted = set(manifest()["oauth_config"]["scopes"]["bot"])
    events = manifest()["settings"]["event_subscriptions"]["bot_events"]
    needed = set().union(*METHODS.values(), *(BY_EVENT[event] for event in events)) | OF_FEATURES
    assert granted == needed


def test_methods_are_known_with_the_scopes_that_slack_asks_for() -> None:
    """Against the local workspace's own table: one of those that it asks for is enough."""
    for name, scopes in METHODS.items():
        asked = set(SLACK_METHODS[name].scopes)
        assert asked & scopes or not asked, name


def test_no_other_method_is_called() -> None:
    """Methods are named in one file, and each is in its table; nothing else holds a client."""
    source = Path(client.__file__).read_text()
    called = set(re.findall(r'_(?:call|send)\(\s*"([a-zA-Z.]+)"', source))
    assert called == set(METHODS)
    users = [
        path.relative_to(MANIFEST.parent).as_posix()
        for path in (MANIFEST.parent / "bot").rglob("*.py")
        if "sandbox" not in path.parts and "AsyncWebClient" in path.read_text()
    ]
    assert sorted(users) == ["bot/slack/client.py", "bot/transport/bolt.py"]


def test_the_rules_that_no_schema_holds() -> None:
    loaded = manifest()
    assert loaded["_metadata"]["major_version"] == 2
    assert len(loaded["display_information"]["name"]) <= 35
    assert len(loaded["display_information"]["description"]) <= 140
    assert 174 <= len(loaded["display_information"]["long_description"]) <= 4000
    settings = loaded["settings"]
    assert settings["socket_mode_enabled"] is True
    assert settings["token_rotation_enabled"] is False
    assert settings["interactivity"]["is_enabled"] is True
    for shortcut in loaded["features"]["shortcuts"]:
        assert len(shortcut["name"]) <= 24
        assert len(shortcut["description"]) <= 150
    for command in loaded["features"]["slash_commands"]:
        assert re.fullmatch(r"/[a-z0-9_-]{1,31}", command["command"])
