"""`countersign audit …`: the trail as a file that shows tampering, and the proof that nobody changed it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from agent_runtime.core.duration import SECOND
from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.errors import InvalidRequest, NotFound
from bot.cli.printing import show_json, warn
from bot.cli.session import Json, on_database, runtime_settings

if TYPE_CHECKING:
    from agent_runtime.audit.findings import Report
    from agent_runtime.store.database import Database

app = typer.Typer(no_args_is_help=True, help="The audit trail: export it, verify it, take payloads out of it.")

_HEAD_AND_END = 2
"""Lines of an export that are no events."""

SAY_EVERY = 2.0
"""Seconds between lines about how far it is."""


@app.command("export")
def export(
    since: Annotated[str, typer.Option(help="From this time on: 2026-01-31 or 2026-01-31T12:00:00Z.")] = "",
    until: Annotated[str, typer.Option(help="Before this time.")] = "",
    execution: Annotated[str, typer.Option(metavar="EXECUTION_ID", help="Only this execution's events.")] = "",
    approval: Annotated[str, typer.Option(metavar="APPROVAL_REQUEST_ID", help="Only this approval's events.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="A new file; without it, standard output.")
    ] = None,
) -> None:
    """Write the trail as JSON Lines: a signed head, an event a line, a signed end. That it was done is recorded."""
    from agent_runtime.audit.export import Selection
    from agent_runtime.audit.export import export as lines_of

    if execution and approval:
        raise typer.BadParameter("give one of --execution and --approval", param_hint="--approval")
    if (execution or approval) and (since or until):
        raise typer.BadParameter("it narrows the whole trail, not one execution's or approval's", param_hint="--since")
    selection = Selection(_time(since, "--since"), _time(until, "--until"), execution or None, approval or None)
    key = _key()
    with _written_to(output) as file:

        async def write(database: Database) -> int:
            if not key:
                warn(
                    "COUNTERSIGN_AUDIT_KEY is not set: the export is not signed; make a key with `openssl rand -hex 32`"
                )
            lines = lines_of(
                database, selection, key=key, by=LOCAL_OPERATOR, via=Via.cli, progress=_progress("exported")
            )
            return await _write(lines, file)

        events = on_database(write) - _HEAD_AND_END
        if not events and (execution or approval):
            raise NotFound(f"nothing is recorded of {execution or approval!r}")
    if output is not None:
        typer.echo(f"{output}: {events:,} events")


@app.command("verify")
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True, dir_okay=False, help="An export, or a file of signed heads; without it the database."
        ),
    ] = None,
    against: Annotated[
        str, typer.Option(metavar="DATABASE", help="Also hold this database (a URL, or `configured`) to the file.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Find what was changed, removed, moved, cut off or put in, and name the event; exit status 1 where any was."""
    from agent_runtime.audit.verify_database import verify_database
    from agent_runtime.audit.verify_file import verify_file

    if file is None and against not in {"", "configured"}:
        raise typer.BadParameter("name the file that the database is held to as well", param_hint="--against")
    key, reports, heads = _key(), {}, []
    if file is not None:
        with file.open("rb") as lines:
            checked = verify_file(lines, key=key)
        heads = checked.heads
        reports[str(file)] = checked.report
    if file is None or against:
        url = "" if against in {"", "configured"} else against

        async def walk(database: Database) -> Report:
            return await verify_database(database, heads, key=key, progress=_progress("checked"))

        reports["the database"] = on_database(walk, database_url=url)
    if as_json:
        intact = all(report.intact for report in reports.values())
        show_json({"intact": intact, "checked": [{"what": what, **one.as_json()} for what, one in reports.items()]})
    else:
        for what, report in reports.items():
            _show(what, report)
    if not all(report.intact for report in reports.values()):
        raise typer.Exit(1)


@app.command("redact")
def redact(
    execution_id: Annotated[str, typer.Argument(metavar="EXECUTION_ID")],
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; it is recorded.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take the payloads of an ended execution out for good: its input, arguments, results and words.

    Who did what when stays, and so does the proof that nothing else was changed.
    """
    from agent_runtime.operations.redact import ended
    from agent_runtime.operations.redact import redact as redact_execution

    if not yes:
        on_database(lambda database: database.write(ended, execution_id))
        typer.confirm(f"Nobody will be able to read what {execution_id} was about. Go on?", abort=True)
    count = on_database(
        lambda database: database.write(redact_execution, execution_id, reason=reason, by=LOCAL_OPERATOR, via=Via.cli)
    )
    typer.echo(f"{execution_id}: the payloads of {count} events are gone, and those of its steps and approvals")


def _key() -> str:
    key = runtime_settings().audit_key
    return key.get_secret_value() if key is not None else ""


def _time(text: str, option: str) -> int | None:
    """An ISO 8601 time (UTC where it names no zone) in epoch microseconds."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(f"{option}: {text!r} is no time; write 2026-01-31 or 2026-01-31T12:00:00Z") from error
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return round(at.timestamp() * SECOND)


@contextmanager
def _written_to(output: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a new file that only its owner may read; an old one is never overwritten. One that was not
    written to its end is taken away.
    """
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        file = output.open("xb")
    except FileExistsError as error:
        raise InvalidRequest(f"--output: {output} is there already; name a new file") from error
    except OSError as error:
        raise InvalidRequest(f"--output: {output} cannot be written: {error.strerror}") from error
    try:
        with file:
            output.chmod(0o600)
            yield file
    except BaseException:
        output.unlink()
        raise


async def _write(lines: AsyncIterator[bytes], file: BinaryIO) -> int:
    """Returns how many lines these were."""
    count = 0
    async for line in lines:
        file.write(line)
        count += 1
    await asyncio.to_thread(file.flush)
    return count


def _progress(verb: str) -> Callable[[int, int], None]:
    """Says on standard error how far a long one is."""
    said = time.monotonic()

    def say(done: int, of: int) -> None:
        nonlocal said
        if time.monotonic() - said >= SAY_EVERY:
            said = time.monotonic()
            typer.echo(f"{verb} {done:,} of {of:,} events", err=True)

    return say


def _show(what: str, report: Report) -> None:
    for finding in report.findings:
        typer.echo(f"FOUND {finding}")
    if report.more:
        typer.echo(f"FOUND {report.more:,} more")
    for note in report.notes:
        warn(note)
    verdict = "nothing was changed" if report.intact else f"{len(report.findings) + report.more:,} findings"
    typer.echo(f"{what}: {report.events:,} events up to {report.head.sequence:,} ({report.head.hash.hex()}): {verdict}")
