"""Figures as people read them; machines get `plain_decimal`, without an exponent and without rounding."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from prefect_llm.values.money import round_money
from prefect_llm.values.outcome import MAX_MESSAGE_CHARACTERS

SIGNIFICANT_DIGITS = 6
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


def count(number: int) -> str:
    """`1,234`."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 document`, `1,234 documents`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(words: Sequence[str], conjunction: str = "and") -> str:
    """`a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def first_listed(words: Sequence[str], shown: int) -> str:
    """`a, b, c and 2 more`: the first ones, and how many there are besides."""
    first = ", ".join(words[:shown])
    return first if len(words) <= shown else f"{first} and {len(words) - shown:,} more"


def one_line(text: str, limit: int = MAX_MESSAGE_CHARACTERS, *, cut: str = "…") -> str:
    """The text with every run of white space as one blank; beyond `limit` characters it ends with `cut`."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - len(cut)] + cut


def printable(message: str) -> str:
    """One line that steers no terminal: an endpoint's message may hold control characters."""
    return "".join(char if char.isprintable() else "\ufffd" for char in " ".join(message.split()))


def plain_decimal(amount: Decimal) -> str:
    """Every digit, no exponent, no trailing zeros: `0.000123`, `100`, `0`."""
    text = format(amount, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def plain_if_known(amount: Decimal | None) -> str | None:
    """As `plain_decimal`; an amount that is not known stays `None`, and is never 0."""
    return None if amount is None else plain_decimal(amount)


def money(amount: Decimal, currency: str | None) -> str:
    """`$0.0123`, `1,234.57 CHF`: six significant digits, two decimals at least, no zeros beyond those."""
    whole_digits = amount.adjusted() + 1
    decimals = max(2, SIGNIFICANT_DIGITS - whole_digits)
    rounded = round_money(amount, decimals)
    whole, _, fraction = f"{rounded:,f}".partition(".")
    text = f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
    if currency in _SYMBOLS:
        return f"{_SYMBOLS[currency]}{text}"
    return f"{text} {currency}" if currency else text


def cost_so_far(amount: Decimal | None, currency: str | None) -> str:
    """`$0.12`, `unknown price`; nothing of 0 in no currency, where nothing was billed and no price is known yet."""
    if amount is None:
        return "unknown price"
    return money(amount, currency) if amount or currency else ""


def duration(seconds: float) -> str:
    """`412 ms`, `3.2 s`, `2 min 5 s`, `1 h 3 min`."""
    # the bounds are where rounding would make 1000 ms, 60.0 s and 60 min
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min"


def rate(per_second: float) -> str:
    """`0.25`, `12.3`, `1,234`: three digits that say something."""
    if per_second < 10:
        return f"{per_second:.2f}"
    return f"{per_second:.1f}" if per_second < 100 else f"{per_second:,.0f}"


def share(part: int, whole: int) -> str:
    """`98.3%`. All and nothing are said only where they are exact: 9,999 of 10,000 is `99.9%`."""
    if whole == 0 or part == 0:
        return "0%"
    if part == whole:
        return "100%"
    tenths = min(max(round(1000 * part / whole), 1), 999)
    return f"{tenths / 10:.1f}%"
