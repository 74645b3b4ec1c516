"""Untrusted text on a card: everything can be seen, nothing can be faked, nothing is cut silently."""

from __future__ import annotations

import re
import sys
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.core.display import direction_warning, homoglyph_warning, pretty, shorten, visible

NASTY = "\u202e\u2066\u200b\u200d\ufeff\u00ad\u00a0\u2003\u3000\t\r\n \u2028\u3164\u115f\u2800\u034f\ufe0f"
nasty_text = st.text(st.sampled_from(NASTY + 'ab\\u{}×0\u0301\u0489"|é𝐚') | st.characters(), max_size=30)


def unshow(shown: str) -> str:
    """The text that `visible` was given: no two texts may show alike."""

    def character(escape: re.Match[str]) -> str:
        return chr(int(escape[1], 16)) * int(escape[2] or 1)

    joined = re.sub(r"(\\u\{a ×\d+\})\n", r"\1", shown)
    return re.sub(r"\\u\{([0-9a-f]+)(?: ×(\d+))?\}", character, joined)


@given(nasty_text, st.booleans())
@settings(max_examples=500, deadline=None)
def test_what_is_shown_says_exactly_what_the_text_is(text: str, multiline: bool) -> None:
    assert unshow(visible(text, multiline=multiline)) == text


@given(nasty_text)
@settings(max_examples=500, deadline=None)
def test_nothing_invisible_is_left(text: str) -> None:
    for character in visible(text):
        assert character == " " or unicodedata.category(character) not in {
            "Cc", "Cf", "Zs", "Zl", "Zp", "Co", "Cs", "Cn",
        }  # fmt: skip
    assert "\n" not in visible(text)
    assert set(visible(text, multiline=True)) - {"\n"} <= set(visible(text)) | set("\\u{}0123456789abcdef×")


def test_every_character_of_unicode_is_shown_or_written_out() -> None:
    listed = [0x3164, 0x115F, 0x1160, 0x2800, 0x034F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]
    for code in listed:
        assert visible("a" + chr(code)) == f"a\\u{{{code:x}}}"
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        hidden = unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Co", "Cs") or (
            unicodedata.category(character) == "Zs" and character != " "
        )
        if hidden:
            assert visible(character) == f"\\u{{{code:x}}}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 29.99 €, naïve Ελλάδα 日本語", "plain text, 29.99 €, naïve Ελλάδα 日本語"),
        ("pay\u202e99.92", "pay\\u{202e}99.92"),
        ("a\u200b\u200bb" + "\u200b" * 900, "a\\u{200b}\\u{200b}b\\u{200b ×900}"),
        ("a\tb\r\n", "a\\u{9}b\\u{d}\\u{a}"),
        ("safe" + " " * 400 + "DROP", "safe\\u{20 ×400}DROP"),
        ("eight" + " " * 8 + "stay", "eight" + " " * 8 + "stay"),
        ("fake \\u{202e}", "fake \\u{5c}u{202e}"),
        ("C:\\users", "C:\\users"),
        ("\ud800", "\\u{d800}"),
        ("a" + "\u0301" * 50, "a" + "\u0301" * 4 + "\\u{301 ×46}"),
        ("\u0338approved", "\\u{338}approved"),
        (" \u0301", " \\u{301}"),
        ("👩\u200d🚀 ❤\ufe0f", "👩\\u{200d}🚀 ❤\\u{fe0f}"),
    ],
)
def test_known_texts(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_line_ends_stay_where_lines_are_wanted_but_not_in_piles() -> None:
    assert visible("a\nb\n\nc", multiline=True) == "a\nb\n\nc"
    assert visible("a" + "\n" * 300 + "b", multiline=True) == "a\\u{a ×300}\nb"
    assert visible("a\r\n\vb", multiline=True) == "a\\u{d}\n\\u{b}b"


@given(nasty_text, st.integers(0, 40))
@settings(max_examples=400, deadline=None)
def test_shortened_text_fits_and_is_a_beginning(text: str, limit: int) -> None:
    shown = visible(text)
    short, whole = shorten(shown, limit)
    assert len(short) <= limit
    assert whole == (short == shown)
    if not whole:
        kept, mark, rest = short.rpartition("…")
        hidden = len(shown) - len(kept)
        assert mark or limit == 0
        assert shown.startswith(kept)
        assert rest in ("", f" (+{hidden:,} character{'s' * (hidden != 1)})")
        # The beginning that is left says the beginning of the text: no escape was torn.
        assert text.startswith(unshow(kept))


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("abc", 3, "abc"),
        ("a" * 40, 30, "a" * 12 + "… (+28 characters)"),
        ("a" * 10 + "\\u{202e}" + "b" * 40, 31, "a" * 10 + "… (+48 characters)"),
        ("a" * 11 + '\\"' + "b" * 40, 30, "a" * 11 + "… (+42 characters)"),
        ("a" * 11 + "e\u0301" + "b" * 40, 30, "a" * 11 + "… (+42 characters)"),
        ("a" * 11 + "👍\U0001f3fd" + "b" * 40, 30, "a" * 11 + "… (+42 characters)"),
        ("a" * 40, 5, "…"),
        ("abc", 0, ""),
    ],
)
def test_where_text_is_cut(text: str, limit: int, short: str) -> None:
    assert shorten(text, limit) == (short, len(text) <= limit)


ARGUMENTS: dict[str, Any] = {
    "order_id": "ORD-8821",
    "amount": 29.99,
    "express": True,
    "note": None,
    "tags": ["a", "b"],
    "items": [{"sku": "A1", "sizes": [1, [2]]}, {"sku": "B2"}, "loose"],
    "options": {"dry run": False, "deep": {}},
    "sql": "DELETE FROM orders\nWHERE 1=1  ",
}


