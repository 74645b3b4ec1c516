"""A small language to say what a JSON value must look like, and to check one against it.

Problems read as Slack's do: `must be less than 76 characters [json-pointer:/blocks/0/text/text]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Problem:
    """What is wrong, and the JSON pointer to where."""

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.message} [json-pointer:{self.pointer}]"


class Spec(Protocol):
    """Anything that can check a value."""

    def check(self, value: Any, pointer: str, problems: list[Problem]) -> None:
        """Appends to `problems` what is wrong with `value`, which stands at `pointer`."""
        ...


@dataclass(frozen=True)
class String:
    """A string of `min` to `max` characters, or one of `one_of`."""

    max: int | None = None
    min: int = 1
    one_of: tuple[str, ...] = ()

    def check(self, value: Any, pointer: str, problems: list[Problem]) -> None:
        if not isinstance(value, str):
            problems.append(Problem(pointer, "must be a string"))
        elif self.one_of and value not in self.one_of:
            problems.append(Problem(pointer, f"must be one of: {', '.join(self.one_of)}"))
        elif len(value) < self.min:
            problems.append(Problem(pointer, f"must be more than {self.min - 1} characters"))
        elif self.max is not None and len(value) > self.max:
            problems.append(Problem(pointer, f"must be less than {self.max + 1} characters"))


@dataclass(frozen=True)
class Boolean:
    def check(self, value: Any, pointer: str, problems: list[Problem]) -> None:
        if not isinstance(value, bool):
            problems.append(Problem(pointer, "must be a boolean"))


@dataclass(frozen=True)
class Integer:
    min: int | None = None
    max: int | None = None

    def check(self, value: Any, pointer: str, problems: list[Problem]) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            problems.append(Problem(pointer, "must be an integer"))
        elif self.min is not None and value < self.min:
            problems.append(Problem(pointer, f"must be at least {self.min}"))
        elif self.max is not None and value > self.max:
            problems.append(Problem(pointer, f"must be at most {self.max}"))


@dataclass(frozen=True)
class Array:
    """A list of `min` to `max` items."""

    item: Spec
    max: int | None = None
    min: int = 1

    def check(self, value: Any, pointer: str, problems: list[Problem]) -> None:
        if not isinstance(value, list):
            problems.append(Problem(pointer, "must be an array"))
            return
        if len(value) < self.min:
            problems.append(Problem(pointer, f"no less than {self.min} items allowed"))
        if self.max is not None and len(value) > self.max:
            problems.append(Problem(pointer, f"no more than {self.max} items allowed"))
            return
        for index, item in enumerate(value):
            self.item.check(item, f"{pointer}/{index}", problems)


@dataclass(frozen=True)
class Object:
    """An object with these fields and no others; one of `one_of` must be there at least."""

    fields: Mapping[str, Spec]
    required: Sequence[str] = ()
    one_of: Sequence[str] = ()

    def check(self, value: Any, pointer: str, problems: list[Problem]) -> None:
        if not isinstance(value, dict):
            problems.append(Problem(pointer, "must be an object"))
            return
        for name in self.required:
            if value.get(name) is None:
                problems.append(Problem(pointer, f"missing required field: {name}"))
        if self.one_of and not any(value.get(name) is not None for name in self.one_of):
            choices = " or ".join(f"`{name}`" for name in self.one_of)
            problems.append(Problem(pointer, f"must define either {choices}"))
        for name, inner in value.items():
            if name not in self.fields:
                problems.append(Problem(pointer, f"invalid additional property: {name}"))
            elif inner is not None:
                self.fields[name].check(inner, f"{pointer}/{name}", problems)


@dataclass(frozen=True)
class Tagged:
    """An object whose `type` chooses what it must look like."""

    by_type: Mapping[str, Spec] = field(default_factory=dict)

    def check(self, value: Any, pointer: str, problems: list[Problem]) -> None:
        if not isinstance(value, dict):
            problems.append(Problem(pointer, "must be an object"))
            return
        kind = value.get("type")
        if kind is None:
            problems.append(Problem(pointer, "missing required field: type"))
        elif not isinstance(kind, str) or kind not in self.by_type:
            problems.append(Problem(f"{pointer}/type", f"unsupported type: {kind}"))
        else:
            self.by_type[kind].check(value, pointer, problems)


@dataclass(frozen=True)
class Anything:
    """Not looked at: Slack's own checks of it are not encoded here."""

    def check(self, value: Any, pointer: str, problems: list[Problem]) -> None:
        return None


TYPE = String()


def tagged(fields: Mapping[str, Spec], required: Sequence[str] = (), one_of: Sequence[str] = ()) -> Object:
    """An object with a `type` besides `fields`."""
    return Object({"type": TYPE, **fields}, required, one_of)
