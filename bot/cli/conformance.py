"""`countersign conformance`: what is promised, tried on a scratch database or against a running deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from agent_runtime.conformance.parts import KILLS, PARTS
from agent_runtime.errors import InvalidRequest
from bot.cli.printing import show_json, show_table
from bot.cli.session import Json

if TYPE_CHECKING:
    from agent_runtime.conformance.figures import Finding


def conformance(
    database_url: Annotated[
        str, typer.Option(help="A scratch database, empty, that may be thrown away: servers are killed on it.")
    ] = "",
    url: Annotated[str, typer.Option(help="A running deployment instead: races, replays, tampering, over HTTP.")] = "",
    token: Annotated[
        str, typer.Option(envvar="COUNTERSIGN_API_TOKEN", help="For --url: with the scopes start, read and decide.")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="The short form, under a minute.")] = False,
    kills: Annotated[int | None, typer.Option(min=0, help="Kills at each failpoint; 200, with --quick 1.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help=f"A part alone (may be repeated) of {', '.join(PARTS)}. Servers are killed at failpoints in "
            f"{', '.join(KILLS)}.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Try the promises and print them with figures; exit status 1 where one does not hold.

    The database is the one given, never that of the settings. The long form takes hours; it says on standard error how
    far it has come.
    """
    if bool(database_url) == bool(url):
        raise InvalidRequest("give one of --database-url (a scratch database) and --url (a running deployment)")
    if wrong := [part for part in only or () if part not in PARTS]:
        raise InvalidRequest(f"--only: {wrong[0]!r} is none of {', '.join(PARTS)}")
    asyncio.run(_run(database_url, url, token, quick=quick, kills=kills, only=only or PARTS, as_json=as_json))


async def _run(
    database_url: str, url: str, token: str, *, quick: bool, kills: int | None, only: Sequence[str], as_json: bool
) -> None:
    import dataclasses

    import structlog

    from agent_runtime.conformance.remote import remote
    from agent_runtime.conformance.run import Conformance
    from agent_runtime.conformance.sizes import FULL, QUICK
    from bot.conformance import slack_door
    from bot.conformance_messages import local_workspace
    from bot.floods import slack_floods

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))

    def tell(finding: Finding) -> None:
        if not as_json:
            typer.echo(f"{'held' if finding.held else 'BROKEN':6} {finding.promise}: {finding.title}", err=True)

    def say(line: str) -> None:
        typer.echo(line, err=True)  # which flushes

    findings: Sequence[Finding]
    seconds: dict[str, float] = {}
    if url:
        async with remote(url, token) as deployment:
            findings = await deployment.run(10 if quick else 100)
    else:
        sizes = QUICK if quick else FULL
        if kills is not None:
            sizes = dataclasses.replace(sizes, kills=kills)
        trying = Conformance(database_url, sizes, tell, {"slack": slack_door}, slack_floods, say, local_workspace, only)
        findings, seconds = await trying.run(), trying.seconds
    held = all(finding.held for finding in findings)
    if as_json:
        taken = {part: round(took, 1) for part, took in seconds.items()}
        show_json({"ok": held, "seconds": taken, "findings": [finding.as_json() for finding in findings]})
    else:
        _show(findings, seconds)
    if not held:
        raise typer.Exit(1)


CRITICAL = 50
"""Servers that are killed, databases that are raced for: nothing of it is news here."""


def _show(findings: Sequence[Finding], seconds: Mapping[str, float]) -> None:
    from agent_runtime.conformance.figures import SHOWN, in_words

    show_table(
        ["promise", "held", "what was tried", "figures", "s"],
        [
            [one.promise, "yes" if one.held else "NO", one.title, in_words(one.figures), f"{one.seconds:.1f}"]
            for one in findings
        ],
        empty="nothing was tried",
    )
    if seconds:
        each = ", ".join(f"{part} {took:.1f}" for part, took in seconds.items())
        typer.echo(f"{sum(seconds.values()):.1f} s: {each}")
    for finding in findings:
        for violation in finding.violations[:SHOWN]:
            typer.echo(f"{finding.promise}: {violation}")
