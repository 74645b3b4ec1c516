"""The operator's policy file: gates on any tool by pattern, and channels' agents. Pure: text in, values out."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from agent_runtime.core.display import shorten, visible
from agent_runtime.core.duration import microseconds
from agent_runtime.core.policy import Approval, Checkpoint, Defaults, evaluate
from agent_runtime.core.redaction import redact
from agent_runtime.errors import InvalidDefinition, InvalidRequest, InvalidSetting

DEFAULT_TIMEOUT_SECONDS = 30
"""How long people have where a checkpoint names neither `timeout_seconds` nor `expires_in_hours`."""

LONGEST_TITLE = 140

_OWN = ("checkpoint_id", "action_pattern", "description_template", "timeout_seconds", "mode")
_OF_APPROVAL = tuple(one.name for one in fields(Approval))
_OF_CHANNEL = ("id", "agent")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_GLOB = re.compile(r"(?:[\w.:-]|\*|\?|\[!?[\w-]+\])+")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """What `checkpoints.toml` says. `channel_agents` maps a channel's id to the agent that is meant there."""

    checkpoints: tuple[Checkpoint, ...] = ()
    channel_agents: Mapping[str, str] = field(default_factory=dict)


def parse(text: str, *, source: str = "checkpoints.toml") -> PolicyFile:
    """The file's gates in their order. Raises InvalidSetting naming the table, the field and the remedy."""
    import tomllib  # where there is no such file, nothing reads one

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting(f"{source}: {error}") from error
    _known(document, ("checkpoint", "channel"), source, "table")
    checkpoints = [
        _checkpoint(table, _place(source, "checkpoint", number, table.get("checkpoint_id")))
        for number, table in enumerate(_tables(document, "checkpoint", source), start=1)
    ]
    _used_once((point.checkpoint_id for point in checkpoints), "checkpoint_id", source)
    channels = [
        _channel(table, _place(source, "channel", number, table.get("id")))
        for number, table in enumerate(_tables(document, "channel", source), start=1)
    ]
    _used_once((channel for channel, _ in channels), "channel: id", source)
    return PolicyFile(tuple(checkpoints), dict(channels))


def matcher(pattern: str) -> Callable[[str], bool]:
    """A regex anchored at the start, or a glob of the whole name; what can be read as both gates what either matches.

    So `delete_*` and `send_*_request` mean what they look like. Raises InvalidRequest for what is neither: a gate that
    never matches would leave its tool open.
    """
    globs = _GLOB.fullmatch(pattern) is not None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        if not globs:
            raise InvalidRequest(f"action_pattern: {pattern!r} is neither a regex ({error}) nor a glob") from error
        return lambda name: fnmatch.fnmatchcase(name, pattern)
    return lambda name: compiled.match(name) is not None or (globs and fnmatch.fnmatchcase(name, pattern))


