"""`countersign executions …`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_runtime.core.execution import Execution, ExecutionStatus
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import InvalidRequest, NotFound
from bot.cli.printing import show_block, show_fields, show_json, show_table, warn
from bot.cli.session import Json, on_database

if TYPE_CHECKING:
    from agent_runtime.store.database import Database

app = typer.Typer(no_args_is_help=True, help="Runs of agents.")

ExecutionId = Annotated[str, typer.Argument(metavar="EXECUTION_ID")]

_EVENTS_AT_ONCE = 1_000


@app.command("list")
def list_all(
    status: Annotated[str, typer.Option(help="queued, running, waiting, succeeded, failed or cancelled.")] = "",
    agent: Annotated[str, typer.Option(help="Only this agent's.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: Json = False,
) -> None:
    """List executions, newest first."""
    from agent_runtime.store.executions import list_executions
    from agent_runtime.web.views import execution_answer
    from bot.ui.text import clock

    if status and status not in set(ExecutionStatus):
        raise typer.BadParameter(f"{status!r} is none of {', '.join(ExecutionStatus)}", param_hint="--status")
    q = list_executions(status=bool(status), agent=bool(agent), after=False)
    filters = {name: value for name, value in (("b_status", status), ("b_agent", agent)) if value}

    async def read(database: Database) -> list[tuple[Execution, Any]]:
        rows = await database.all(q, b_limit=limit + 1, **filters)
        return [(row, await execution_answer(database, row)) for row in rows]

    found = on_database(read)
    shown = found[:limit]
    if as_json:
        show_json([answer.model_dump(mode="json") for _, answer in shown])
    else:
        show_table(
            ["execution", "agent", "status", "waits for", "asked by", "created"],
            [
                [
                    row.execution_id,
                    row.agent,
                    f"{row.status} (held: {answer.held_for})" if answer.held_for else row.status,
                    ", ".join(approval.tool_name or approval.kind for approval in answer.pending_approvals),
                    row.requested_by,
                    clock(row.created_at),
                ]
                for row, answer in shown
            ],
            empty="no executions" if not filters else "no such executions",
        )
    if len(found) > limit:
        warn(
            f"there are more than {limit}; ask for more with --limit (200 at most), or narrow with --status or --agent"
        )


@app.command()
def show(execution_id: ExecutionId, as_json: Json = False) -> None:
    """Show one execution: what it was given, what it has done, what it waits for, how it ended."""
    from agent_runtime.store.executions import GET_EXECUTION
    from bot.cli import execution_text

    async def read(database: Database) -> tuple[Execution, Any]:
        row = await database.one(GET_EXECUTION, b_id=execution_id)
        if row is None:
            raise _unknown(execution_id)
        return row, await _answer(database, row)

    row, answer = on_database(read)
    if as_json:
        show_json(answer.model_dump(mode="json"))
        return
    show_fields(execution_text.fields(row, answer.held_for))
    for title, lines in execution_text.blocks(answer).items():
        show_block(title, lines)
    typer.echo("")
    show_table(["#", "step", "name", "status", "took"], execution_text.steps(answer), empty="no steps yet")
    typer.echo("")
    show_table(
        ["approval", "what", "status", "decided by"], execution_text.approvals(answer), empty="nothing was asked"
    )


@app.command()
def start(
    agent: Annotated[str, typer.Argument(metavar="AGENT[.REASONER]", help="A deployed agent's name.")],
    prompt: Annotated[str | None, typer.Argument(help="What it is to do.")] = None,
    given: Annotated[
        str | None, typer.Option("--input", metavar="JSON", help="A JSON object instead of the prompt.")
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key again starts nothing new.")] = None,
    as_json: Json = False,
) -> None:
    """Queue an execution; a server that has the agent runs it."""
    from agent_runtime.operations.start import Start
    from agent_runtime.operations.start import start as start_execution
    from agent_runtime.store.serving import no_worker

    name, _, reasoner = agent.partition(".")
    asked = {"prompt": prompt, "input": None if given is None else _parsed(given)}
    wanted = Start(
        name,
        {key: value for key, value in asked.items() if value is not None},
        reasoner=reasoner or None,
        idempotency_key=idempotency_key,
    )

    async def begin(database: Database) -> dict[str, Any]:
        started = await database.write(start_execution, wanted, by=LOCAL_OPERATOR, via=Via.cli)
        answer = await _answer(database, started.execution)
        unserved = not started.execution.terminal and await no_worker(database, name)
        return {**answer.model_dump(mode="json"), "no_worker": unserved, "created": started.created}

    begun = on_database(begin)
    if as_json:
        show_json(begun)
    else:
        typer.echo(begun["execution_id"])
    if begun["no_worker"]:
        warn(f"queued, but no server that is up runs {name}; start `countersign serve --agents …` with it")


@app.command()
def cancel(
    execution_id: ExecutionId,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why.")] = "",
    as_json: Json = False,
) -> None:
    """Cancel an execution and withdraw what it asks; a call that runs now is let finish."""
    from agent_runtime.operations.cancel import cancel as cancel_execution

    async def end(database: Database) -> Any:
        ended = await database.write(cancel_execution, execution_id, by=LOCAL_OPERATOR, via=Via.cli, reason=reason)
        return await _answer(database, ended)

    ended = on_database(end)
    if as_json:
        show_json(ended.model_dump(mode="json"))
    else:
        typer.echo(f"{execution_id} is cancelled")


@app.command()
def events(execution_id: ExecutionId, as_json: Json = False) -> None:
    """Show the audit trail of an execution: what happened, when, by whom, through which door."""
    from agent_runtime.store.events import EVENTS_OF_STREAM
    from agent_runtime.web.views import event_answers

    async def read(database: Database) -> list[Any]:
        found: list[Any] = []
        while True:
            after = found[-1].seq if found else 0
            page = await database.all(EVENTS_OF_STREAM, b_stream=execution_id, b_after=after, b_limit=_EVENTS_AT_ONCE)
            found += await event_answers(database, page)
            if len(page) < _EVENTS_AT_ONCE:
                return found

    found = on_database(read)
    if not found:
        raise _unknown(execution_id)
    if as_json:
        show_json([event.model_dump(mode="json") for event in found])
    else:
        show_table(
            ["#", "at", "event", "by", "via", "why"],
            [[str(event.seq), event.at, event.type, event.by, event.via, event.why] for event in found],
            empty="no events",
        )


async def _answer(database: Database, execution: Execution) -> Any:
    """The shape that the HTTP API has too, with secrets masked."""
    from agent_runtime.web.views import execution_with_steps

    return await execution_with_steps(database, execution)


def _parsed(text: str) -> Any:
    from agent_runtime.core.canonical import InvalidJson, parse_json

    try:
        return parse_json(text.encode())
    except InvalidJson as error:
        raise InvalidRequest(f"--input: {error}") from error


def _unknown(execution_id: str) -> NotFound:
    return NotFound(f"no execution has the id {execution_id!r}; see `countersign executions list`")
