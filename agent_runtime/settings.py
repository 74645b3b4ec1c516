"""Settings: argument > `configure()` > environment > `.env`. Each is checked at the start, with one clear message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agent_runtime.core.policy import Approval
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
            Approval(reviewers=people)
        except InvalidDefinition as error:
            raise ValueError(error.message) from error
        return people


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
