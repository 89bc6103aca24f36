"""Prices that depend on the size of a request's input."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from prefect_llm.values.price import Price, PriceTier


def tier_of(price: Price, input_tokens: int) -> Price | PriceTier:
    """The price of a request of that size: the last tier it is above, else the price itself."""
    for tier in reversed(price.tiers):
        if input_tokens > tier.above:
            return tier
    return price


def dearest(price: Price, most_input_tokens: int | None = None) -> Price:
    """The most per token that a request of up to `most_input_tokens` may cost, as one price without tiers.

    `None` means any size. Input counts at the highest of uncached, read from a cache and written to one.
    """
    reachable = (tier for tier in price.tiers if most_input_tokens is None or most_input_tokens > tier.above)
    rates: list[Price | PriceTier] = [price, *reachable]
    most = max(_dearest_input(each) for each in rates)
    return replace(
        price, input=most, output=max(each.output for each in rates), cached_input=None, cache_write=None, tiers=()
    )


def _dearest_input(rates: Price | PriceTier) -> Decimal:
    return max(each for each in (rates.input, rates.cached_input, rates.cache_write) if each is not None)
