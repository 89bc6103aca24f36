"""The texts and numbers that a JSON schema may allow, usual ones first."""

from __future__ import annotations

import string
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any

from prefect_llm.simulation.pattern_text import matching

FARTHEST = 500
"""So many steps away from a bound a number is tried."""

_BY_FORMAT = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_TEXT = "text"
_SYMBOLS = string.ascii_lowercase + string.digits + string.ascii_uppercase


def texts(schema: dict[str, Any]) -> Iterator[str]:
    """One of the format or the pattern, then any as long as must be."""
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
    if schema.get("format") in _BY_FORMAT:
        yield _BY_FORMAT[schema["format"]]
    if "pattern" in schema:
        for text in matching(schema["pattern"]):
            yield from (text, text.ljust(shortest, "t"), text.rjust(shortest, "t"))
    yield _TEXT[:longest].ljust(shortest, "t")
    if "format" in schema:
        yield from _BY_FORMAT.values()
    for number in count():
        text = _SYMBOLS[number % len(_SYMBOLS)] * (1 + number // len(_SYMBOLS))
        yield text.rjust(shortest, "t")


def numbers(schema: dict[str, Any], *, whole: bool) -> Iterator[float | int]:
    """0, then numbers near a bound, then all around."""
    lows = [schema[name] for name in ("minimum", "exclusiveMinimum") if name in schema]
    highs = [schema[name] for name in ("maximum", "exclusiveMaximum") if name in schema]
    step = _decimal(schema.get("multipleOf", 1))
    near = [bound for bound in (*lows, *highs) if not isinstance(bound, bool)] or [0]

    yield 0
    for far in range(FARTHEST):
        for bound in near:
            nearest = int(_decimal(bound) // step)
            yield from (_number(step * (nearest + far), whole), _number(step * (nearest - far), whole))
        if far == 0 and not whole:
            yield from near
            yield from ((low + high) / 2 for low in lows for high in highs)


def _decimal(number: float) -> Decimal:
    """The number as it is written: 0.01 is no sum of halves."""
    return Decimal(repr(number))


def _number(value: Decimal, whole: bool) -> float | int:
    return int(value) if whole or value == value.to_integral_value() else float(value)
