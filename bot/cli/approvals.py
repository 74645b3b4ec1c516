"""`countersign approvals …`: the command line's door to the single resume path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_runtime.core.approval import (
    ApprovalRequest,
    ApprovalStatus,
    Decision,
    Kind,
    Outcome,
    Verdict,
    Vote,
    status_in_words,
)
from agent_runtime.core.display import visible
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import InvalidRequest, NotFound
from bot.cli.printing import show_block, show_fields, show_json, show_table, warn
from bot.cli.session import Json, on_database, word_of

if TYPE_CHECKING:
    from agent_runtime.store.database import Database

app = typer.Typer(no_args_is_help=True, help="Questions put to people.")

ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL_REQUEST_ID")]


@app.command("list")
def list_all(
    status: Annotated[
        str, typer.Option(help="pending, approved, rejected, request_changes, expired, cancelled, or all.")
    ] = "pending",
    kind: Annotated[str, typer.Option(help="tool, pause, external or in_doubt.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: Json = False,
) -> None:
    """List approvals: pending ones oldest first, others newest first."""
    from agent_runtime.core.wording import subject
    from agent_runtime.store.approvals import VOTES, list_approvals
    from bot.cli.approval_text import expiry

    if status not in {*ApprovalStatus, "all"}:
        raise typer.BadParameter(f"{status!r} is none of all, {', '.join(ApprovalStatus)}", param_hint="--status")
    if kind and kind not in set(Kind):
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(Kind)}", param_hint="--kind")
    pending, some = status == "pending", status not in {"pending", "all"}
    q = list_approvals(pending=pending, status=some, kind=bool(kind), after=False)
    filters = {**({"b_status": status} if some else {}), **({"b_kind": kind} if kind else {})}

    async def read(database: Database) -> tuple[list[tuple[ApprovalRequest, list[Vote]]], int]:
        rows = await database.all(q, b_limit=limit + 1, **filters)
        return [(row, await database.all(VOTES, b_id=row.approval_request_id)) for row in rows], database.clock()

    found, now = on_database(read)
    shown = found[:limit]
    if as_json:
        show_json([_as_json(approval, votes) for approval, votes in shown])
    else:
        show_table(
            ["approval", "what", "status", "agent", "asked by", "expires"],
            [
                [
                    row.approval_request_id,
                    f"in doubt: {row.tool_name}" if row.kind == Kind.in_doubt else subject(row),
                    status_in_words(row.status),
                    row.agent,
                    row.requested_by,
                    expiry(row, now),
                ]
                for row, _ in shown
            ],
            empty="nothing waits for a decision" if pending else "no such approvals",
        )
    if len(found) > limit:
        warn(f"there are more than {limit}; ask for more with --limit (200 at most), or narrow with --status or --kind")


@app.command()
def show(approval_request_id: ApprovalId, as_json: Json = False) -> None:
    """Show one approval: exactly what would run, who may decide, who has."""
    from agent_runtime.core.wording import headline
    from bot.cli import approval_text

    approval, votes, now = on_database(lambda database: _read(database, approval_request_id))
    if as_json:
        show_json(_as_json(approval, votes))
        return
    typer.echo(f"{visible(headline(approval))}\n")
    show_fields(approval_text.fields(approval, votes, now))
    for title, lines in approval_text.blocks(approval, votes).items():
        show_block(title, lines)


@app.command()
def approve(
    approval_request_id: ApprovalId,
    comment: Annotated[str, typer.Option("--comment", "-m", help="What to tell the agent.")] = "",
    digest: Annotated[
        str | None, typer.Option(help="Only if it still holds what `show` showed under this digest.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Approve: the call runs, once, with exactly what `show` shows."""
    _decide(approval_request_id, Decision(Verdict.approved, comment, digest=digest), as_json)


@app.command()
def reject(
    approval_request_id: ApprovalId,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; the agent is told.")] = "",
    as_json: Json = False,
) -> None:
    """Reject: the call does not run."""
    _decide(approval_request_id, Decision(Verdict.rejected, reason), as_json)


@app.command("request-changes")
def request_changes(
    approval_request_id: ApprovalId,
    changes: Annotated[str, typer.Option("--changes", "-m", help="What should be different; the agent is told.")],
    as_json: Json = False,
) -> None:
    """Ask for changes: the call does not run, the agent may propose another."""
    if not changes.strip():
        raise typer.BadParameter("say what should be different", param_hint="--changes")
    _decide(approval_request_id, Decision(Verdict.request_changes, changes), as_json)


@app.command()
def settle(
    approval_request_id: ApprovalId,
    outcome: Annotated[
        str, typer.Argument(metavar="OUTCOME", help="happened, not_happened (asks again, then runs) or stop.")
    ],
    result: Annotated[str | None, typer.Option(help="What the call returned, as JSON (with happened).")] = None,
    evidence: Annotated[str, typer.Option("--evidence", "-m", help="How you know.")] = "",
    as_json: Json = False,
) -> None:
    """Settle a call in doubt, whose effect is unknown after a crash."""
    from agent_runtime.core.canonical import InvalidJson, parse_json
    from agent_runtime.operations.settle import settle as settle_doubt

    found = word_of(Outcome, outcome, "OUTCOME")
    if result is not None and found is not Outcome.happened:
        raise InvalidRequest(f"--result: only with happened; {outcome} has none")
    try:
        value = None if result is None else parse_json(result.encode())
    except InvalidJson as error:
        raise InvalidRequest(f"--result: {error}") from error
    resolution = on_database(
        lambda database: database.write(
            settle_doubt,
            approval_request_id,
            found,
            by=LOCAL_OPERATOR,
            via=Via.cli,
            result=value,
            evidence=evidence,
        )
    )
    _report(resolution, f"settled: {outcome.replace('_', ' ')}", as_json)


def _decide(approval_request_id: str, decision: Decision, as_json: bool) -> None:
    from agent_runtime.operations.resolve import resolve

    resolution = on_database(
        lambda database: database.write(resolve, approval_request_id, decision, by=LOCAL_OPERATOR, via=Via.cli)
    )
    _report(resolution, status_in_words(resolution.approval.status), as_json)


def _report(resolution: Any, what: str, as_json: bool) -> None:
    approval: ApprovalRequest = resolution.approval
    if as_json:
        read = on_database(lambda database: _read(database, approval.approval_request_id))
        show_json({**_as_json(read[0], read[1]), "already_processed": resolution.already_processed})
        return
    before = " already, by the same decision" if resolution.already_processed else ""
    typer.echo(f"{approval.approval_request_id} is {what}{before}")


async def _read(database: Database, approval_request_id: str) -> tuple[ApprovalRequest, list[Vote], int]:
    """The approval, the decisions on it, and the database's time. Raises NotFound."""
    from agent_runtime.store.approvals import GET_APPROVAL, VOTES

    approval = await database.one(GET_APPROVAL, b_id=approval_request_id)
    if approval is None:
        raise NotFound(f"no approval has the id {approval_request_id!r}; see `countersign approvals list --status all`")
    return approval, await database.all(VOTES, b_id=approval_request_id), database.clock()


def _as_json(approval: ApprovalRequest, votes: list[Vote]) -> dict[str, Any]:
    """The shape that the HTTP API has too, with secrets masked."""
    from agent_runtime.web.views import of_approval

    return of_approval(approval, votes).model_dump(mode="json")
