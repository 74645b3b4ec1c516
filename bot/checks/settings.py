"""Where the settings come from, and names that look like settings and are none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values

from agent_runtime.errors import InvalidSetting
from agent_runtime.policy_file import load_policy_file
from agent_runtime.settings import Settings
from bot.checks.finding import Finding, bad, good, note
from bot.settings import SlackSettings

ABOUT = "settings"
POLICY = "policy"

_PREFIX = "COUNTERSIGN_"
_READ_ELSEWHERE = frozenset({"COUNTERSIGN_DEMO_LEDGER", "COUNTERSIGN_SANDBOX_PORT", "COUNTERSIGN_TEST_POSTGRES_URL"})


def check_settings(env_file: Path, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """How many are set and where; unknown names, as a mistyped one is silently left out. Values are not looked at."""
    written = {name for name, value in _written(env_file).items() if value}
    given = {name for name, value in environment.items() if value}
    known = set(names())
    count = len(known & (written | given))
    source = f"the environment and {env_file}" if env_file.is_file() else f"the environment (there is no {env_file})"
    return [good(ABOUT, f"{count} set, from {source}"), *_unknown(written | given, known)]


def check_policy(settings: Settings) -> list[Finding]:
    """The operator's policy file, where there is one."""
    try:
        policy = load_policy_file(settings.checkpoints)
    except InvalidSetting as error:
        return [bad(POLICY, error.message, "correct it: as it is, the server does not start")]
    if not policy.checkpoints and not policy.channel_agents:
        return [good(POLICY, "no checkpoints: calls are gated by their tools alone")]
    ids = ", ".join(point.checkpoint_id for point in policy.checkpoints) or "none"
    return [good(POLICY, f"checkpoints: {ids}; channels with an agent: {len(policy.channel_agents)}")]


def names() -> list[str]:
    """Every variable that is read."""
    return [
        str(field.validation_alias or f"{_PREFIX}{name.upper()}") for name, field in SlackSettings.model_fields.items()
    ]


def _unknown(given: Iterable[str], known: set[str]) -> list[Finding]:
    unknown = sorted(name for name in given if name.startswith(_PREFIX) and name not in known | _READ_ELSEWHERE)
    return [note(ABOUT, f"{name} is no setting, and has no effect", _meant(name, known)) for name in unknown]


def _meant(name: str, known: set[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"write {close[0]}" if close else "take it away"


def _written(env_file: Path) -> Mapping[str, str | None]:
    return dotenv_values(env_file) if env_file.is_file() else {}