def describe(tool_name: str, arguments: Mapping[str, Any], defaults: Defaults, *, redacted: Sequence[str] = ()) -> str:
    """The title that the first matching checkpoint's template gives, with masked and readable arguments; "" for none.

    `redacted` are the paths that the call's policy masks, beside what looks like a secret.
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
    masked = redact(dict(arguments), redacted)
    shown: Mapping[str, Any] = masked if isinstance(masked, dict) else {}

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return visible(str(shown[name])) if name in shown else match[0]

    return shorten(_PLACEHOLDER.sub(value, template), LONGEST_TITLE)[0]


def shadowed(
    tool_name: str, arguments: Mapping[str, Any], tool_gate: Approval | None, defaults: Defaults
) -> Mapping[str, Any]:
    """What people would have been asked about this call if every gate in shadow mode were enforced; {} for nothing.

    `rules` are those gates, `title` and `policy` the question and its terms (JSON values), fit for the audit trail.
    """
    rules = [
        f"checkpoint:{point.checkpoint_id}"
        for point in defaults.checkpoints
        if point.mode == "shadow" and point.matches(tool_name)
    ]
    if not rules:
        return {}
    enforced = replace(defaults, checkpoints=tuple(replace(point, mode="enforce") for point in defaults.checkpoints))
    policy = evaluate(tool_name, tool_gate, enforced)
    assert policy is not None
    title = describe(tool_name, arguments, enforced, redacted=policy.redact)
    return {"rules": rules, "title": title or tool_name, "policy": policy.as_json()}


def _tables(document: Mapping[str, Any], name: str, source: str) -> Sequence[Mapping[str, Any]]:
    tables = document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidSetting(f"{source}: write [[{name}]] with two brackets; there may be several")
    return tables


def _place(source: str, table: str, number: int, name: object) -> str:
    """Which entry of the file is meant, by its number and its own name."""
    return f"{source}: {table} {number}" + (f" ({shorten(visible(name), 80)[0]})" if isinstance(name, str) else "")


def _known(given: Iterable[str], known: Sequence[str], place: str, what: str) -> None:
    for name in given:
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, 1)
            remedy = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise InvalidSetting(f"{place}: unknown {what} {name!r}; {remedy}")


def _used_once(names: Iterable[str], what: str, source: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidSetting(f"{source}: {what} {name!r} is used twice")
        seen.add(name)


def _checkpoint(table: Mapping[str, Any], place: str) -> Checkpoint:
    _known(table, (*_OWN, *_OF_APPROVAL), place, "field")
    checkpoint_id, pattern = (_text(table, name, place) for name in ("checkpoint_id", "action_pattern"))
    try:
        matches = matcher(pattern)
    except InvalidRequest as error:
        raise InvalidSetting(f"{place}: {error.message}") from error
    mode = table.get("mode", "enforce")
    if mode not in {"enforce", "shadow"}:
        raise InvalidSetting(f'{place}: mode: {mode!r} must be "enforce" or "shadow"')
    template = table.get("description_template", "")
    if not isinstance(template, str):
        raise InvalidSetting(f"{place}: description_template: {template!r} must be text")
    return Checkpoint(checkpoint_id, matches, _approval(table, place), template, mode)


def _approval(table: Mapping[str, Any], place: str) -> Approval:
    """The gate's own fields; what the file leaves out is stricter than for a tool: it stops, and it is short."""
    given = {name: value for name, value in table.items() if name in _OF_APPROVAL}
    timeout = table.get("timeout_seconds")
    if timeout is not None and "expires_in_hours" in given:
        raise InvalidSetting(f"{place}: timeout_seconds and expires_in_hours are the same thing; write one of them")
    if "expires_in_hours" not in given:
        given["expires_in_hours"] = _seconds(timeout, place) / 3600
    given.setdefault("on_reject", "stop")
    given.setdefault("on_expiry", "stop")
    try:
        return Approval(**given)
    except (InvalidDefinition, TypeError) as error:
        raise InvalidSetting(f"{place}: {error}") from error


def _seconds(timeout: Any, place: str) -> float:
    seconds = DEFAULT_TIMEOUT_SECONDS if timeout is None else timeout
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise InvalidSetting(f"{place}: timeout_seconds: {seconds!r} must be a number of seconds")
    try:
        microseconds(seconds, "timeout_seconds")
    except InvalidRequest as error:
        raise InvalidSetting(f"{place}: {error.message}") from error
    return seconds


def _channel(table: Mapping[str, Any], place: str) -> tuple[str, str]:
    _known(table, _OF_CHANNEL, place, "field")
    return _text(table, "id", place), _text(table, "agent", place)


def _text(table: Mapping[str, Any], name: str, place: str) -> str:
    value = table.get(name)
    if value is None:
        raise InvalidSetting(f"{place}: {name}: is missing; write some text")
    if not isinstance(value, str) or not value.strip():
        raise InvalidSetting(f"{place}: {name}: {value!r} must be some text")
    return value
