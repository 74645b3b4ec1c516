"""`countersign approvals …`: the command line's door to the single resume path."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from agent_runtime.core.approval import ApprovalStatus, Decision, Kind, Outcome, Verdict, status_in_words
from agent_runtime.core.duration import rfc3339
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.core.redaction import redact
from agent_runtime.errors import InvalidRequest, NotFound
from bot.cli.session import Json, on_database, show_fields, show_json, show_table

app = typer.Typer(no_args_is_help=True, help="Questions put to people.")

ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL_REQUEST_ID")]


@app.command("list")
def list_all(
    status: Annotated[str, typer.Option(help="A status, or 'all'.")] = "pending",
    kind: Annotated[str, typer.Option(help="tool, pause, external or in_doubt.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: Json = False,
) -> None:
    """List approvals: pending ones oldest first, others newest first."""
    from agent_runtime.store.approvals import list_approvals

    if status not in {*ApprovalStatus, "all"}:
        raise typer.BadParameter(f"{status!r} is none of all, {', '.join(ApprovalStatus)}", param_hint="--status")
    if kind and kind not in set(Kind):
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(Kind)}", param_hint="--kind")
    pending, some = status == "pending", status not in {"pending", "all"}
    q = list_approvals(pending=pending, status=some, kind=bool(kind), after=False)
    filters = {**({"b_status": status} if some else {}), **({"b_kind": kind} if kind else {})}
    rows = on_database(lambda database: database.all(q, b_limit=limit, **filters))
    if as_json:
        show_json([_shown(row) for row in rows])
        return
    show_table(
        ["approval", "kind", "title", "status", "asked by", "expires"],
        [
            [
                row.approval_request_id,
                row.kind,
                row.title,
                status_in_words(row.status),
                row.requested_by,
                rfc3339(row.expires_at) or "",
            ]
            for row in rows
        ],
        empty="nothing is waiting" if pending else "no approvals",
    )


@app.command()
def show(approval_request_id: ApprovalId, as_json: Json = False) -> None:
    """Show one approval: exactly what would run, who may decide, who has."""
    from agent_runtime.delivery.views import approval_view

    view = on_database(lambda database: approval_view(database, approval_request_id))
    if view is None:
        raise NotFound(f"no approval has the id {approval_request_id!r}")
    shown = {**_shown(view.approval), "decisions": view.approval.as_json(view.votes)["decisions"]}
    if as_json:
        show_json(shown)
    else:
        show_fields({name: value for name, value in shown.items() if value not in (None, "", [])})


@app.command()
def approve(
    approval_request_id: ApprovalId,
    comment: Annotated[str, typer.Option("--comment", "-m", help="What to tell the agent.")] = "",
    as_json: Json = False,
) -> None:
    """Approve: the call runs, once, with exactly what `show` shows."""
    _decide(approval_request_id, Verdict.approved, comment, as_json)


@app.command()
def reject(
    approval_request_id: ApprovalId,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; the agent is told.")] = "",
    as_json: Json = False,
) -> None:
    """Reject: the call does not run."""
    _decide(approval_request_id, Verdict.rejected, reason, as_json)


@app.command("request-changes")
def request_changes(
    approval_request_id: ApprovalId,
    changes: Annotated[str, typer.Option("--changes", "-m", help="What should be different; the agent is told.")],
    as_json: Json = False,
) -> None:
    """Ask for changes: the call does not run, the agent may propose another."""
    _decide(approval_request_id, Verdict.request_changes, changes, as_json)


@app.command()
def settle(
    approval_request_id: ApprovalId,
    outcome: Annotated[Outcome, typer.Argument(help="happened, not_happened (asks again, then runs) or stop.")],
    result: Annotated[str, typer.Option(help="What the call returned, as JSON (with happened).")] = "null",
    evidence: Annotated[str, typer.Option("--evidence", "-m", help="How you know.")] = "",
    as_json: Json = False,
) -> None:
    """Settle a call in doubt, whose effect is unknown after a crash."""
    from agent_runtime.core.canonical import InvalidJson, parse_json
    from agent_runtime.operations.settle import settle as settle_doubt

    try:
        value = parse_json(result.encode())
    except InvalidJson as error:
        raise InvalidRequest(f"--result: {error}") from error
    resolution = on_database(
        lambda database: database.write(
            settle_doubt,
            approval_request_id,
            outcome,
            by=LOCAL_OPERATOR,
            via=Via.cli,
            result=value,
            evidence=evidence,
        )
    )
    _report(resolution, as_json)


def _decide(approval_request_id: str, verdict: Verdict, feedback: str, as_json: bool) -> None:
    from agent_runtime.operations.resolve import resolve

    decision = Decision(verdict, feedback)
    resolution = on_database(
        lambda database: database.write(resolve, approval_request_id, decision, by=LOCAL_OPERATOR, via=Via.cli)
    )
    _report(resolution, as_json)


def _report(resolution: Any, as_json: bool) -> None:
    approval = resolution.approval
    if as_json:
        show_json({**_shown(approval), "already_processed": resolution.already_processed})
        return
    again = " (it was before)" if resolution.already_processed else ""
    typer.echo(f"{approval.approval_request_id} is {status_in_words(approval.status)}{again}")


def _shown(approval: Any) -> dict[str, Any]:
    """The public shape with secrets masked."""
    shown: dict[str, Any] = approval.as_json()
    shown["arguments"] = redact(json.loads(approval.arguments), approval.policy.redact)
    return shown
