"""What tokens cost at a provider."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class PriceTier:
    """Money per 1,000,000 tokens of a request with more than `above` input tokens: for all its tokens."""

    above: int
    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Money per 1,000,000 tokens. Input read from a cache or written to one costs the input price where no other
    is known. `tiers` are in ascending order of `above`, and the last that a request is above is its price.
    `date` is the day from which the price is known, as 2026-01-31. `per_hour` is money for an hour of the endpoint's
    time, where the machines are one's own. `search` is money for one web search; `None` where that is not known.
    """

    input: Decimal
    output: Decimal
    currency: str = "USD"
    cached_input: Decimal | None = None
    source: str = "stated"
    date: str | None = None
    cache_write: Decimal | None = None
    tiers: tuple[PriceTier, ...] = ()
    per_hour: Decimal | None = None
    search: Decimal | None = None

    @property
    def is_of_time(self) -> bool:
        """Whether only the endpoint's time is paid for, and tokens are free."""
        return self.per_hour is not None and not (self.input or self.output)
