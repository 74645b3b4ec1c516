"""Secrets kept off cards and out of logs: by a tool's own paths, by a field's name, by a value's look.

Only what is shown is masked. Digests, the store and the call itself use the true values.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from agent_runtime.core.canonical import JsonValue
from agent_runtime.core.secret_names import is_plural, is_secret_name
from agent_runtime.core.secret_shapes import REDACTED, redact_shown, redact_text
from agent_runtime.errors import InvalidDefinition

__all__ = ["REDACTED", "is_secret_name", "parse_path", "redact", "redact_shown", "redact_text"]

Path: TypeAlias = tuple[str, ...]
"""Keys and indexes from the outside in; `*` is any one of them, `**` any number of them."""

NAME = 64
"""Characters of a field's name that is remembered as it is shown: few names are in many values."""

_STEP = re.compile(r'(?:^|(?<=.)\.)(?P<key>[^.\[\]]+)|\[(?P<index>\*|\d+)\]|\["(?P<quoted>[^"]+)"\]')


def redact(arguments: Mapping[str, JsonValue] | JsonValue, paths: Sequence[str] = ()) -> JsonValue:
    """A deep copy of `arguments` fit to be shown, with `[redacted]` in place of secrets.

    `paths` are dotted: `card.number`, `*.password` (one level down, under any key), `items[*].secret`,
    `**.iban` (at any depth), `headers["x.y"]`. A name that meets a list goes on into each element. Besides,
    values under keys named like secrets are masked (their booleans and nulls are not), and so are strings
    that look like secrets. Raises InvalidDefinition for a path that cannot be read.
    """
    return _masked(dict(arguments) if isinstance(arguments, Mapping) else arguments, [*map(parse_path, paths)])


def parse_path(path: str) -> Path:
    """The steps of a dotted path. Raises InvalidDefinition naming the path that cannot be read."""
    steps: list[str] = []
    end = 0
    while end < len(path):
        step = _STEP.match(path, end)
        if step is None:
            break
        steps.append(step["key"] or step["index"] or step["quoted"])
        end = step.end()
    if not steps or end < len(path):
        raise InvalidDefinition(f"redact: cannot read {path!r}; write it like 'card.number' or 'items[*].pin'")
    return tuple(steps)


def _masked(value: JsonValue, paths: list[Path]) -> JsonValue:
    if paths:
        paths = [variant for path in paths for variant in _variants(path)]
        if () in paths:
            return REDACTED
    if isinstance(value, dict):
        return _masked_object(value, paths)
    if isinstance(value, list):
        return [_masked(item, _into_list(paths, index)) for index, item in enumerate(value)]
    return redact_shown(value) if isinstance(value, str) else value


def _variants(path: Path) -> list[Path]:
    """The path, and where it begins with `**` also what follows, as that may match nothing at all."""
    return [path, *_variants(path[1:])] if path[:1] == ("**",) and len(path) > 1 else [path]


def _masked_object(value: dict[str, JsonValue], paths: list[Path]) -> JsonValue:
    shown: dict[str, JsonValue] = {}
    for key, item in value.items():
        label = base = _shown_name(key) if len(key) <= NAME else redact_shown(key)
        while label in shown or (label != key and label in value):
            # Two masked keys must stay two entries.
            label = f"{base} #{len(shown) + 1}" if label == base else label + "'"
        shown[label] = _masked_entry(key, item, paths)
    return shown


_shown_name = functools.lru_cache(maxsize=1024)(redact_shown)
_short_is_secret = functools.lru_cache(maxsize=1024)(is_secret_name)


def _masked_entry(key: str, item: JsonValue, paths: list[Path]) -> JsonValue:
    # A key may hold the dots itself; masking too much is the safe side.
    if any(".".join(path) == key for path in paths):
        return REDACTED
    inner = _masked(item, _into(paths, key))
    secret = _short_is_secret(key) if len(key) <= NAME else is_secret_name(key)
    return _without_leaves(inner, counts_stay=is_plural(key)) if secret else inner


def _into(paths: list[Path], key: str) -> list[Path]:
    return [path if path[0] == "**" and len(path) > 1 else path[1:] for path in paths if path[0] in (key, "*", "**")]


def _into_list(paths: list[Path], index: int) -> list[Path]:
    named = [path for path in paths if path[0] not in ("*", "**") and not path[0].isdigit()]
    return _into(paths, str(index)) + named


def _without_leaves(value: JsonValue, *, counts_stay: bool) -> JsonValue:
    """The shape of `value` with its strings and numbers masked: keys stay, as they may be what matters."""
    if isinstance(value, dict):
        return {key: _without_leaves(item, counts_stay=counts_stay) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_leaves(item, counts_stay=counts_stay) for item in value]
    if value is None or isinstance(value, bool):
        return value
    return value if counts_stay and not isinstance(value, str) else REDACTED