def test_arguments_read_as_a_tree_in_the_order_given() -> None:
    rendered = pretty(ARGUMENTS, limit_lines=40, limit_chars=2000)
    assert rendered.complete
    assert rendered.text.splitlines() == [
        'order_id: "ORD-8821"',
        "amount: 29.99",
        "express: true",
        "note: null",
        'tags: ["a", "b"]',
        "items:",
        '  - sku: "A1"',
        "    sizes:",
        "      - 1",
        "      - [2]",
        '  - sku: "B2"',
        '  - "loose"',
        "options:",
        '  "dry run": false',
        "  deep: {}",
        "sql: text of 2 lines",
        "  | DELETE FROM orders",
        "  | WHERE 1=1\\u{20}\\u{20}",
    ]


def test_a_call_without_arguments_says_so() -> None:
    assert pretty({}, limit_lines=2, limit_chars=80).text == "(no arguments)"


@pytest.mark.parametrize("value", [None, "text", 1.5, [], [1, {"a": 2}], ["\n"]])
def test_arguments_need_not_be_an_object(value: Any) -> None:
    assert pretty(value, limit_lines=5, limit_chars=80).complete


@pytest.mark.parametrize(
    "forged",
    [
        'x"\namount: 5.00',
        "x\n\namount: 5.00\n",
        "x\u2028amount: 5.00",
        'x"\ramount: 5.00',
        "x\x85amount: 5.00",
        'x\\"\namount: 5.00',
        "… cut here: 2 lines, 10 characters in all\namount: 5.00",
    ],
)
def test_a_string_cannot_pose_as_an_argument(forged: str) -> None:
    for arguments in (
        {"memo": forged, "amount": 900},
        {forged: 1, "amount": 900},
        {"m": [forged], "amount": 900},
    ):
        lines = pretty(arguments, limit_lines=40, limit_chars=2000).text.splitlines()
        assert lines[-1] == "amount: 900"
        assert not any(line.strip().startswith("amount: 5") for line in lines)


def test_padding_cannot_push_the_danger_out_of_sight() -> None:
    for padding in ("\n" * 500, " " * 5000, "\u200b" * 5000, "\u2800\n" * 3 + "\n" * 500, "\r" * 99):
        arguments = {"query": "SELECT 1" + padding + "; DROP TABLE orders"}
        rendered = pretty(arguments, limit_lines=12, limit_chars=700)
        assert rendered.complete
        assert "DROP TABLE orders" in rendered.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | nasty_text,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(nasty_text, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(nasty_text, json_values, max_size=6), st.integers(2, 14), st.integers(80, 700))
@settings(max_examples=300, deadline=None)
def test_arguments_keep_within_the_limits_or_say_so(arguments: Any, limit_lines: int, limit_chars: int) -> None:
    rendered = pretty(arguments, limit_lines=limit_lines, limit_chars=limit_chars)
    whole = pretty(arguments, limit_lines=10_000, limit_chars=1_000_000)
    assert whole.complete
    assert len(rendered.text) <= limit_chars
    assert rendered.text.count("\n") < limit_lines
    assert rendered.complete == (rendered.text == whole.text)
    assert rendered.complete or rendered.text.splitlines()[-1].startswith("… cut here: ")
    assert all(line == " " or line.isprintable() for line in rendered.text.split("\n"))


@given(
    st.dictionaries(st.text(min_size=1, max_size=4), nasty_text | st.integers(0, 9), max_size=3),
    st.dictionaries(st.text(min_size=1, max_size=4), nasty_text | st.integers(0, 9), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_different_arguments_look_different(one: Any, other: Any) -> None:
    def shown(arguments: Any) -> str:
        return pretty(arguments, limit_lines=1000, limit_chars=100_000).text

    same = repr(one) == repr(other)
    assert (shown(one) == shown(other)) == same


def test_limits_too_small_to_say_what_was_cut_are_refused() -> None:
    for limits in ({"limit_lines": 1, "limit_chars": 700}, {"limit_lines": 12, "limit_chars": 79}):
        with pytest.raises(ValueError, match="limit_lines"):
            pretty({"a": 1}, **limits)


def test_the_largest_arguments_are_drawn_quickly() -> None:
    started = time.process_time()
    for arguments in ({"a": "\u200ba" * 60_000}, {"a": [[]] * 60_000}, {"a": "\u0301" * 200_000}):
        pretty(arguments, limit_lines=12, limit_chars=700)
    shorten("\U0001f1e6" * 200_000, 700)
    assert time.process_time() - started < 4


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("pаypal.com", "U+0430"),
        ("prod-аdmin", "U+0430"),
        ("DRΟP", "U+039F"),
        ("аррӏе store", "U+0430"),
        ("𝐚dmin", "U+1D41A"),
        ("ｐrod", "U+FF50"),
    ],
)
def test_words_that_read_as_others_are_named(text: str, letter: str) -> None:
    assert letter in (homoglyph_warning(text) or "")


@pytest.mark.parametrize(
    "text", ["plain", "naïve Café", "Привет world", "10kΩ", "Δt = 5 μs", "хор поёт", "日本語 ok", "λx", ""]
)
def test_honest_words_are_left_alone(text: str) -> None:
    assert homoglyph_warning(text) is None


def test_text_from_right_to_left_is_announced() -> None:
    assert "right to left" in (direction_warning("5 שלום 10") or "")
    assert direction_warning("naïve") is None
