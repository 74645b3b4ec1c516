"""Whether the database can be used, holds this version's schema, and keeps what was committed; and what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent_runtime.core.switches import Switch
from agent_runtime.errors import CountersignError
from agent_runtime.store.access import TOKENS
from agent_runtime.store.agents import DEFINITIONS
from agent_runtime.store.database import Database
from agent_runtime.store.inspection import Inspection, inspect_database
from agent_runtime.store.revision import HEAD, is_served
from agent_runtime.store.switches import SWITCHES
from bot.checks.finding import Finding, bad, good, note

ABOUT = "database"


@dataclass(frozen=True, slots=True)
class Held:
    """What other checks need of it: deployed agents with their models, valid tokens, what is stopped.

    Where the database could not be read, it is not `known` what it holds.
    """

    agents: Mapping[str, str] = field(default_factory=dict)
    tokens: frozenset[str] = frozenset()
    stopped: tuple[Switch, ...] = ()
    known: bool = True


async def check_database(database_url: str) -> tuple[list[Finding], Held]:
    """Changes nothing: a database that is not there yet is left so."""
    try:
        found = await inspect_database(database_url)
        findings = _findings(found)
        if found.revision is not None and is_served(found.revision):
            return findings, await _held(database_url)
        return findings, Held(known=found.revision is None and not found.others)
    except CountersignError as error:
        return [bad(ABOUT, error.message, "correct COUNTERSIGN_DATABASE_URL, or what it names")], Held(known=False)


def _findings(found: Inspection) -> list[Finding]:
    if found.others:
        holds = ", ".join(found.others[:3])
        return [
            bad(
                ABOUT,
                f"{found.where} holds tables of something else ({holds} …)",
                "name a database of Countersign's own",
            )
        ]
    if not found.exists:
        return [good(ABOUT, f"{found.where} does not exist yet; `countersign serve` creates it")]
    if found.revision is None:
        return [good(ABOUT, f"{found.where} is empty; `countersign serve` creates the tables"), *_durability(found)]
    if found.revision < HEAD:
        return [
            bad(ABOUT, f"{found.where} is at revision {found.revision}, not {HEAD}", "run `countersign db upgrade`")
        ]
    if found.revision > HEAD and not is_served(found.revision):
        return [
            bad(
                ABOUT,
                f"{found.where} is at revision {found.revision}, newer than this version's {HEAD}",
                "run the version of Countersign that upgraded it",
            )
        ]
    settings = ", ".join(f"{name} {value}" for name, value in found.durability.items())
    return [good(ABOUT, f"{found.where}: revision {HEAD}, writable, {settings}"), *_durability(found)]


def _durability(found: Inspection) -> list[Finding]:
    if found.durable:
        return []
    off = ", ".join(f"{name} is {value}" for name, value in found.durability.items())
    return [
        note(
            ABOUT,
            f"a decision that was confirmed can be lost in a crash: {off}",
            "switch synchronous_commit and fsync on, at least for this database",
        )
    ]


async def _held(database_url: str) -> Held:
    async with await Database.open(database_url) as database:
        definitions = await database.all(DEFINITIONS)
        tokens = await database.all(TOKENS)
        stopped = await database.all(SWITCHES)
        now = database.clock()
    agents: dict[str, str] = {}
    for row in definitions:  # newest first within an agent
        agents.setdefault(row.agent, str(json.loads(row.definition).get("model") or ""))
    valid = {row.name for row in tokens if row.revoked_at is None and (row.expires_at or now + 1) > now}
    return Held(agents, frozenset(valid), tuple(stopped))
