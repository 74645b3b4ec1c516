"""One text for one JSON value: canonical JSON (RFC 8785), digests, and a strict parser for untrusted bytes.

A digest says that what was shown is what runs, so one value must have exactly one text, and that text must
read back as the same value. Hence numbers that would not survive are refused here rather than rounded.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeAlias

import orjson
import rfc8785

from agent_runtime.errors import InvalidRequest

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader holds exactly (RFC 7493, section 2.2)."""


class InvalidJson(InvalidRequest, ValueError):
    """The value cannot be used as JSON. `path` says where ("" is the whole of it), `reason` why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or 'the JSON'} {reason}", path=path, reason=reason)
        self.path = path
        self.reason = reason


_MAX_DEPTH = 200
_FIRST_FLOAT_WITH_EXPONENT = 1e21
_UNSAFE_INTEGER = "is an integer beyond ±(2^53−1), which JSON readers round: pass it as a string"
_LONE_SURROGATE = "holds a lone surrogate, which is no Unicode text: remove it"
_TOO_DEEP = "is nested deeper than {} levels"


def call_digest(tool: str, version: str, arguments: Mapping[str, JsonValue], preview: JsonValue | None) -> str:
    """The digest of one proposed call: what a card shows, and what the executor checks before it runs.

    `arguments` are those after validation, with defaults filled in. Raises `InvalidJson` naming the path,
    such as `arguments.items[3].price`.
    """
    return digest({"tool": tool, "version": version, "arguments": dict(arguments), "preview": preview})


def text_digest(tool: str, version: str, arguments: str, preview: str | None) -> str:
    """`call_digest` of arguments and preview that are canonical text already. Of other text it is another digest."""
    return digest_of(f'{{"arguments":{arguments},"preview":{preview or "null"},{_identity(tool, version)}}}')


@functools.lru_cache(maxsize=256)
def _identity(tool: str, version: str) -> str:
    """A tool as members of canonical JSON; there are few, and many calls of each."""
    return f'"tool":{canonical(tool)},"version":{canonical(version)}'


def digest(value: JsonValue) -> str:
    """`sha256:` and the hexadecimal SHA-256 of the canonical bytes of `value`. Raises `InvalidJson`."""
    return digest_of(canonical(value))


def digest_of(text: str) -> str:
    """`digest` of a value whose canonical text is at hand."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def canonical(value: JsonValue, *, name: str = "") -> str:
    """The canonical JSON text of `value` (RFC 8785), which `parse_json` reads back as an equal value.

    `name` begins the paths in errors (`arguments` gives `arguments.items[3].price`). Raises `InvalidJson` for
    NaN and infinities, integers beyond ±(2^53−1) (also written as floats), lone surrogates, keys that are not
    strings, types that are not JSON's, and nesting deeper than 200 levels.
    """
    if _is_plain(value, _MAX_DEPTH):
        return plain_bytes(value).decode()
    _require_valid(value, name, _MAX_DEPTH)
    return rfc8785.dumps(value).decode()


def plain_bytes(value: JsonValue) -> bytes:
    """The canonical bytes of a value that is known to be plain: ASCII keys, safe integers, and no floats (or such as
    `_is_plain` lets pass).
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def parsed(text: str) -> Any:
    """The value of canonical text that was stored. For text from elsewhere there is `parse_json`."""
    return orjson.loads(text)


def _is_plain(value: Any, levels: int) -> bool:
    """Whether the quick encoder certainly writes the bytes that RFC 8785 asks for.

    It does where keys are ASCII (code point order is then UTF-16 order) and each float has a fraction and
    needs no exponent in either notation.
    """
    items: Iterable[Any] = (value,)
    if type(value) is dict and levels > 0:
        for key in value:
            if type(key) is not str or not key.isascii():
                return False
        items = value.values()
    elif type(value) is list and levels > 0:
        items = value
    for item in items:
        kind = type(item)
        if kind is str:
            if not (item.isascii() or _is_text(item)):
                return False
        elif kind is int:
            if not -MAX_SAFE_INTEGER <= item <= MAX_SAFE_INTEGER:
                return False
        elif kind is float:
            if not 1e-4 <= abs(item) < 1e15 or item.is_integer():
                return False
        elif kind is dict or kind is list:
            if levels == 0 or not _is_plain(item, levels - 1):
                return False
        elif kind is not bool and item is not None:
            return False
    return True


def _require_valid(value: Any, path: str, levels: int) -> None:
    """Raise `InvalidJson` for the first part of `value` that has no canonical text."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not _is_text(value):
            raise InvalidJson(path, _LONE_SURROGATE)
    elif isinstance(value, int | float):
        reason = _number_refusal(value)
        if reason is not None:
            raise InvalidJson(path, reason)
    elif isinstance(value, dict | list):
        if levels == 0:
            raise InvalidJson(path, _TOO_DEEP.format(_MAX_DEPTH))
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict):
                _require_key(step, path)
            _require_valid(item, _join(path, step), levels - 1)
    else:
        raise InvalidJson(path, f"is a {type(value).__name__}, which JSON does not have")


