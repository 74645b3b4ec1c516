"""The operator's policy file: gates on any tool by pattern, and channels' agents. Pure: text in, values out."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from agent_runtime.core.display import shorten, visible
from agent_runtime.core.policy import Approval, Checkpoint, Defaults
from agent_runtime.core.redaction import redact
from agent_runtime.errors import InvalidDefinition, InvalidSetting

DEFAULT_TIMEOUT_SECONDS = 30
"""How long people have where a checkpoint names neither `timeout_seconds` nor `expires_in_hours`."""

LONGEST_TITLE = 140

_OWN = frozenset({"checkpoint_id", "action_pattern", "description_template", "timeout_seconds", "mode"})
_OF_APPROVAL = frozenset(one.name for one in fields(Approval))
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What `checkpoints.toml` says. `channel_agents` maps a channel's id to the agent that is meant there."""

    checkpoints: tuple[Checkpoint, ...] = ()
    channel_agents: Mapping[str, str] = field(default_factory=dict)


def parse(text: str, *, source: str = "checkpoints.toml") -> PolicyFile:
    """The file's gates in their order. Raises InvalidSetting naming the table, the field and the remedy."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting(f"{source}: {error}") from error
    unknown = set(document) - {"checkpoint", "channel"}
    if unknown:
        raise InvalidSetting(f"{source}: unknown table {sorted(unknown)[0]!r}; write [[checkpoint]] or [[channel]]")
    checkpoints = [
        _checkpoint(table, f"{source}: checkpoint {number}")
        for number, table in enumerate(_tables(document, "checkpoint", source), start=1)
    ]
    ids = [point.checkpoint_id for point in checkpoints]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice is not None:
        raise InvalidSetting(f"{source}: checkpoint_id {twice!r} is used twice")
    channels = dict(
        _channel(table, f"{source}: channel {number}")
        for number, table in enumerate(_tables(document, "channel", source), start=1)
    )
    return PolicyFile(tuple(checkpoints), channels)


def matcher(pattern: str) -> Callable[[str], bool]:
    """A regex anchored at the start, in which a trailing `*` after a word character also matches as a glob.

    What is no valid regex (such as `*_prod`) is a glob alone.
    """
    globs = bool(re.search(r"\w\*$", pattern))
    try:
        compiled = re.compile(pattern)
    except re.error:
        return lambda name: fnmatch.fnmatchcase(name, pattern)
    return lambda name: compiled.match(name) is not None or (globs and fnmatch.fnmatchcase(name, pattern))


def describe(tool_name: str, arguments: Mapping[str, Any], defaults: Defaults) -> str:
    """The title that the first matching checkpoint's template gives, with masked and readable arguments; "" for
    none.
    """
    template = next(
        (
            point.description_template
            for point in defaults.checkpoints
            if point.mode == "enforce" and point.description_template and point.matches(tool_name)
        ),
        "",
    )
    if not template:
        return ""
    masked = redact(dict(arguments), ())
    shown: Mapping[str, Any] = masked if isinstance(masked, dict) else {}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return visible(str(shown[name])) if name in shown else match[0]

    return shorten(_PLACEHOLDER.sub(value, template), LONGEST_TITLE)[0]


def shadowed(tool_name: str, defaults: Defaults) -> tuple[str, ...]:
    """The rules in shadow mode that would have asked about a call of `tool_name`."""
    return tuple(
        f"checkpoint:{point.checkpoint_id}"
        for point in defaults.checkpoints
        if point.mode == "shadow" and point.matches(tool_name)
    )


def _tables(document: Mapping[str, Any], name: str, source: str) -> Sequence[Mapping[str, Any]]:
    tables = document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidSetting(f"{source}: write [[{name}]] with two brackets; there may be several")
    return tables


def _checkpoint(table: Mapping[str, Any], place: str) -> Checkpoint:
    unknown = set(table) - _OWN - _OF_APPROVAL
    if unknown:
        raise InvalidSetting(f"{place}: unknown field {sorted(unknown)[0]!r}")
    checkpoint_id, pattern = (_text(table, name, place) for name in ("checkpoint_id", "action_pattern"))
    mode = table.get("mode", "enforce")
    if mode not in {"enforce", "shadow"}:
        raise InvalidSetting(f'{place}: mode: {mode!r} must be "enforce" or "shadow"')
    template = table.get("description_template", "")
    if not isinstance(template, str):
        raise InvalidSetting(f"{place}: description_template: must be text")
    return Checkpoint(checkpoint_id, matcher(pattern), _approval(table, place), template, mode)


def _approval(table: Mapping[str, Any], place: str) -> Approval:
    """The gate's own fields; what the file leaves out is stricter than for a tool: it stops, and it is short."""
    given = {name: value for name, value in table.items() if name in _OF_APPROVAL}
    timeout = table.get("timeout_seconds")
    if timeout is not None and "expires_in_hours" in given:
        raise InvalidSetting(f"{place}: timeout_seconds and expires_in_hours are the same thing; write one of them")
    if "expires_in_hours" not in given:
        seconds = DEFAULT_TIMEOUT_SECONDS if timeout is None else timeout
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
            raise InvalidSetting(f"{place}: timeout_seconds: {seconds!r} must be a number of seconds more than zero")
        given["expires_in_hours"] = seconds / 3600
    given.setdefault("on_reject", "stop")
    given.setdefault("on_expiry", "stop")
    try:
        return Approval(**given)
    except (InvalidDefinition, TypeError) as error:
        raise InvalidSetting(f"{place}: {error}") from error


def _channel(table: Mapping[str, Any], place: str) -> tuple[str, str]:
    unknown = set(table) - {"id", "agent"}
    if unknown:
        raise InvalidSetting(f"{place}: unknown field {sorted(unknown)[0]!r}")
    return _text(table, "id", place), _text(table, "agent", place)


def _text(table: Mapping[str, Any], name: str, place: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidSetting(f"{place}: {name}: is missing; write some text")
    return value
