"""`countersign demo --slack`: says what it is about to do, looks whether it can, and does it."""

from __future__ import annotations

import asyncio
import sys

import typer

from bot.cli.printing import show_findings
from bot.cli.session import ENV_FILE


def demo_in_slack(port: int | None, *, yes: bool) -> int:
    """Runs the demo in the workspace of the settings; the exit status. `yes` asks nothing first. Without a `port` it
    is the settings'.

    Raises InvalidSetting naming what is missing.
    """
    from bot.checks.finding import well
    from bot.demo import real_slack
    from bot.settings import slack_settings
    from bot.slack.checks import BOT_TOKEN, check_slack

    settings = slack_settings(env_file=ENV_FILE)
    real_slack.check(settings)
    findings = asyncio.run(check_slack(settings))
    show_findings(findings)
    if not well(findings):
        return 1
    who = next((finding.text for finding in findings if finding.about == BOT_TOKEN), "")
    typer.echo("")
    for line in real_slack.plan(settings, who):
        typer.echo(line)
    typer.echo("")
    sys.stdout.flush()
    if not yes and sys.stdin.isatty() and not typer.confirm("Go on?", default=True):
        return 0
    return asyncio.run(real_slack.run_real_slack(settings, settings.port if port is None else port))