def _require_key(key: Any, path: str) -> None:
    if not isinstance(key, str):
        raise InvalidJson(path, f"has the key {key!r}, a {type(key).__name__}: JSON keys are strings")
    if not _is_text(key):
        raise InvalidJson(_join(path, key), "has a key that " + _LONE_SURROGATE)


def _number_refusal(number: float) -> str | None:
    if isinstance(number, int):
        return None if -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER else _UNSAFE_INTEGER
    if number - number != 0:
        return "is not a finite number, which JSON does not have"
    # RFC 8785 writes these as bare digits, and the reader would take them for an integer.
    if MAX_SAFE_INTEGER < abs(number) < _FIRST_FLOAT_WITH_EXPONENT:
        return _UNSAFE_INTEGER
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _join(path: str, step: str | int) -> str:
    if isinstance(step, int):
        return f"{path}[{step}]"
    if re.fullmatch(r"[\w-]+", step):
        return f"{path}.{step}" if path else step
    return f"{path}[{json.dumps(step)}]"


def parse_json(raw: bytes, *, max_bytes: int = 262_144, max_depth: int = 32) -> JsonValue:
    """Parse JSON from somewhere untrusted, strictly (RFC 8259 and the limits of RFC 7493).

    Size (bytes) and depth (nested arrays and objects) are checked before anything is built. Raises
    `InvalidJson` for what exceeds them, invalid UTF-8, duplicate keys, NaN, infinities and numbers too large
    for a double, integers beyond ±(2^53−1), lone surrogates, and anything that is no JSON.
    """
    if len(raw) > max_bytes:
        raise InvalidJson("", f"has {len(raw):,} bytes; at most {max_bytes:,} are accepted")
    if _is_deeper(raw, max_depth):
        raise InvalidJson("", _TOO_DEEP.format(max_depth))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidJson("", f"is not UTF-8 (byte {error.start})") from None
    try:
        value: JsonValue = _AT_ONCE.decode(text)
    except json.JSONDecodeError as error:
        raise _unreadable(error) from None
    except _RefusedAtOnce:
        _require_accepted(_in_place(text), "")
        raise
    if _SURROGATE_ESCAPE.search(raw):
        _require_accepted(value, "")
    return value


def _in_place(text: str) -> Any:
    """The value with what is refused in it."""
    try:
        return _IN_PLACE.decode(text)
    except json.JSONDecodeError as error:
        raise _unreadable(error) from None


def _unreadable(error: json.JSONDecodeError) -> InvalidJson:
    return InvalidJson("", f"cannot be read: {error.msg} (line {error.lineno}, column {error.colno})")


_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_STRUCTURE = re.compile(rb'[\[{]|[\]}]|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


def _is_deeper(raw: bytes, max_depth: int) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= max_depth:
        return False
    depth = 0
    for token in _STRUCTURE.findall(raw):
        if token in (b"[", b"{"):
            depth += 1
            if depth > max_depth:
                return True
        elif token in (b"]", b"}"):
            depth -= 1
    return False


class _RefusedAtOnce(Exception):
    """Something in the text is refused; what and where is found by reading it again."""


class _Refused:
    """Stands in a parsed value where something was refused, until its path is known."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _refuse_at_once(reason: str) -> NoReturn:
    raise _RefusedAtOnce


def _decoder(refuse: Callable[[str], Any]) -> json.JSONDecoder:
    """A strict decoder, in whose values stands what `refuse` returns. Making one takes as long as a short parse."""

    def an_object(pairs: list[tuple[str, Any]]) -> Any:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        return refuse(f"has the key {json.dumps(twice)} more than once")

    def an_integer(text: str) -> Any:
        # Seventeen characters hold a sign and every safe integer; longer texts are not even converted.
        number = int(text) if len(text) <= 17 else None
        if number is None or _number_refusal(number) is not None:
            return refuse(_UNSAFE_INTEGER)
        return number

    def a_float(text: str) -> Any:
        number = float(text)
        if number - number != 0:
            return refuse("is a number too large for a double: pass it as a string")
        reason = _number_refusal(number)
        return number if reason is None else refuse(reason)

    def a_constant(text: str) -> Any:
        return refuse(f"is {text}, which JSON does not have")

    return json.JSONDecoder(
        object_pairs_hook=an_object, parse_int=an_integer, parse_float=a_float, parse_constant=a_constant
    )


_AT_ONCE = _decoder(_refuse_at_once)
_IN_PLACE = _decoder(_Refused)


def _require_accepted(value: Any, path: str) -> None:
    if isinstance(value, _Refused):
        raise InvalidJson(path, value.reason)
    if isinstance(value, dict):
        for key, item in value.items():
            _require_key(key, path)
            _require_accepted(item, _join(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _require_accepted(item, f"{path}[{index}]")
    elif isinstance(value, str) and not _is_text(value):
        raise InvalidJson(path, _LONE_SURROGATE)
