"""Canonical JSON: one text a value, equal to RFC 8785's, and a parser that refuses what would not survive."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from typing import Any

import pytest
import rfc8785
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent_runtime.core.canonical import (
    InvalidJson,
    call_digest,
    canonical,
    digest,
    digest_of,
    parse_json,
    parsed,
    plain_bytes,
    text_digest,
)
from agent_runtime.errors import CountersignError

SAFE = 2**53 - 1


def survives(number: float) -> bool:
    return not SAFE < abs(number) < 1e21


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain_keys = st.text('abcXYZ_0-. "\\\n', max_size=6)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False).filter(survives)
    | st.decimals(-(10**6), 10**6, places=2).map(float)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_keys | texts, inner, max_size=4),
    max_leaves=12,
)


@given(values)
@settings(max_examples=400, deadline=None)
def test_canonical_is_what_rfc_8785_says(value: Any) -> None:
    assert canonical(value).encode() == rfc8785.dumps(value)


@given(values)
@settings(max_examples=200, deadline=None)
def test_canonical_text_reads_back_as_an_equal_value_with_the_same_text(value: Any) -> None:
    text = canonical(value)
    assert parse_json(text.encode()) == value
    assert canonical(parse_json(text.encode())) == text


@given(values)
@settings(max_examples=100, deadline=None)
def test_stored_text_reads_back(value: Any) -> None:
    assert parsed(canonical(value)) == value
    assert digest_of(canonical(value)) == digest(value)


objects = st.dictionaries(texts, values, max_size=3)


@given(texts, texts, objects, st.none() | objects)
@settings(max_examples=100, deadline=None)
def test_a_call_has_one_digest_from_values_and_from_text(
    tool: str, version: str, arguments: dict[str, Any], preview: dict[str, Any] | None
) -> None:
    shown = None if preview is None else canonical(preview)
    assert text_digest(tool, version, canonical(arguments), shown) == call_digest(tool, version, arguments, preview)


@given(st.dictionaries(st.text("abc_", max_size=4), st.none() | st.integers(-SAFE, SAFE) | texts, max_size=6))
@settings(max_examples=100, deadline=None)
def test_what_is_known_to_be_plain_has_canonical_bytes(value: dict[str, Any]) -> None:
    assert plain_bytes(value) == canonical(value).encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=400, deadline=None)
def test_a_float_has_its_text_or_is_refused(number: float) -> None:
    if survives(number):
        assert canonical(number).encode() == rfc8785.dumps(number)
        assert parse_json(canonical(number).encode()) == number
    else:
        with pytest.raises(InvalidJson, match="pass it as a string"):
            canonical(number)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, 1.0, -0.0]}, '{"a":[true,null,1,0],"b":1}'),
        ({"amount": 29.99}, '{"amount":29.99}'),
        ([1e-7, 1e-6, 123456789012345.25, 1e21, 5e-324], "[1e-7,0.000001,123456789012345.25,1e+21,5e-324]"),
        ({"\U0001f600": 1, "\ufb33": 2}, '{"\U0001f600":1,"\ufb33":2}'),
        ('\x7f\u2028\x00\b\t"\\/é', '"\x7f\u2028\\u0000\\b\\t\\"\\\\/é"'),
        (SAFE, "9007199254740991"),
    ],
)
def test_known_texts(value: Any, text: str) -> None:
    assert canonical(value) == text


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ({"items": [0, 1, 2, {"price": math.nan}]}, "arguments.items[3].price", "not a finite number"),
        ({"a": math.inf}, "arguments.a", "not a finite number"),
        ({"n": SAFE + 1}, "arguments.n", "pass it as a string"),
        ({"n": -SAFE - 1}, "arguments.n", "pass it as a string"),
        ({"n": 1e17}, "arguments.n", "pass it as a string"),
        ({"n": 10**5000}, "arguments.n", "pass it as a string"),
        ({"t": "\ud800"}, "arguments.t", "surrogate"),
        ({"\udfff": 1}, 'arguments["\\udfff"]', "surrogate"),
        ({"m": {1: "x"}}, "arguments.m", "keys are strings"),
        ({"a b": {"c": {1, 2}}}, 'arguments["a b"].c', "a set"),
        ({"when": (1, 2)}, "arguments.when", "a tuple"),
        ({"raw": b"x"}, "arguments.raw", "a bytes"),
    ],
)
def test_what_has_no_text_is_refused_by_path(value: Any, path: str, words: str) -> None:
    with pytest.raises(InvalidJson, match=words) as caught:
        canonical(value, name="arguments")
    assert caught.value.path == path
    assert str(caught.value).startswith(path)
    assert isinstance(caught.value, CountersignError)
    assert isinstance(caught.value, ValueError)


def test_too_deep_and_circular_values_are_refused_not_overflowed() -> None:
    assert canonical(nested(200)) == "[" * 200 + "]" * 200
    circular: list[Any] = []
    circular.append(circular)
    for value in (nested(201), circular):
        with pytest.raises(InvalidJson, match="deeper than 200"):
            canonical(value)


@pytest.mark.parametrize("bad", [math.nan, SAFE + 1, "\ud800", {1: 2}, 2**60 * 1.0, object()])
@given(value=values, data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_bad_value_is_refused_wherever_it_hides(bad: Any, value: Any, data: st.DataObject) -> None:
    hidden: Any = bad
    for wrap in data.draw(st.lists(st.sampled_from(["list", "dict"]), max_size=5)):
        hidden = [value, hidden] if wrap == "list" else {"k": value, "bad": hidden}
    with pytest.raises(InvalidJson):
        canonical(hidden)


def test_a_digest_is_the_hash_of_the_canonical_bytes() -> None:
    assert digest({"b": 1, "a": 2}) == "sha256:" + hashlib.sha256(b'{"a":2,"b":1}').hexdigest()
    assert digest({"amount": 10}) == digest({"amount": 10.0})


CALL: dict[str, Any] = {
    "tool": "process_refund",
    "version": "1",
    "arguments": {"order_id": "ORD-8821", "amount": 29.99},
    "preview": None,
}


@pytest.mark.parametrize(
    "change",
    [
        {"tool": "process_refunds"},
        {"version": "2"},
        {"arguments": {"order_id": "ORD-8821", "amount": 29.98}},
        {"arguments": {"order_id": "ORD-8821", "amount": "29.99"}},
        {"arguments": {"order_id": "ORD-8821"}},
        {"preview": {}},
        {"preview": {"title": "Refund"}},
    ],
)
def test_every_part_of_a_call_moves_its_digest(change: dict[str, Any]) -> None:
    assert call_digest(**CALL) == call_digest(**CALL)
    assert call_digest(**(CALL | change)) != call_digest(**CALL)


def test_parts_of_a_call_cannot_trade_places() -> None:
    assert call_digest("a", "b", {}, None) != call_digest("b", "a", {}, None)
    assert call_digest("a", "b", {"c": 1}, None) != call_digest("a", "b", {}, {"c": 1})


def test_an_error_in_a_call_names_its_argument() -> None:
    with pytest.raises(InvalidJson) as caught:
        call_digest("t", "1", {"items": [{"price": math.nan}]}, None)
    assert caught.value.path == "arguments.items[0].price"


@pytest.mark.parametrize(
    ("raw", "path", "words"),
    [
        (b'{"decision":"rejected","decision":"approved"}', "", 'key "decision" more than once'),
        (b'{"a":[{"x":1},{"x":1,"\\u0078":2}]}', "a[1]", "more than once"),
        (b'{"a":[1,NaN]}', "a[1]", "NaN"),
        (b"[Infinity]", "[0]", "Infinity"),
        (b"-Infinity", "", "Infinity"),
        (b'{"a":1e999}', "a", "too large"),
        (b"[-1e999]", "[0]", "too large"),
        (b"9007199254740992", "", "pass it as a string"),
        (b"[-9007199254740992]", "[0]", "pass it as a string"),
        (b"[1e16]", "[0]", "pass it as a string"),
        (b"[" + b"9" * 100_000 + b"]", "[0]", "pass it as a string"),
        (b'{"a":"\xff"}', "", "not UTF-8"),
        (b'"\xed\xa0\x80"', "", "not UTF-8"),
        (b'{"a":"\\ud800"}', "a", "surrogate"),
        (b'{"\\uDFFF":1}', '["\\udfff"]', "surrogate"),
        (b"", "", "cannot be read"),
        (b"{} {}", "", "cannot be read"),
        (b"\xef\xbb\xbf{}", "", "cannot be read"),
        (b"{'a':1}", "", "cannot be read"),
        (b'{"a":1,}', "", "cannot be read"),
        (b'"\n"', "", "cannot be read"),
        (b"[01]", "", "cannot be read"),
        (b"[" * 33 + b"]" * 33, "", "deeper than 32"),
        (b"[" * 200_000, "", "deeper than 32"),
        (b'{"a":' * 40_000, "", "deeper than 32"),
        (b" " * 262_145, "", "at most 262,144"),
    ],
)
def test_the_parser_refuses(raw: bytes, path: str, words: str) -> None:
    with pytest.raises(InvalidJson, match=words) as caught:
        parse_json(raw)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"[" * 32 + b"]" * 32, nested(32)),
        (json.dumps({"a": "[" * 100 + '\\"{' * 100 + "\\"}).encode(), {"a": "[" * 100 + '\\"{' * 100 + "\\"}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"[1.0, 1e3, 1e21, 6.02e23]", [1.0, 1000.0, 1e21, 6.02e23]),
        (b"[" + b"[]," * 1000 + b"{}]", [[]] * 1000 + [{}]),
        (b" null ", None),
    ],
)
def test_the_parser_accepts(raw: bytes, value: Any) -> None:
    assert parse_json(raw) == value


def test_limits_are_the_callers() -> None:
    assert parse_json(b"[[1]]", max_bytes=5, max_depth=2) == [[1]]
    with pytest.raises(InvalidJson, match="at most 4"):
        parse_json(b"[[1]]", max_bytes=4)
    with pytest.raises(InvalidJson, match="deeper than 1"):
        parse_json(b"[[1]]", max_depth=1)


@given(st.binary(max_size=40) | st.text('[]{}",:\\u0123dDeE.+-truefalsnl \n', max_size=40).map(str.encode))
@settings(max_examples=500, deadline=None)
def test_any_bytes_give_a_value_that_has_a_canonical_text_or_a_refusal(raw: bytes) -> None:
    try:
        value = parse_json(raw, max_depth=8)
    except InvalidJson:
        return
    assert parse_json(canonical(value).encode()) == value


@given(values, st.integers(0, 6))
@settings(max_examples=200, deadline=None)
def test_depth_counts_arrays_and_objects_outside_of_strings(value: Any, limit: int) -> None:
    def depth(part: Any) -> int:
        if isinstance(part, dict):
            return 1 + max(map(depth, part.values()), default=0)
        return 1 + max(map(depth, part), default=0) if isinstance(part, list) else 0

    raw = json.dumps(value).encode()
    if depth(value) <= limit:
        assert parse_json(raw, max_depth=limit) == value
    else:
        with pytest.raises(InvalidJson, match="deeper"):
            parse_json(raw, max_depth=limit)


@given(values)
@settings(max_examples=100, deadline=None)
def test_a_repeated_key_is_refused_at_any_place(value: Any) -> None:
    text = canonical({"a": value, "twice": 1})
    assume(value != {})
    with pytest.raises(InvalidJson, match="more than once"):
        parse_json((text[:-1] + ',"twice":1}').encode())


@pytest.mark.parametrize(
    "raw",
    [
        b'"' + b'\\"' * 131_000,
        b"[[]," * 60_000,
        b"[" + b"[]," * 80_000 + b"[]]",
        b"{" + b",".join(b'"%d":1' % n for n in range(26_000)) + b',"25999":1}',
        b'["' + b'\\u0041["' * 20_000,
    ],
)
def test_hostile_bytes_are_answered_quickly(raw: bytes) -> None:
    started = time.process_time()
    with contextlib.suppress(InvalidJson):
        parse_json(raw)
    assert time.process_time() - started < 2


def test_the_common_case_takes_the_quick_way() -> None:
    call = {
        "order_id": "ORD-8821",
        "amount": 29.99,
        "tags": ["a", "é"],
        "customer": {"id": "cust_001", "vip": False},
    }

    def seconds(function: Any) -> float:
        def once() -> float:
            started = time.process_time()
            for _ in range(400):
                function(call)
            return time.process_time() - started

        return min(once() for _ in range(5))

    assert seconds(canonical) < seconds(rfc8785.dumps)


def test_what_is_refused_in_a_text_that_is_broken_too() -> None:
    with pytest.raises(InvalidJson, match="cannot be read"):
        parse_json(b'{"a": NaN, "b": }')
