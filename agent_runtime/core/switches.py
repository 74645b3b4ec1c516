"""The stop switch: what it covers, and how that is named. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

ALL = "all"
_KINDS = ("agent", "tool")


@dataclass(frozen=True, slots=True)
class Switch:
    """Something that an operator has stopped: `all`, `agent:NAME` or `tool:NAME`. Times in epoch microseconds."""

    scope: str
    principal: str
    via: str
    reason: str
    stopped_at: int


def scope_of(kind: str, name: str) -> str:
    """The scope of an agent or a tool."""
    if kind not in _KINDS:
        raise ValueError(kind)
    return f"{kind}:{name}"


def in_words(scope: str) -> str:
    """A scope as the beginning of a sentence: "everything", "the agent x", "the tool y"."""
    kind, _, name = scope.partition(":")
    return f"the {kind} {name}" if name else "everything"


def covering(scopes: Collection[str], agent: str, tool: str | None = None) -> str:
    """The widest of `scopes` that covers an agent's work, or one of its tools; "" where none does."""
    wanted = [ALL, scope_of("agent", agent), *([scope_of("tool", tool)] if tool is not None else [])]
    return next((scope for scope in wanted if scope in scopes), "")
