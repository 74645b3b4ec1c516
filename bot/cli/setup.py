"""`countersign doctor` and `countersign manifest`: what it takes to run, and the Slack app to run with."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent_runtime.errors import InvalidSetting
from bot.cli.printing import show_findings, show_json
from bot.cli.session import ENV_FILE, Json, runtime_settings, word_of

if TYPE_CHECKING:
    from bot.checks.finding import Finding


class Mode(StrEnum):
    """How Slack reaches the app."""

    socket = "socket"
    http = "http"


def manifest(
    mode: Annotated[
        str, typer.Option(help="socket or http (Socket Mode, HTTP mode); without it, what the tokens that are set say.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Print the Slack app's manifest for these settings, to paste into Slack (Create New App → From a manifest)."""
    from bot import manifest as slack_app
    from bot.settings import slack_settings

    if mode:
        wanted = word_of(Mode, mode, "--mode")
    else:
        wanted = Mode.http if slack_settings(env_file=ENV_FILE).mode == "http" else Mode.socket
    request_url = _request_url() if wanted is Mode.http else None
    if as_json:
        show_json(slack_app.manifest(request_url))
    else:
        typer.echo(slack_app.as_yaml(request_url), nl=False)


def doctor(as_json: Json = False) -> None:
    """Check settings, database, Slack and model, and say what to do; exit status 1 where something cannot work."""
    from agent_runtime.sdk.logs import keep_quiet
    from bot.checks.finding import well

    keep_quiet()
    findings = asyncio.run(_examine())
    if as_json:
        show_json({"ok": well(findings), "findings": [finding.as_json() for finding in findings]})
    else:
        show_findings(findings)
    if not well(findings):
        raise typer.Exit(1)


def _request_url() -> str:
    from bot.transport.http import PATH

    public_url = runtime_settings().public_url
    if not public_url:
        raise InvalidSetting(
            "COUNTERSIGN_PUBLIC_URL: it is missing, and HTTP mode needs it; set it to the https:// address at which "
            "Slack reaches this server, or take --mode socket, which needs none"
        )
    return f"{public_url}{PATH}"


async def _examine() -> list[Finding]:
    """Everything, one part after the other; a part whose settings cannot be read is said and left out."""
    from bot.checks.database import check_database
    from bot.checks.doors import check_doors
    from bot.checks.finding import bad
    from bot.checks.model import check_models
    from bot.checks.receivers import check_receivers
    from bot.checks.request_url import check_request_url
    from bot.checks.settings import check_policy, check_settings
    from bot.settings import slack_settings
    from bot.slack.checks import check_slack

    found = check_settings(Path(ENV_FILE))
    try:
        settings = runtime_settings()
        found += check_policy(settings)
    except InvalidSetting as error:
        return [*found, bad("settings", error.message, "correct it; nothing else can be looked at before")]
    databases, held = await check_database(settings.database_url)
    found += databases
    try:
        slack = slack_settings(env_file=ENV_FILE)
    except InvalidSetting as error:
        found.append(bad("Slack", error.message, "correct it; Slack itself was not asked"))
    else:
        found += [*await check_slack(slack), *await check_request_url(slack)]
    found += await check_models(settings, held.agents.values())
    return [*found, *check_doors(settings, held), *await check_receivers(settings)]
