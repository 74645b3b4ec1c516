"""Slack's settings, beside the runtime's. Each one is checked at the start, with one clear message."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from yarl import URL

from agent_runtime.core.policy import Approval
from agent_runtime.settings import Settings, load

SLACK_API_URL = "https://slack.com/api/"

DEFAULT_REMIND_AFTER = "15m"
DEFAULT_ESCALATE_AFTER = "1h"
"""The ladder where neither a tool nor a checkpoint sets one."""

_CHANNEL = re.compile(r"[CGD][A-Z0-9]{2,}")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_TOKENS = {
    "slack_bot_token": ("xoxb-", "the Bot User OAuth Token under OAuth & Permissions"),
    "slack_app_token": ("xapp-", "an app-level token with connections:write under Basic Information"),
}


class SlackSettings(Settings):
    """What the bot needs. Socket Mode needs the app token, HTTP mode the signing secret; both may be set."""

    slack_bot_token: SecretStr | None = Field(default=None, validation_alias="SLACK_BOT_TOKEN")
    slack_app_token: SecretStr | None = Field(default=None, validation_alias="SLACK_APP_TOKEN")
    slack_signing_secret: SecretStr | None = Field(default=None, validation_alias="SLACK_SIGNING_SECRET")
    slack_api_url: str = SLACK_API_URL
    slack_connections: int = Field(default=2, ge=1, le=10)
    """Socket Mode connections of this process; Slack allows ten an app."""

    @field_validator("slack_bot_token", "slack_app_token", "slack_signing_secret", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("slack_bot_token", "slack_app_token")
    @classmethod
    def _token(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        prefix, where = _TOKENS[str(info.field_name)]
        if token is not None and not re.fullmatch(rf"{prefix}[\w.-]+", token.get_secret_value(), re.ASCII):
            raise ValueError(f"must begin with {prefix} (it is {where})")
        return token

    @field_validator("slack_signing_secret")
    @classmethod
    def _secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < 16:
            raise ValueError("is too short (it is the Signing Secret under Basic Information)")
        return secret

    @field_validator("slack_api_url")
    @classmethod
    def _https(cls, url: str) -> str:
        """The token must not travel in clear, except within this machine."""
        parsed = URL(url)
        if parsed.scheme != "https" and not (parsed.scheme == "http" and parsed.host in _LOOPBACK):
            raise ValueError(f"must begin with https://, such as {SLACK_API_URL}; http:// only for this machine")
        return url.rstrip("/") + "/"

    @field_validator("approvals_channel", "escalation_channel")
    @classmethod
    def _channel(cls, channel: str) -> str:
        if channel and not _CHANNEL.fullmatch(channel):
            raise ValueError(f"{channel!r} is no channel id; write one such as C0123ABCD (in the channel's details)")
        return channel

    @model_validator(mode="after")
    def _complete(self) -> SlackSettings:
        if self.slack_bot_token is None and (self.slack_app_token or self.slack_signing_secret):
            given = "SLACK_APP_TOKEN" if self.slack_app_token else "SLACK_SIGNING_SECRET"
            raise ValueError(f"SLACK_BOT_TOKEN is missing, while {given} is set")
        if self.slack_bot_token is not None and not (self.slack_app_token or self.slack_signing_secret):
            raise ValueError(
                "SLACK_BOT_TOKEN is set, but no click could arrive: set SLACK_APP_TOKEN (Socket Mode) "
                "or SLACK_SIGNING_SECRET (HTTP mode)"
            )
        return self

    @property
    def mode(self) -> Literal["socket", "http", "off"]:
        """How Slack reaches this process; with both secrets it is Socket Mode, and HTTP is served too."""
        if self.slack_bot_token is None:
            return "off"
        return "socket" if self.slack_app_token is not None else "http"

    @property
    def on_this_machine(self) -> bool:
        """Whether the Web API is a local stand-in, which no proxy of the environment must see."""
        return URL(self.slack_api_url).host in _LOOPBACK

    def approval_defaults(self) -> Approval:
        """The environment's answers for approvals that are shown in Slack."""
        escalates = bool(self.escalation_channel or self.escalation_reviewers)
        return Approval(
            reviewers=self.reviewers or None,
            channel=self.approvals_channel or None,
            remind_after=DEFAULT_REMIND_AFTER,
            escalate_after=DEFAULT_ESCALATE_AFTER if escalates else None,
            escalate_to=self.escalation_reviewers or None,
            escalate_channel=self.escalation_channel or None,
        )


def slack_settings(*, env_file: str | None = None, **arguments: Any) -> SlackSettings:
    """The checked settings, arguments first. Raises InvalidSetting naming each variable that cannot be used."""
    settings: SlackSettings = load(SlackSettings, env_file=env_file, **arguments)
    return settings
