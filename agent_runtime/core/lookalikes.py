"""Words that read as something else: letters of another script, and text that runs from right to left."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+")

# Letters that common fonts draw like Latin ones (after Unicode's confusables.txt). Others, such as λ or Ω,
# stand in names of quantities beside Latin letters and mislead nobody.
_CYRILLIC = "АВЕЅІЈКМНОРСТУХԌԚԜҮавеѕіїјкмнорстухԁԛԝһӏү"
_GREEK = "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαηικνορτυχγϲϳ"
_LATIN_LOOKS = {**dict.fromkeys(_CYRILLIC, "Cyrillic"), **dict.fromkeys(_GREEK, "Greek")}
_STYLED = ("MATHEMATICAL ", "FULLWIDTH LATIN ", "CIRCLED LATIN ", "PARENTHESIZED LATIN ")


def homoglyph_warning(text: str) -> str | None:
    """A sentence on the first word of `text` that may be read as another, or None.

    Such words mix Latin letters with Cyrillic or Greek look-alikes, consist of look-alikes alone in a text
    that is Latin otherwise, or hold letters styled as mathematics or full width. The sentence names the
    letter and its code point; the word in it is untrusted text.
    """
    if text.isascii():
        return None
    words = _WORD.findall(text)
    native = {_script(letter) for letter in set(text) if letter not in _LATIN_LOOKS}
    for word in words:
        for letter in word:
            if unicodedata.name(letter, "").startswith(_STYLED):
                return f"“{word}” holds {_named(letter)}, which is not the plain letter it looks like."
        odd = next((letter for letter in word if letter in _LATIN_LOOKS), None)
        if odd is None:
            continue
        scripts = {_script(letter) for letter in word}
        disguised = all(letter in _LATIN_LOOKS for letter in word) and len(word) > 1
        if "Latin" in scripts or (disguised and "Latin" in native and _LATIN_LOOKS[odd] not in native):
            return f"“{word}” holds {_named(odd)}, a {_LATIN_LOOKS[odd]} letter that looks like a Latin one."
    return None


def direction_warning(text: str) -> str | None:
    """A sentence where `text` holds letters that run from right to left, or None.

    They are no trick by themselves, but numbers and signs beside them change places on the screen.
    """
    if text.isascii() or not any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text):
        return None
    return "Some of this text runs from right to left; numbers and signs beside it may be shown out of order."


def _script(letter: str) -> str:
    """The script of a letter, by the first word of its Unicode name: `Latin`, `Cyrillic`, `Greek` …"""
    return unicodedata.name(letter, "").partition(" ")[0].capitalize()


def _named(letter: str) -> str:
    return f"U+{ord(letter):04X} {unicodedata.name(letter, 'unnamed')}"
