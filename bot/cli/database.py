"""`countersign db …`"""

from __future__ import annotations

import typer

from bot.cli.session import runtime_settings

app = typer.Typer(no_args_is_help=True, help="The database's schema.")


@app.callback()
def group() -> None:
    """The database's schema."""


@app.command()
def upgrade() -> None:
    """Bring the schema to this version; safe to run again, and while others start."""
    from agent_runtime.store.migrate import HEAD, upgrade_database

    upgrade_database(runtime_settings().database_url)
    typer.echo(f"the schema is at revision {HEAD}")
