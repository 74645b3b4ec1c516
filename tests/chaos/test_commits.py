"""Every operation that a server commits is one around which servers are killed, or it is said here why not."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from agent_runtime.conformance.points import MESSAGE_POINTS, POINTS, REASONER_POINTS, SQLITE_POINTS

ROOT = Path(__file__).parents[2]

SERVED_BY = (
    "agent_runtime/audit/sealer.py",
    "agent_runtime/delivery",
    "agent_runtime/engine",
    "agent_runtime/replica.py",
    "agent_runtime/web",
    "bot/listeners",
    "bot/slack",
    "bot/surface.py",
    "bot/transport",
)
"""Where the code of a server hands operations to the database."""

_NOBODY = "the people of these runs start, decide and settle; others do this, in one transaction as those"
_NO_WEBHOOKS = "no URL is called in these runs; tests/delivery tries its failures in one process"

NOT_KILLED_AROUND = {
    "_record": f"a refusal that is told: {_NOBODY}",
    "ask": _NOBODY,
    "begin_session": _NOBODY,
    "cancel": _NOBODY,
    "claim_approval": _NOBODY,
    "end_session": _NOBODY,
    "extend_once": _NOBODY,
    "report_result": _NOBODY,
    "stop": _NOBODY,
    "hold_back": f"it follows a stop: {_NOBODY}",
    "complete": "an execution's last reply is committed with its end; alone only where another form was asked for",
    "record_note": "the agent of these runs has no output model, so that nothing is asked for again",
    "fan_out": _NO_WEBHOOKS,
    "give_up": "the workspace of these runs takes every message in the end",
    "record_undeliverable": "the workspace of these runs takes every message",
    "repaint": "somebody clicks on what is over; the people of these runs decide over HTTP",
    "put_back": "these servers post as fast as they can, so that no message waits for its lane's turn",
    "hold_on": "what is on its way for ten seconds; no message takes as long in these runs",
    "let_go": "what is on its way at a graceful end; what a crash leaves there is the same, and is tried at each post",
}


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _operations(module: ast.Module) -> set[str]:
    """The functions of a module that take a transaction first."""
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.args.args]
    return {function.name for function in functions if function.args.args[0].arg == "tx"}


def _known(module: ast.Module) -> set[str]:
    """The names under which a module knows operations: its own, and those that it imports."""
    known = _operations(module)
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            path = ROOT / f"{node.module.replace('.', '/')}.py"
            if path.exists():
                theirs = _operations(_parsed(path))
                known |= {one.asname or one.name for one in node.names if one.name in theirs}
    return known


def _handed_over(module: ast.Module) -> Iterator[str]:
    """Operations that are no part of another, but are given to whoever runs them in a transaction."""
    called = {node.func for node in ast.walk(module) if isinstance(node, ast.Call)}
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node not in called:
            yield node.id


def _committed() -> set[str]:
    found: set[str] = set()
    for name in SERVED_BY:
        path = ROOT / name
        assert path.exists(), f"{name} has moved"
        for file in [path] if path.is_file() else path.rglob("*.py"):
            module = _parsed(file)
            found |= _known(module) & set(_handed_over(module))
    return found


def test_servers_are_killed_around_every_commit_that_they_make() -> None:
    killed = {
        point.partition("@")[2]
        for point in (*POINTS, *SQLITE_POINTS, *REASONER_POINTS, *MESSAGE_POINTS)
        if point.startswith("commit.")
    }
    assert _committed() - killed == set(NOT_KILLED_AROUND)
    assert killed <= _committed()
