"""Arguments as JSON that is the same in every process."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import PurePosixPath
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from agent_runtime.core.canonical import canonical
from agent_runtime.plain import error_words, plain, plain_arguments, storable


class Colour(Enum):
    red = (1, 2)


class Size(StrEnum):
    small = "s"


class Claim(BaseModel):
    model_config = ConfigDict(extra="allow")
    claim_id: str
    flags: set[str]


@dataclass
class Point:
    x: int
    y: Any


class Opaque:
    pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        ("a\0b\udcff", "a\N{REPLACEMENT CHARACTER}b\\udcff"),
        (2**53 - 1, 2**53 - 1),
        (2**60, str(2**60)),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1e300, "1e+300"),
        ({"b": 1, 2: "x", None: 3}, {"b": 1, "2": "x", "None": 3}),
        ((1, [2]), [1, [2]]),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        (frozenset({2, 10}), [10, 2]),
        (Colour.red, [1, 2]),
        (Size.small, "s"),
        (Claim(claim_id="1", flags={"y", "x"}, more=[1]), {"claim_id": "1", "flags": ["x", "y"], "more": [1]}),
        (Point(1, {3}), {"x": 1, "y": [3]}),
        (datetime.date(2026, 5, 1), "2026-05-01"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (PurePosixPath("/a/b"), "/a/b"),
        (Opaque(), "<Opaque>"),
        (Opaque, "<type>"),
        (SecretStr("x"), "**********"),
    ],
)
def test_values(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    canonical(plain(value))


def test_bytes_count_by_their_content() -> None:
    assert plain(b"\xff") == plain(bytearray(b"\xff"))
    assert plain(b"\xff") != plain(b"\xfe")


def test_an_iterator_is_not_used_up() -> None:
    given = iter([1, 2])
    assert plain(given) == "<list_iterator>"
    assert list(given) == [1, 2]


def test_sets_are_the_same_in_every_process() -> None:
    script = "from agent_runtime.plain import plain; print(plain({str(n) for n in range(50)}))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(printed) == 1


def test_arguments_count_by_their_names_however_they_were_passed() -> None:
    def function(a: int, b: int = 2, *more: int, **named: int) -> None: ...

    assert plain_arguments(function, (1,), {}) == {"a": 1, "b": 2, "more": [], "named": {}}
    assert plain_arguments(function, (), {"b": 2, "a": 1}) == plain_arguments(function, (1, 2), {})


def test_arguments_that_the_function_does_not_take_are_kept() -> None:
    assert plain_arguments(lambda: None, (1,), {"x": 2}) == {"args": [1], "kwargs": {"x": 2}}


def test_an_exception_in_words_that_can_be_stored() -> None:
    assert error_words(OSError("/tmp/\udcff\0")) == {
        "type": "OSError",
        "message": "/tmp/\\udcff\N{REPLACEMENT CHARACTER}",
    }

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert error_words(Mute()) == {"type": "Mute", "message": "(it cannot be shown)"}
    assert len(error_words(ValueError("x" * 100_000))["message"]) == 10_000


def test_storable_text_is_left_as_it_is() -> None:
    assert storable("größe 😀") == "größe 😀"
