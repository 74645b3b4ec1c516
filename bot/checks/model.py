"""Whether the models that agents name can be reached with the keys that are set; asks no model anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from pydantic import SecretStr
from yarl import URL

from agent_runtime.engine.model import split_model
from agent_runtime.errors import InvalidSetting
from agent_runtime.settings import Settings
from bot.checks.finding import Finding, bad, good, note

ABOUT = "model"
OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_VERSION = "2023-06-01"
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """Where the models of one prefix are listed, and with what key."""

    key_setting: str
    url_setting: str
    base_url: str
    key: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @property
    def shown_url(self) -> str:
        """The address without a password in it."""
        return str(URL(self.base_url).with_user(None))


async def check_models(settings: Settings, deployed: Iterable[str]) -> list[Finding]:
    """One finding a service: of the default model, and of the models that deployed agents name."""
    try:
        wanted = _by_prefix({settings.model, *deployed} - {""})
    except InvalidSetting as error:
        return [bad(ABOUT, error.message)]
    found = []
    for prefix, names in sorted(wanted.items()):
        service = _service(settings, prefix)
        if service is None:
            models = ", ".join(f"{prefix}/{name}" for name in sorted(names))
            found.append(bad(ABOUT, f"{models}: no service is called {prefix!r}", "write openai/… or anthropic/…"))
        else:
            found += await _check(prefix, service, names)
    return found


def missing_keys(settings: Settings, models: Iterable[str]) -> list[Finding]:
    """A finding for each service of `models` whose key is not set; asks nobody. Raises InvalidSetting for ""."""
    services = {prefix: (_service(settings, prefix), names) for prefix, names in _by_prefix(models).items()}
    return [
        _keyless(prefix, service, names)
        for prefix, (service, names) in sorted(services.items())
        if service is not None and not service.key
    ]


def _by_prefix(models: Iterable[str]) -> dict[str, set[str]]:
    wanted: dict[str, set[str]] = {}
    for model in models:
        prefix, name = split_model(model)
        wanted.setdefault(prefix, set()).add(name)
    return wanted


def _service(settings: Settings, prefix: str) -> Service | None:
    if prefix == "openai":
        key = _text(settings.openai_api_key)
        url = settings.openai_base_url or OPENAI_URL
        return Service("OPENAI_API_KEY", "OPENAI_BASE_URL", url, key, {"Authorization": f"Bearer {key}"})
    if prefix == "anthropic":
        key = _text(settings.anthropic_api_key)
        headers = {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION}
        url = settings.anthropic_base_url.rstrip("/")
        return Service("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", url, key, headers)
    return None


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret is not None else ""


async def _check(prefix: str, service: Service, names: set[str]) -> list[Finding]:
    if not service.key:
        return [_keyless(prefix, service, names)]
    try:
        status, listed = await _list(service)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return [
            bad(
                ABOUT,
                f"{service.shown_url} cannot be reached ({type(error).__name__})",
                f"check the network, HTTPS_PROXY and {service.url_setting}",
            )
        ]
    return _answered(prefix, service, names, status, listed)


def _keyless(prefix: str, service: Service, names: set[str]) -> Finding:
    models = ", ".join(f"{prefix}/{name}" for name in sorted(names))
    return note(
        ABOUT,
        f"{service.key_setting} is not set: agents on {models} cannot think",
        "set it; without agents of your own (only outside ones ask) it is not needed",
    )


async def _list(service: Service) -> tuple[int, set[str]]:
    """`GET /models`, which costs nothing: the status, and the models that it lists."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT), trust_env=True) as session,
        session.get(f"{service.base_url}/models", headers=service.headers) as answer,
    ):
        if answer.status != 200:
            return answer.status, set()
        try:
            body: Any = await answer.json(content_type=None)
            return 200, {str(model["id"]) for model in body["data"]}
        except (ValueError, KeyError, TypeError):
            return 200, set()


def _answered(prefix: str, service: Service, names: set[str], status: int, listed: set[str]) -> list[Finding]:
    if status in {401, 403}:
        return [bad(ABOUT, f"{service.shown_url} refuses the key ({status})", f"correct {service.key_setting}")]
    if status == 429 or status >= 500:
        return [note(ABOUT, f"{service.shown_url} answers {status} now", "run this again in a moment")]
    if status != 200 or not listed:
        return [good(ABOUT, f"{service.shown_url} answers, but lists no models; whether the key is good is not known")]
    found = [
        note(ABOUT, f"{service.shown_url} does not list {name}", "correct COUNTERSIGN_MODEL, or the agent's model=")
        for name in sorted(names - listed)
    ]
    fine = sorted(names & listed)
    if fine:
        shown = ", ".join(f"{prefix}/{name}" for name in fine)
        found.append(good(ABOUT, f"{service.shown_url} takes the key, and has {shown}"))
    return found
