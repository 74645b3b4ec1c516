"""`countersign tokens …`"""

from __future__ import annotations

from typing import Annotated

import typer

from agent_runtime.core.duration import DAY, rfc3339
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from bot.cli.printing import show_json, show_table
from bot.cli.session import Json, on_database

app = typer.Typer(no_args_is_help=True, help="Who may use the HTTP API.")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What the token is for; shown as api:NAME in the audit trail.")],
    scope: Annotated[list[str], typer.Option("--scope", help="start, read, decide or admin; may be repeated.")],
    stands_for: Annotated[
        str, typer.Option("--for", help="slack:TEAM:USER: the token is that person, with their limits.")
    ] = "",
    expires_in_days: Annotated[
        float | None, typer.Option(min=0.001, max=3650, help="Days until it stops working.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a token and print it, once."""
    from agent_runtime.operations.tokens import create_token

    expires_in = None if expires_in_days is None else round(expires_in_days * DAY)
    created = on_database(
        lambda database: database.write(
            create_token, name, scope, stands_for=stands_for, expires_in=expires_in, by=LOCAL_OPERATOR, via=Via.cli
        ),
        create=True,
    )
    if as_json:
        show_json({"name": name, "scopes": scope, "token": created})
    else:
        typer.echo(created)


@app.command("list")
def list_tokens(as_json: Json = False) -> None:
    """List tokens, without their secrets."""
    from agent_runtime.store.access import TOKENS

    rows = on_database(lambda database: database.all(TOKENS))
    shown = [
        {
            "name": row.name,
            "principal": row.principal,
            "scopes": row.scopes.split(),
            "created_at": rfc3339(row.created_at),
            "expires_at": rfc3339(row.expires_at),
            "revoked_at": rfc3339(row.revoked_at),
        }
        for row in rows
    ]
    if as_json:
        show_json(shown)
    else:
        show_table(
            ["name", "principal", "scopes", "expires", "revoked"],
            [
                [
                    row["name"],
                    row["principal"],
                    " ".join(row["scopes"]),
                    row["expires_at"] or "",
                    row["revoked_at"] or "",
                ]
                for row in shown
            ],
            empty="no tokens; create one with `countersign tokens create NAME --scope read`",
        )


@app.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="The token's name.")]) -> None:
    """Revoke a token; what it did stays in the audit trail."""
    from agent_runtime.operations.tokens import revoke_token

    on_database(lambda database: database.write(revoke_token, name, by=LOCAL_OPERATOR, via=Via.cli))
    typer.echo(f"{name} is revoked")
