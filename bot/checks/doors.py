"""Who gets in (address, API tokens, the signed webhook), which agent answers a mention, and what is stopped."""

from __future__ import annotations

from agent_runtime.core.switches import in_words
from agent_runtime.settings import Settings
from bot.checks.database import Held
from bot.checks.finding import Finding, bad, good, note

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def check_doors(settings: Settings, held: Held) -> list[Finding]:
    """Pure: from the settings and what the database holds; of what is not known nothing is said."""
    if not held.known:
        return [_webhook(settings)]
    return [
        *_tokens(settings, held),
        _webhook(settings),
        *_api_reviewers(settings, held),
        *_agents(settings, held),
        *_stopped(held),
    ]


def _tokens(settings: Settings, held: Held) -> list[Finding]:
    about, create = "API tokens", "create one: `countersign tokens create NAME --scope read`"
    if held.tokens:
        return [good(about, f"{len(held.tokens)} valid; every request to the API needs one")]
    if settings.host in _LOOPBACK and not settings.public_url:
        return [good(about, f"none: only this machine is served, on {settings.host}")]
    where = (
        f"COUNTERSIGN_HOST is {settings.host}" if settings.host not in _LOOPBACK else "COUNTERSIGN_PUBLIC_URL is set"
    )
    return [note(about, f"none, while {where}: everyone but this machine gets 401 from the API", create)]


def _webhook(settings: Settings) -> Finding:
    about = "signed webhook"
    if settings.approval_webhook_secret is None:
        return good(about, "off (COUNTERSIGN_APPROVAL_WEBHOOK_SECRET is not set)")
    return good(about, f"on, signatures: {settings.webhook_signatures}")


def _api_reviewers(settings: Settings, held: Held) -> list[Finding]:
    named = {name.removeprefix("api:") for name in settings.reviewers if name.startswith("api:")}
    return [
        bad(
            "reviewers",
            f"api:{name} is no valid token, so it can decide nothing",
            f"`countersign tokens create {name} --scope decide`, or take it out of COUNTERSIGN_REVIEWERS",
        )
        for name in sorted(named - held.tokens)
    ]


def _agents(settings: Settings, held: Held) -> list[Finding]:
    about, default = "agents", settings.default_agent
    if not held.agents:
        return [note(about, "none is deployed yet", "start `countersign serve --agents module:attr`")]
    names = ", ".join(held.agents)
    if default and default not in held.agents:
        return [
            note(
                about,
                f"COUNTERSIGN_DEFAULT_AGENT names {default!r}, which is not deployed ({names} are)",
                "correct it, or start `countersign serve --agents …` with that agent",
            )
        ]
    return [good(about, f"deployed: {names}")]


def _stopped(held: Held) -> list[Finding]:
    """Silent where nothing is: a stop that was forgotten is the reason why nothing runs."""
    if not held.stopped:
        return []
    switches = ", ".join(f"{in_words(switch.scope)} (by {switch.principal})" for switch in held.stopped)
    return [note("stop switch", f"stopped: {switches}", "let it go on: `countersign resume [NAME]`")]
