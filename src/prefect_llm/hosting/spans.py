"""A figure that is known from its least to its most: `500-1500`, or one number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator

_RANGE = re.compile(r"\s*([0-9][0-9_.,]*)\s*-\s*([0-9][0-9_.,]*)\s*")


@dataclass(frozen=True, slots=True)
class Span:
    """From `low` to `high`; both are the same where the figure is one. `ValueError` unless 0 <= low <= high."""

    low: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        if not (self.low.is_finite() and self.high.is_finite() and 0 <= self.low <= self.high):
            raise ValueError(f"expected two numbers from 0 on, the lower first, not {self.low} and {self.high}")

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def times(self, factor: Decimal | int) -> Span:
        """Both ends times a number from 0 on."""
        return Span(self.low * factor, self.high * factor)

    def over(self, divisor: Decimal | int) -> Span:
        """Both ends divided by a number above 0."""
        return Span(self.low / divisor, self.high / divisor)


ZERO = Span(Decimal(0), Decimal(0))


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and (match := _RANGE.fullmatch(value)) is not None:
        return {"low": match[1].replace(",", ""), "high": match[2].replace(",", "")}
    if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        return {"low": str(value).replace(",", ""), "high": str(value).replace(",", "")}
    return value


SpanField = Annotated[Span, BeforeValidator(_parsed)]
"""A field of a scenario: `1500`, `500-1500`, or `{low: 500, high: 1500}`."""
