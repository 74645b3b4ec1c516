"""Settings: argument > `configure()` > environment > `.env`. Each is checked at the start, with one clear message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agent_runtime.core.addresses import refusal_of_url
from agent_runtime.core.audit import SHORTEST_KEY
from agent_runtime.core.policy import Approval
from agent_runtime.core.standard_webhooks import key_of
from agent_runtime.errors import InvalidDefinition, InvalidSetting


def _split(value: Any) -> Any:
    return [part for part in value.replace(",", " ").split() if part] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list separated by commas or spaces."""


class Settings(BaseSettings):
    """What the runtime needs; their names in the environment are in `.env.example`."""

    model_config = SettingsConfigDict(
        env_prefix="COUNTERSIGN_", extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    database_url: str = "sqlite+aiosqlite:///countersign.db"
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    public_url: str = ""
    server_url: str = ""
    api_token: SecretStr | None = None
    model: str = "openai/gpt-4o-mini"
    approval_webhook_secret: SecretStr | None = None
    notify_urls: Names = ()
    notify_secret: SecretStr | None = None
    notify_give_up_hours: float = Field(default=24, gt=0, le=720)
    callback_hosts: Names = ()
    webhook_signatures: Literal["standard", "body", "both"] = "both"
    default_agent: str = ""
    approvals_channel: str = ""
    reviewers: Names = ()
    escalation_channel: str = ""
    escalation_reviewers: Names = ()
    checkpoints: str = ""
    concurrency: int = Field(default=100, ge=1, le=10_000)
    parked_at_most: int = Field(default=1_000, ge=0, le=1_000_000)
    """Reasoners that wait in memory; 0 drops each at once and replays it, which finds undeclared side effects early."""
    audit_key: SecretStr | None = None
    """Signs exports of the audit trail and heads of its chain (HMAC-SHA256); whoever verifies needs it."""
    audit_heads: str = ""
    """Where signed heads go on a schedule: a folder, or "log"; "" for nowhere."""
    audit_head_every: int = Field(default=3_600, ge=1, le=86_400)
    """Seconds between signed heads."""
    tool_result_limit: int = Field(default=100_000, ge=1_000, le=10_000_000)
    """Characters of a tool's result that are recorded and told to the model; of a longer one the beginning."""
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str = Field(default="", validation_alias="OPENAI_BASE_URL")
    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    anthropic_base_url: str = Field(default="https://api.anthropic.com/v1/", validation_alias="ANTHROPIC_BASE_URL")

    @field_validator("approval_webhook_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not secret.get_secret_value():
            return None
        if secret is not None and len(secret.get_secret_value()) < 16:
            raise ValueError("must be at least 16 characters; make one with `openssl rand -hex 32`")
        return secret

    @field_validator("audit_key")
    @classmethod
    def _audit_key_long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value():
            return None
        if key is not None and len(key.get_secret_value()) < SHORTEST_KEY:
            raise ValueError(f"must be at least {SHORTEST_KEY} characters; make one with `openssl rand -hex 32`")
        return key

    @field_validator("audit_heads")
    @classmethod
    def _folder_or_log(cls, where: str) -> str:
        if where not in {"", "log"} and not Path(where).is_dir():
            raise ValueError("must be a folder that is there, or the word log")
        return where

    @field_validator("notify_secret")
    @classmethod
    def _signs(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is None or not secret.get_secret_value():
            return None
        try:
            key_of(secret.get_secret_value(), "")
        except InvalidSetting as error:
            raise ValueError(error.message.removeprefix(": ")) from None
        return secret

    @field_validator("notify_urls")
    @classmethod
    def _receivers(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        """They may hold secrets: none is repeated in the message."""
        for number, url in enumerate(urls, start=1):
            if refused := refusal_of_url(url):
                raise ValueError(f"address {number} of {len(urls)} {refused}")
        return tuple(dict.fromkeys(urls))

    @field_validator("callback_hosts")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        wrong = next((host for host in hosts if "/" in host or "*" in host), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no host; write names or addresses, such as hooks.internal or 10.0.0.7")
        return tuple(host.strip("[]").lower() for host in hosts)

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.notify_urls and self.notify_secret is None:
            raise ValueError(
                "COUNTERSIGN_NOTIFY_SECRET is missing, while COUNTERSIGN_NOTIFY_URLS is set; make one with "
                "`openssl rand -hex 32`"
            )
        return self

    @field_validator("public_url", "server_url", "openai_base_url", "anthropic_base_url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/") if url else url

    @field_validator("reviewers", "escalation_reviewers")
    @classmethod
    def _people(cls, people: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(Approval(reviewers=people).reviewers or ())
        except InvalidDefinition as error:
            raise ValueError(error.message) from error


_CONFIGURED: dict[str, Any] = {}


def configure(**settings: Any) -> None:
    """Settings of this process that win over the environment and lose to arguments; None takes one back.

    Raises InvalidSetting naming what is unknown, or has a value that cannot be used; then nothing changes.
    """
    unknown = sorted(set(settings) - set(Settings.model_fields))
    if unknown:
        raise InvalidSetting(f"{', '.join(unknown)}: unknown; known are {', '.join(sorted(Settings.model_fields))}")
    wanted = {name: value for name, value in {**_CONFIGURED, **settings}.items() if value is not None}
    load(Settings, **wanted)
    _CONFIGURED.clear()
    _CONFIGURED.update(wanted)


def load(settings: type[Settings] = Settings, *, env_file: str | None = None, **arguments: Any) -> Any:
    """The settings, arguments first. Raises InvalidSetting naming each variable that cannot be used."""
    try:
        configured = {name: value for name, value in _CONFIGURED.items() if name in settings.model_fields}
        given: dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
        return settings(**{"_env_file": env_file, **configured, **given})
    except ValidationError as error:
        raise InvalidSetting(_words(settings, error)) from None


def _words(settings: type[Settings], error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = str(problem["loc"][0]) if problem["loc"] else "settings"
        field: Any = settings.model_fields.get(name)
        alias = field.validation_alias if field is not None else None
        known: Mapping[str, Any] = settings.model_fields
        variable = alias or (f"COUNTERSIGN_{name.upper()}" if name in known else name)
        lines.append(f"{variable}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
