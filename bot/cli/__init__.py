"""The command line: `countersign`. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agent_runtime.errors import CountersignError
from bot.cli import approvals, audit, conformance, database, executions, new, serving, setup, switches, tokens

app = typer.Typer(
    name="countersign",
    help="Slack approvals for AI agents: risky calls wait durably in SQL, people decide, the call runs at most once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serving.serve)
app.command("demo")(serving.demo)
app.command("new")(new.new)
app.command("doctor")(setup.doctor)
app.command("manifest")(setup.manifest)
app.add_typer(executions.app, name="executions")
app.add_typer(approvals.app, name="approvals")
app.add_typer(tokens.app, name="tokens")
app.add_typer(database.app, name="db")
app.add_typer(audit.app, name="audit")
app.command("stop")(switches.stop)
app.command("resume")(switches.resume)
app.command("conformance")(conformance.conformance)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"countersign {version('countersign')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Settings come from the environment and from `.env` in this folder."""


def main() -> None:
    """Runs the command line; exit status 0 done, 1 refused or failed, 2 usage."""
    try:
        app()
    except CountersignError as error:
        from bot.cli.printing import warn

        warn(error.message)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
