"""Amounts of money in people's words: "only 10.00", "refund 15 instead", "half of it", "20%"."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

_IDENTIFIER = re.compile(r"\b[A-Za-z]+[-_]\w+")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*(?:%|percent\b|per cent\b)", re.IGNORECASE)
_HALF = re.compile(r"\bhalf\b", re.IGNORECASE)
# No digit stands beside an amount, nor what makes it a time, a date or a part of a longer number.
_NUMBER = re.compile(
    r"(?<![\w.,:/-])[$€£]?\s?(\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d+(?:\.\d{1,2})?)(?![\w:/%]|[.,]\d|-\d)"
)
_MARKED = re.compile(r"[$€£]|\.\d\d")
_CENT = Decimal("0.01")


def asked_amount(
    words: str, price: Decimal, *, instead_of: Decimal | None = None, marked: bool = False
) -> Decimal | None:
    """The one amount that `words` ask for, more than nothing and at most `price`; None where they are not
    clear.

    `instead_of` is the amount that was proposed before: it is not taken for the answer ("not 29.99 but 15").
    With `marked`, only what is written as money counts ("$15", "15.00"), for texts that hold other numbers.
    """
    text = _IDENTIFIER.sub(" ", words)
    percents = [Decimal(number) for number in _PERCENT.findall(text)]
    shares = percents + ([Decimal(50)] if _HALF.search(text) else [])
    amounts = [(price * share / 100).quantize(_CENT, ROUND_HALF_UP) for share in shares]
    amounts += [
        Decimal(found[1].replace(",", ""))
        for found in _NUMBER.finditer(_PERCENT.sub(" ", text))
        if not marked or _MARKED.search(found[0])
    ]
    wanted = {amount for amount in amounts if amount != instead_of}
    if len(wanted) != 1:
        return None
    amount = wanted.pop()
    return amount if 0 < amount <= price else None
