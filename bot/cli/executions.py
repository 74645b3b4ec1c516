"""`countersign executions …`"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from agent_runtime.core.duration import rfc3339
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import NotFound
from bot.cli.session import Json, on_database, show_fields, show_json, show_table

app = typer.Typer(no_args_is_help=True, help="Runs of agents.")

ExecutionId = Annotated[str, typer.Argument(metavar="EXECUTION_ID")]


@app.command("list")
def list_all(
    status: Annotated[str, typer.Option(help="queued, running, waiting, succeeded, failed or cancelled.")] = "",
    agent: Annotated[str, typer.Option(help="Only this agent's.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: Json = False,
) -> None:
    """List executions, newest first."""
    from agent_runtime.core.execution import ExecutionStatus
    from agent_runtime.store.executions import list_executions

    if status and status not in set(ExecutionStatus):
        raise typer.BadParameter(f"{status!r} is none of {', '.join(ExecutionStatus)}", param_hint="--status")
    q = list_executions(status=bool(status), agent=bool(agent), after=False)
    filters = {name: value for name, value in (("b_status", status), ("b_agent", agent)) if value}
    rows = on_database(lambda database: database.all(q, b_limit=limit, **filters))
    if as_json:
        show_json([_summary(row) for row in rows])
    else:
        show_table(
            ["execution", "agent", "status", "created", "asked by"],
            [
                [row.execution_id, row.agent, row.status, rfc3339(row.created_at) or "", row.requested_by]
                for row in rows
            ],
            empty="no executions",
        )


@app.command()
def show(execution_id: ExecutionId, as_json: Json = False) -> None:
    """Show one execution with its steps and approvals."""
    from agent_runtime.delivery.views import execution_view

    view = on_database(lambda database: execution_view(database, execution_id))
    if view is None:
        raise NotFound(f"no execution has the id {execution_id!r}")
    steps = [{"position": s.position, "kind": s.kind, "name": s.name, "status": s.status} for s in view.journal]
    approvals = [
        {"approval_request_id": a.approval_request_id, "kind": a.kind, "tool_name": a.tool_name, "status": a.status}
        for a in view.approvals
    ]
    if as_json:
        show_json({**_summary(view.execution), "steps": steps, "approvals": approvals})
        return
    show_fields({name: value for name, value in _summary(view.execution).items() if value is not None})
    show_table(
        ["#", "step", "name", "status"],
        [[str(s["position"]), str(s["kind"]), str(s["name"]), str(s["status"])] for s in steps],
        empty="no steps yet",
    )
    show_table(["approval", "kind", "tool", "status"], [list(a.values()) for a in approvals], empty="no approvals")


@app.command()
def start(
    agent: Annotated[str, typer.Argument(help="A deployed agent's name.")],
    prompt: Annotated[str, typer.Argument(help="What it is to do.")],
    idempotency_key: Annotated[str | None, typer.Option(help="The same key again starts nothing new.")] = None,
    as_json: Json = False,
) -> None:
    """Queue an execution; a server that has the agent runs it."""
    from agent_runtime.operations.start import Start
    from agent_runtime.operations.start import start as start_execution

    wanted = Start(agent, {"prompt": prompt}, idempotency_key=idempotency_key)
    started = on_database(lambda database: database.write(start_execution, wanted, by=LOCAL_OPERATOR, via=Via.cli))
    if as_json:
        show_json({**_summary(started.execution), "created": started.created})
    else:
        typer.echo(started.execution.execution_id)


@app.command()
def cancel(execution_id: ExecutionId, reason: Annotated[str, typer.Option(help="Why.")] = "") -> None:
    """Cancel an execution and withdraw what it asks; a call that runs now is let finish."""
    from agent_runtime.operations.cancel import cancel as cancel_execution

    on_database(
        lambda database: database.write(cancel_execution, execution_id, by=LOCAL_OPERATOR, via=Via.cli, reason=reason)
    )
    typer.echo(f"{execution_id} is cancelled")


@app.command()
def events(execution_id: ExecutionId, as_json: Json = False) -> None:
    """Show the audit trail of an execution: what happened, when, by whom, through which door."""
    from agent_runtime.store.events import EVENTS_OF_STREAM

    rows = on_database(
        lambda database: database.all(EVENTS_OF_STREAM, b_stream=execution_id, b_after=0, b_limit=10_000)
    )
    if not rows:
        raise NotFound(f"no execution has the id {execution_id!r}")
    shown: list[dict[str, Any]] = [
        {
            "seq": row.seq,
            "at": rfc3339(row.at),
            "type": row.type,
            "by": row.principal,
            "via": row.via,
            "approval_request_id": row.approval_request_id,
            "data": json.loads(row.data),
        }
        for row in rows
    ]
    if as_json:
        show_json(shown)
    else:
        show_table(
            ["#", "at", "event", "by", "via"],
            [[str(row["seq"]), row["at"], row["type"], row["by"], row["via"]] for row in shown],
            empty="no events",
        )


def _summary(execution: Any) -> dict[str, Any]:
    return {
        "execution_id": execution.execution_id,
        "agent": execution.agent,
        "status": execution.status,
        "requested_by": execution.requested_by,
        "via": execution.via,
        "created_at": rfc3339(execution.created_at),
        "ended_at": rfc3339(execution.ended_at),
        "result": json.loads(execution.result)["result"] if execution.result else None,
        "error": json.loads(execution.error) if execution.error else None,
    }
