"""What one request costs, in Decimal. An unknown figure is `None`, never 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeGuard

from prefect_llm.pricing.list_prices import dearest_list_price, list_price
from prefect_llm.pricing.terms import USUAL, Terms, terms_served
from prefect_llm.pricing.tiers import dearest, tier_of
from prefect_llm.values.money import MONEY, ZERO
from prefect_llm.values.outcome import MOST_TOKENS, UNTOLD, Service, Usage
from prefect_llm.values.price import Price, PriceTier
from prefect_llm.values.provider import Provider

ANY_MODEL = "*"
"""The entry of `Provider.prices` for every model without one of its own."""
COST_STEP = Decimal("1E-12")
"""The column `cost` is decimal128(38, 12)."""
_PER_MILLION = -6
"""Decimal places: prices are for 1,000,000 tokens."""
_S_PER_HOUR = Decimal(3600)
_HOUR_IN_CACHE = 2
"""Times the price of input: Anthropic's cache for that long, docs.anthropic.com/en/docs/about-claude/pricing."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What an answer with this usage costs, and at which price; `None` is unknown."""

    usage: Usage | None
    price: Price | None
    cost: Decimal | None


def charge_for(
    provider: Provider,
    model: str,
    usage: Usage | None,
    *,
    answered: str | None = None,
    service: Service = UNTOLD,
    at_us: int | None = None,
    terms: Terms = USUAL,
    endpoint_s: float = 0.0,
) -> Charge:
    """Look the price up and apply it, once per answer: its row then has the price that its budget was settled at.

    `terms` are what was asked for; what served the answer goes before them.
    See `price_for` and `cost`.
    """
    served = terms_served(terms, service)
    price = price_for(provider, model, answered=answered, at_us=at_us, terms=served)
    return Charge(usage, price, cost(usage, price, endpoint_s, served.searches or 0))


def price_for(
    provider: Provider, model: str, *, answered: str | None = None, at_us: int | None = None, terms: Terms = USUAL
) -> Price | None:
    """The model's own price, else the one stated for every model, else the list price of the provider's host.

    Stated prices go by the `model` that was asked for; the list by the one that `answered`, if it knows that one.
    `at_us` is in microseconds since 1970 UTC, now if `None`; `terms` are those of a request that is not billed as
    usual. `None` if no price is known, or not all that is billed beside the tokens.
    """
    price = _stated(provider, model)
    if price is None and not terms.has_other_rates:
        price = _listed(provider, model, answered, at_us, terms)
    return price if price is not None and _covers(price, terms) else None


def dearest_price_for(
    provider: Provider,
    model: str,
    *,
    most_input_tokens: int | None = None,
    at_us: int | None = None,
    terms: Terms = USUAL,
    for_an_hour: bool = False,
) -> Price | None:
    """The highest price a request may be billed at, as one price without tiers: what a budget reserves.

    The highest over all tiers that `most_input_tokens` can reach, over input read from or written to a cache (with
    `for_an_hour` for that long), over the service tiers that may serve it, and, for a list price that changes by the
    hour, over the next day.
    """
    price = _stated(provider, model)
    if price is not None:
        price = dearest(price, most_input_tokens)
    else:
        price = dearest_list_price(
            provider.base_url, model, most_input_tokens, at_us, terms.variant, any_tier=terms.is_open
        )
        if price is not None and for_an_hour:
            price = replace(price, input=MONEY.multiply(price.input, _HOUR_IN_CACHE))
    return price if price is not None and _covers(price, terms) else None


def cost(usage: Usage | None, price: Price | None, endpoint_s: float = 0.0, searches: int = 0) -> Decimal | None:
    """What one billed answer, its searches and its seconds of the endpoint's time cost, rounded half-even to 12
    decimals once.

    `None` if the price, the input tokens or the output tokens are unknown; usage is not needed if only time is paid.
    Tokens read from a cache or written to one are part of the input, reasoning tokens part of the output: none is
    counted twice, and cached tokens beyond the input tokens are not billed. The input tokens choose one tier of the
    price, for all tokens.
    """
    if price is None:
        return None

    # before the usage is looked at: where only time is paid for, an endpoint need not count tokens
    time = _time_cost(price, endpoint_s)
    if price.is_of_time:
        return MONEY.quantize(time, COST_STEP)
    if usage is None:
        return None
    if not _is_count(usage.input_tokens) or not _is_count(usage.output_tokens):
        return None

    rates = tier_of(price, usage.input_tokens) if price.tiers else price
    tokens = _token_cost(usage, usage.input_tokens, usage.output_tokens, rates)
    beside = MONEY.fma(searches, price.search or ZERO, time)
    return MONEY.quantize(MONEY.add(MONEY.scaleb(tokens, _PER_MILLION), beside), COST_STEP)


def _token_cost(usage: Usage, input_tokens: int, output_tokens: int, rates: Price | PriceTier) -> Decimal:
    """Millionths of money: each input token at one of three rates, each output token at one."""
    cached = min(max(usage.cached_input_tokens or 0, 0), input_tokens)
    written = min(max(usage.cache_write_tokens or 0, 0), input_tokens - cached)

    total = MONEY.multiply(input_tokens - cached - written, rates.input)
    if cached:
        cached_price = rates.input if rates.cached_input is None else rates.cached_input
        total = MONEY.add(total, MONEY.multiply(cached, cached_price))
    if written:
        written_price = rates.input if rates.cache_write is None else rates.cache_write
        total = MONEY.add(total, MONEY.multiply(written, written_price))
    return MONEY.add(total, MONEY.multiply(output_tokens, rates.output))


def _time_cost(price: Price, endpoint_s: float) -> Decimal:
    if price.per_hour is None:
        return ZERO
    return MONEY.divide(MONEY.multiply(price.per_hour, Decimal(endpoint_s)), _S_PER_HOUR)


def cache_saving(usage: Usage | None, price: Price | None) -> Decimal:
    """How much more the cached input would have cost at the full price; 0 if that is unknown."""
    if usage is None or not usage.cached_input_tokens:
        return ZERO
    paid, uncached = cost(usage, price), cost(replace(usage, cached_input_tokens=None), price)
    return ZERO if paid is None or uncached is None else MONEY.subtract(uncached, paid)


def at_prices_of(price: Price, usage: Usage, answers: int) -> Decimal | None:
    """What `answers` with this total usage would cost at a price; their mean input chooses the tier."""
    rates = tier_of(price, (usage.input_tokens or 0) // max(answers, 1))
    level = replace(
        price,
        input=rates.input,
        output=rates.output,
        cached_input=rates.cached_input,
        cache_write=rates.cache_write,
        tiers=(),
    )
    return cost(usage, level)


def _covers(price: Price, terms: Terms) -> bool:
    """Whether all that such a request is billed for is known."""
    if terms.searches == 0 or price.is_of_time:
        return True
    return terms.searches is not None and price.search is not None


def _stated(provider: Provider, model: str) -> Price | None:
    price = provider.prices.get(model)
    return provider.prices.get(ANY_MODEL) if price is None else price


def _listed(provider: Provider, model: str, answered: str | None, at_us: int | None, terms: Terms) -> Price | None:
    names = dict.fromkeys(name for name in (answered, model) if name is not None)
    prices = (list_price(provider.base_url, name, at_us, terms.variant) for name in names)
    return next((price for price in prices if price is not None), None)


def _is_count(tokens: int | None) -> TypeGuard[int]:
    return tokens is not None and 0 <= tokens <= MOST_TOKENS
