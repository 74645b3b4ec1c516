"""Any Python value as JSON that is the same in every process: for digests and for showing, never read back."""

from __future__ import annotations

import hashlib
import inspect
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from agent_runtime.core.canonical import MAX_SAFE_INTEGER, JsonValue, canonical


def plain(value: Any) -> JsonValue:
    """`value` as JSON. A set is sorted, what JSON numbers cannot hold is text, and an object without a JSON form counts
    by its type's name.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and not isinstance(value, Enum):
        return storable(value)
    if isinstance(value, int) and not isinstance(value, Enum):
        return int(value) if abs(value) <= MAX_SAFE_INTEGER else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) and abs(value) <= MAX_SAFE_INTEGER else repr(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, BaseModel):
        return plain({name: getattr(value, name) for name in type(value).model_fields} | (value.model_extra or {}))
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {storable(str(plain(key))): plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted((plain(item) for item in value), key=canonical)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<bytes {hashlib.sha256(value).hexdigest()}>"
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return _foreign(value)


def plain_arguments(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the names of the parameters, however they were passed."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):  # the call itself will say what is wrong with it
        return {"args": plain(args), "kwargs": plain(kwargs)}
    bound.apply_defaults()
    return {name: plain(value) for name, value in bound.arguments.items()}


def storable(text: str) -> str:
    """`text` as every database can hold it: what is no Unicode text is written out, NUL is replaced."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def error_words(error: BaseException) -> dict[str, str]:
    """An exception as {type, message}, fit to be stored and shown."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - somebody else's __str__ must not hide what went wrong
        message = "(it cannot be shown)"
    return {"type": type(error).__name__, "message": storable(message)[:MESSAGE_AT_MOST]}


MESSAGE_AT_MOST = 10_000
"""Characters of an exception's message that are kept."""


def _foreign(value: Any) -> JsonValue:
    """What Pydantic knows (dates, UUIDs, decimals, paths, …) as it writes it, anything else by its type."""
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value))
    if isinstance(value, Iterator):  # looking at it would use it up
        return f"<{type(value).__name__}>"
    try:
        return plain(to_jsonable_python(value))
    except (ValueError, TypeError, RecursionError):
        return f"<{type(value).__name__}>"
