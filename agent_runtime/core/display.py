"""Untrusted text made safe to read: what a reviewer can't see is written out, and what was cut is said.

One notation throughout: `\\u{202e}` is a character that can't be seen, `\\u{20 ×40}` a run of forty. A text
that holds a literal `\\u{` shows as `\\u{5c}u{`, so that nobody can write the notation himself. Escaping
markup (mrkdwn, HTML) is left to the surface.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from agent_runtime.core.canonical import JsonValue, canonical
from agent_runtime.core.lookalikes import direction_warning, homoglyph_warning

__all__ = ["Rendered", "direction_warning", "homoglyph_warning", "pretty", "shorten", "visible"]

_LINE_END = "\n"
_KEPT_IN_LINE = {" ": 8}
_KEPT_IN_LINES = {" ": 8, _LINE_END: 2}
"""Longer runs push what follows off the screen, and are written as a count."""

_MARKS_ON_ONE_LETTER = 4
"""As many as living scripts stack; more would be drawn over the neighbouring lines."""

# Not shown by fonts, though their Unicode category says they are letters, marks or symbols: the
# Default_Ignorable_Code_Point property (DerivedCoreProperties.txt) less what `str.isprintable` refuses, and
# blank symbols.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc\U0001d159\U000e0100-\U000e01ef]"
)
_ESCAPE = re.compile(r"\\u\{[0-9a-f]+(?: ×\d+)?\}")
_BARE_KEY = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_TRAILING = re.compile(" +$")
_JOINER = "\u200d"
_LONGEST_CLUSTER = 16
_INLINE_WIDTH = 72


def visible(text: str, *, multiline: bool = False) -> str:
    """`text` with every character that a reader can't see written as `\\u{…}`.

    Those are control, format, separator, private, surrogate and unassigned characters, every space but
    U+0020, fillers and variation selectors, and combining marks that have no letter or pile up on one. Runs
    of three or more of one such character, of over eight spaces and of over two line ends are written once,
    with their number. Line ends stay where `multiline`; tabs are always written out. No two texts show
    alike.
    """
    return _written_out(text.replace("\\u{", "\\u{5c}u{"), _KEPT_IN_LINES if multiline else _KEPT_IN_LINE)


def _written_out(text: str, kept: Mapping[str, int]) -> str:
    """Write out unreadable characters and long runs; `kept` is the longest run of each that stays."""
    if text.isascii() and text.isprintable() and " " * (kept[" "] + 1) not in text:
        return text
    shown: list[str] = []
    marks: int | None = None
    for character, run in groupby(text):
        count = sum(1 for _ in run)
        if character in kept:
            shown.append(character * count if count <= kept[character] else _escape(character, count))
            if character == _LINE_END and count > kept[character]:
                shown.append(_LINE_END)
            marks = None
        elif not character.isprintable() or _BLANK.match(character):
            shown.append(_escape(character, count))
            marks = None
        elif unicodedata.category(character) in ("Mn", "Me"):
            over = count if marks is None else max(0, marks + count - _MARKS_ON_ONE_LETTER)
            shown.append(character * (count - over))
            marks = (marks or 0) + count
            if over:
                shown.append(_escape(character, over))
                marks = None
        else:
            shown.append(character * count)
            marks = 0
    return "".join(shown)


def _escape(character: str, count: int) -> str:
    code = f"{ord(character):x}"
    return f"\\u{{{code} ×{count}}}" if count > 2 else f"\\u{{{code}}}" * count


def shorten(text: str, limit: int) -> tuple[str, bool]:
    """`text` within `limit` characters (at least 1), and whether it is whole.

    What is cut ends with `… (+123 characters)`. `text` is what `visible` or `pretty` wrote: a cut never
    falls inside an escape, nor between a letter and its marks or the halves of an emoji.
    """
    if len(text) <= limit:
        return text, True
    room = limit - len(_hidden(len(text)))
    if room < 0:
        return "…" * min(limit, 1), False
    end = _cut_before(text, room)
    return text[:end] + _hidden(len(text) - end), False


def _hidden(count: int) -> str:
    return f"… (+{count:,} character{'' if count == 1 else 's'})"


def _cut_before(text: str, end: int) -> int:
    """The last place at or before `end` where `text` may be cut."""
    for escape in _ESCAPE.finditer(text):
        if escape.start() >= end:
            break
        if escape.end() > end:
            end = escape.start()
            break
    # In quotes a backslash goes with what follows it: \" and \\ stay whole.
    end -= (end - len(text[:end].rstrip("\\"))) % 2
    # A longer cluster is no letter but a nuisance, and may be cut anywhere.
    for place in range(end, max(end - _LONGEST_CLUSTER, 0), -1):
        if not _is_joined(text[place - 1], text[place]):
            return place
    return end


def _is_joined(before: str, after: str) -> bool:
    """Whether two neighbours are one letter to the eye (roughly Unicode's UAX #29)."""
    if unicodedata.category(after).startswith("M") or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    return _JOINER in (before, after) or (_is_flag_letter(before) and _is_flag_letter(after))


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


@dataclass(frozen=True)
class Rendered:
    """Text for a card; where not `complete`, some was cut, and the card must not offer approval."""

    text: str
    complete: bool


def pretty(arguments: JsonValue, *, limit_lines: int, limit_chars: int) -> Rendered:
    """The arguments of a call as a `key: value` tree, in the order given, within both limits.

    Strings are quoted, so that bare words are never the agent's; those of several lines follow their key,
    each line behind `| `. Everything is written as `visible` does. The last line says how much was cut.
    `limit_lines` is at least 2, `limit_chars` at least 80.
    """
    if limit_lines < 2 or limit_chars < 80:
        raise ValueError("pretty needs limit_lines of 2 and limit_chars of 80 at least, to say what was cut")
    lines = list(_tree(arguments)) or ["(no arguments)"]
    whole = "\n".join(lines)
    if len(lines) <= limit_lines and len(whole) <= limit_chars:
        return Rendered(whole, complete=True)
    note = f"… cut here: {len(lines):,} lines, {len(whole):,} characters in all"
    room = limit_chars - len(note)
    shown: list[str] = []
    for line in lines[: limit_lines - 1]:
        if len(line) >= room:
            shown += [shorten(line, room - 1)[0]] if room > 40 else []
            break
        shown.append(line)
        room -= len(line) + 1
    return Rendered("\n".join([*shown, note]), complete=False)


def _tree(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entry(f"{_key(key)}: ", item)
    elif isinstance(value, list):
        for item in value:
            yield from _entry("- ", item)
    else:
        yield from _entry("", value)


def _entry(label: str, value: JsonValue) -> Iterator[str]:
    """One labelled value: on the label's line where it fits there, else below it, indented."""
    if isinstance(value, str) and "\n" in value.rstrip("\n"):
        yield f"{label}text of {value.count(_LINE_END) + 1} lines"
        yield from (f"  | {line}" for line in _text_lines(value))
        return
    inline = _inline(value)
    if inline is not None:
        yield label + inline
    elif label == "- " and isinstance(value, dict):
        lines = _tree(value)
        yield "- " + next(lines)
        yield from (f"  {line}" for line in lines)
    else:
        yield label.rstrip()
        yield from (f"  {line}" for line in _tree(value))


def _inline(value: JsonValue) -> str | None:
    """The value on one line, or None where it needs several: whatever is filled and nested or wide."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return None if value else "{}"
    if isinstance(value, list):
        if any(isinstance(item, dict | list) for item in value) or len(value) > _INLINE_WIDTH:
            return None
        items = "[" + ", ".join(_inline(item) or "" for item in value) + "]"
        return items if len(items) <= _INLINE_WIDTH or not value else None
    return canonical(value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _quoted(key)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _written_out(escaped, _KEPT_IN_LINE) + '"'


def _text_lines(text: str) -> list[str]:
    lines = visible(text, multiline=True).split(_LINE_END)
    return [_TRAILING.sub(lambda spaces: _escape(" ", len(spaces[0])), line) for line in lines]
