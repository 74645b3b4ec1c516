"""`countersign stop` and `countersign resume`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agent_runtime.core.principal import LOCAL_OPERATOR, Via
from agent_runtime.core.switches import Switch, in_words
from bot.cli.session import on_database, word_of

if TYPE_CHECKING:
    from agent_runtime.store.database import Database


class Named(StrEnum):
    """What the name is, where an agent and a tool share it."""

    agent = "agent"
    tool = "tool"


Name = Annotated[str, typer.Argument(metavar="[TOOL|AGENT]", help="An agent or a tool; without it, everything.")]
Kind = Annotated[str, typer.Option("--kind", help="agent or tool, where both share the name.")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why; it is recorded.")]


def stop(name: Name = "", kind: Kind = "", reason: Reason = "") -> None:
    """Stop everything, an agent or a tool, on every replica within a second; what waits keeps waiting, nothing fails.

    What runs ends its step. Approvals can still be decided; the calls wait.
    """
    from agent_runtime.operations.stop import stop as switch_off

    switch = on_database(
        lambda database: database.write(
            switch_off, name, kind=_kind(kind), by=LOCAL_OPERATOR, via=Via.cli, reason=reason
        )
    )
    typer.echo(f"{in_words(switch.scope)} is stopped; `countersign resume{f' {name}' if name else ''}` lets it go on")


def resume(name: Name = "", kind: Kind = "", reason: Reason = "") -> None:
    """Let go on what was stopped."""
    from agent_runtime.operations.stop import resume as switch_on
    from agent_runtime.store.switches import SWITCHES

    async def work(database: Database) -> tuple[Switch, list[Switch]]:
        switch = await database.write(switch_on, name, kind=_kind(kind), by=LOCAL_OPERATOR, via=Via.cli, reason=reason)
        return switch, await database.all(SWITCHES)

    switch, others = on_database(work)
    rest = ", ".join(in_words(other.scope) for other in others)
    typer.echo(f"{in_words(switch.scope)} goes on" + (f"; still stopped: {rest}" if rest else ""))


def _kind(word: str) -> Literal["", "agent", "tool"]:
    return word_of(Named, word, "--kind").value if word else ""
