"""The stop switch: everything, an agent or a tool stops; what waits keeps waiting, and nothing fails for it."""

from __future__ import annotations

import json
from typing import Literal

from agent_runtime.core.principal import Actor, Via
from agent_runtime.core.switches import ALL, Switch, in_words, scope_of
from agent_runtime.core.text import check_words
from agent_runtime.errors import Conflict, NotFound, Stopped
from agent_runtime.store.agents import DEFINITIONS
from agent_runtime.store.events import record
from agent_runtime.store.switches import DELETE_SWITCH, GET_SWITCH, INSERT_SWITCH, STOPPING, SWITCHES
from agent_runtime.store.tx import Tx

STREAM = "switches"
"""The audit stream of everything that is stopped and resumed."""

TOPIC = "switches"

Kind = Literal["", "agent", "tool"]


def stop(tx: Tx, name: str, *, kind: Kind = "", by: Actor, via: Via, reason: str = "") -> Switch:
    """Stops `name`, an agent or a tool, or everything ("").

    From then on nothing of it is claimed and no call of it starts, on every replica; what runs ends its step. What is
    stopped already stays as it is. Raises NotFound for an unknown name, Conflict where it is an agent's and a tool's.
    """
    check_words(reason, "reason")
    scope = _scope(tx, name, kind)
    before = tx.one(GET_SWITCH, b_scope=scope)
    if before is not None:
        return before
    switch = Switch(scope, by.principal, via.value, reason, tx.now)
    tx.run(INSERT_SWITCH, scope=scope, principal=switch.principal, via=switch.via, reason=reason, stopped_at=tx.now)
    record(tx, "switch.stopped", stream=STREAM, by=by, via=via, data={"scope": scope, "reason": reason})
    tx.wake(TOPIC)
    return switch


def resume(tx: Tx, name: str, *, kind: Kind = "", by: Actor, via: Via, reason: str = "") -> Switch:
    """Lets go on what was stopped; returns what that was. Raises NotFound where it is not stopped."""
    check_words(reason, "reason")
    stopped = {switch.scope for switch in tx.all(SWITCHES)}
    wanted = [ALL] if not name else [scope_of(one, name) for one in ("agent", "tool") if kind in ("", one)]
    found = [scope for scope in wanted if scope in stopped]
    if len(found) > 1:
        raise Conflict(f"{name!r}: both an agent and a tool of that name are stopped; say which")
    switch = tx.run(DELETE_SWITCH, b_scope=found[0]) if found else None
    if switch is None:
        others = f"; stopped are: {', '.join(sorted(stopped))}" if stopped else ""
        raise NotFound(f"{name or 'everything at once'} is not stopped{others}")
    data = {"scope": switch.scope, "reason": reason, "stopped_seconds": (tx.now - switch.stopped_at) // 1_000_000}
    record(tx, "switch.resumed", stream=STREAM, by=by, via=via, data=data)
    tx.wake(TOPIC)
    tx.wake("queued")
    return switch


def require_running(tx: Tx, *, agent: str, tool: str) -> None:
    """Raises Stopped where a switch covers this agent's call of this tool; its `details` hold the scope."""
    switch = tx.one(STOPPING, b_agent=scope_of("agent", agent), b_tool=scope_of("tool", tool))
    if switch is not None:
        raise stopped_by(switch.scope, switch)


def stopped_by(scope: str, switch: Switch | None = None) -> Stopped:
    """The refusal of work that a switch covers."""
    who = f" by {switch.principal}" if switch is not None else ""
    why = f": {switch.reason}" if switch is not None and switch.reason else ""
    return Stopped(f"{in_words(scope)} was stopped{who}{why}; it goes on with `countersign resume`", scope=scope)


def _scope(tx: Tx, name: str, kind: Kind) -> str:
    """What `name` names; an agent or tool that was deployed at some time, unless `kind` says what it is."""
    if not name:
        return ALL
    if kind:
        return scope_of(kind, name)
    rows = tx.all(DEFINITIONS)
    agents = {row.agent for row in rows}
    tools = {tool["name"] for row in rows for tool in json.loads(row.definition).get("tools", ())}
    if name in agents and name in tools:
        raise Conflict(f"{name!r} is both an agent and a tool; say which")
    if name not in agents | tools:
        known = ", ".join(sorted(agents | tools)) or "none was deployed yet"
        raise NotFound(f"no agent or tool is called {name!r}; known are: {known}")
    return scope_of("agent" if name in agents else "tool", name)
