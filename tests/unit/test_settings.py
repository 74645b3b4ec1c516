"""Settings: where they come from, and one clear message for what cannot be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.errors import InvalidSetting
from agent_runtime.settings import Settings, load


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("COUNTERSIGN_", "OPENAI_", "ANTHROPIC_")):
            monkeypatch.delenv(name)


def test_the_defaults() -> None:
    settings: Settings = load()
    assert settings.database_url == "sqlite+aiosqlite:///countersign.db"
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 8080, "openai/gpt-4o-mini")
    assert (settings.reviewers, settings.approval_webhook_secret) == ((), None)


def test_an_argument_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("COUNTERSIGN_HOST=file\nCOUNTERSIGN_MODEL=file\nCOUNTERSIGN_PORT=1\nUNRELATED=x\n")
    monkeypatch.setenv("COUNTERSIGN_HOST", "environment")
    monkeypatch.setenv("COUNTERSIGN_MODEL", "environment")
    settings: Settings = load(env_file=str(env_file), host="argument")
    assert (settings.host, settings.model, settings.port) == ("argument", "environment", 1)


def test_an_argument_that_is_none_is_left_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_HOST", "environment")
    assert load(host=None).host == "environment"


@pytest.mark.parametrize("written", ["U0ABC,S0DEF,@dba", "U0ABC S0DEF @dba", " U0ABC, S0DEF ,,@dba "])
def test_lists_are_written_with_commas_or_spaces(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("COUNTERSIGN_REVIEWERS", written)
    assert load().reviewers == ("U0ABC", "S0DEF", "@dba")


def test_keys_have_the_names_that_everybody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1/")
    settings: Settings = load()
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "key-1"
    assert settings.openai_base_url == "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("COUNTERSIGN_PORT", "eighty", "integer"),
        ("COUNTERSIGN_PORT", "65536", "65535"),
        ("COUNTERSIGN_PORT", "-1", "0"),
        ("COUNTERSIGN_PUBLIC_URL", "approvals.example", "http"),
        ("COUNTERSIGN_APPROVAL_WEBHOOK_SECRET", "short", "at least 16 characters"),
        ("COUNTERSIGN_WEBHOOK_SIGNATURES", "none", "both"),
        ("COUNTERSIGN_REVIEWERS", "U0ABC, somebody", "'somebody' is no reviewer"),
        ("COUNTERSIGN_ESCALATION_REVIEWERS", "nobody", "'nobody' is no reviewer"),
        ("COUNTERSIGN_CONCURRENCY", "0", "1"),
        ("OPENAI_BASE_URL", "api.openai.com", "http"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSetting) as refused:
        load()
    assert refused.value.message.startswith(f"{variable}: ")
    assert reason in refused.value.message


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_PORT", "eighty")
    monkeypatch.setenv("COUNTERSIGN_PUBLIC_URL", "x")
    with pytest.raises(InvalidSetting, match=r"COUNTERSIGN_PORT: .*; COUNTERSIGN_PUBLIC_URL: "):
        load()


@pytest.mark.parametrize("name", ["COUNTERSIGN_APPROVAL_WEBHOOK_SECRET", "OPENAI_API_KEY", "COUNTERSIGN_API_TOKEN"])
def test_secrets_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "hunter2-hunter2-hunter2")
    settings: Any = load()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
    monkeypatch.setenv("COUNTERSIGN_PORT", "eighty")
    with pytest.raises(InvalidSetting) as refused:
        load()
    assert "hunter2" not in refused.value.message


def test_an_empty_webhook_secret_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_APPROVAL_WEBHOOK_SECRET", "")
    assert load().approval_webhook_secret is None
