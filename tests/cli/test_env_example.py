"""`.env.example` is the list of settings: each one that is read is there, with its default, and no other."""

from __future__ import annotations

from dotenv import dotenv_values
from pydantic import SecretStr

from bot.checks.settings import names
from bot.settings import SlackSettings
from tests.e2e.process import REPOSITORY

WRITTEN = dotenv_values(REPOSITORY / ".env.example")


def test_every_setting_is_there_and_no_other() -> None:
    assert set(WRITTEN) == set(names())


def test_it_names_the_defaults() -> None:
    for name, field in zip(names(), SlackSettings.model_fields.values(), strict=True):
        default = field.default
        assert WRITTEN[name] == (
            ""
            if default in (None, ()) or isinstance(default, SecretStr)
            else f"{default:g}"
            if isinstance(default, float)
            else str(default)
        ), name
