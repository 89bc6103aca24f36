"""What the requests would cost, by model and lane: bounds beforehand, an interval from a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from prefect_llm.estimating.intervals import Interval, total_of
from prefect_llm.estimating.population import Kind, Population
from prefect_llm.estimating.sample import Sample
from prefect_llm.pricing import (
    BATCH,
    USUAL,
    Terms,
    cost,
    list_price,
    price_for,
    provenance,
    provider_list_price,
    terms_of,
    tier_of,
    why_unknown,
)
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.outcome import Usage
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

Lane = Literal["online", "batch"]
_PER_MILLION = 1e-6

PriceOf = Callable[[Kind, str | None], Price | None]
"""The price of a kind of request, by the model that answered where that is known: its `search` is for all searches of
one request."""


@dataclass(frozen=True, slots=True)
class Line:
    """What all requests would cost with one model in one lane; `cost` is `None` where no price is known.

    `price` says where the prices come from, `why_unknown` why there is none.
    """

    model: str
    lane: Lane
    cost: Interval | None
    currency: str | None
    price: str | None
    why_unknown: str | None = None


def lines_of(
    population: Population, sample: Sample | None, provider: Provider, model: str, others: Iterable[str]
) -> list[Line]:
    """The run's own model first, online and by batch API where a list price of that is known, then the `others`.

    Another model is one of the provider's, or `PROVIDER/MODEL` as the price list names them. Its tokens are taken to
    be as many as the run's own. Raises `InvalidInput` for one whose price is not known.
    """
    own = _line(population, sample, model, "online", _own_price(provider))
    if own.cost is None:
        own = replace(own, why_unknown=_why_unknown(population, provider))
    lines = [own, *_batch_lines(population, sample, model, _own_batch_price(provider))]
    for other in dict.fromkeys(others):
        price_of = _other_price(provider, other)
        if price_of(Kind(other, None, USUAL), None) is None:
            raise InvalidInput(
                f"models: no list price of {other!r} is known at {provider.name}: write PROVIDER/MODEL, as in "
                "openai/gpt-4.1-mini, or leave it out"
            )
        lines.append(_line(population, sample, other, "online", price_of))
        lines += _batch_lines(population, sample, other, _other_price(provider, other, BATCH))
    return lines


def _own_price(provider: Provider) -> PriceOf:
    def price_of(kind: Kind, answered: str | None) -> Price | None:
        price = price_for(provider, kind.model, answered=answered, terms=kind.terms)
        return _with_searches(price, kind.terms.searches)

    return price_of


def _why_unknown(population: Population, provider: Provider) -> str | None:
    kinds = (kind for kind in population.kinds if price_for(provider, kind.model, terms=kind.terms) is None)
    kind = next(kinds, None)
    return None if kind is None else why_unknown(provider, kind.model, kind.terms)


def _with_searches(price: Price | None, searches: int | None) -> Price | None:
    """With the price of so many searches in place of that of one; `None` if they have none."""
    if price is None or searches == 0:
        return None if price is None else replace(price, search=None)
    return None if searches is None or price.search is None else replace(price, search=price.search * searches)


def _own_batch_price(provider: Provider) -> PriceOf:
    """Of the list only: a price that was stated is that of the online lane."""

    def price_of(kind: Kind, answered: str | None) -> Price | None:
        online = price_for(provider, kind.model, terms=kind.terms)
        if online is None or online.source.partition(" ")[0] in ("stated", "block") or kind.terms.variant:
            return None
        batch = list_price(provider.base_url, kind.model, variant=BATCH.variant)
        return _with_searches(batch, kind.terms.searches)

    return price_of


def _other_price(provider: Provider, model: str, terms: Terms = USUAL) -> PriceOf:
    named, _, of_named = model.partition("/")
    stated = provider.prices.get(model)
    variant = terms.variant
    price = list_price(provider.base_url, model, variant=variant) if stated is None else None if variant else stated
    if price is None and stated is None and of_named:
        price = provider_list_price(named, of_named, variant=variant)

    own = terms_of(model, {}).searches

    def price_of(kind: Kind, answered: str | None) -> Price | None:
        asked = kind.terms.searches
        return _with_searches(price, None if asked is None or own is None else max(asked, own))

    return price_of


def _batch_lines(population: Population, sample: Sample | None, model: str, price_of: PriceOf) -> Iterator[Line]:
    if population.kinds and all(price_of(kind, None) is not None for kind in population.kinds):
        yield _line(population, sample, model, "batch", price_of)


def _line(population: Population, sample: Sample | None, model: str, lane: Lane, price_of: PriceOf) -> Line:
    kinds = population.kinds or [Kind(model, None, USUAL)]
    prices = [price_of(kind, None) for kind in kinds]
    known = [price for price in prices if price is not None]
    if len(known) < len(prices) or len({price.currency for price in known}) > 1:
        return Line(model, lane, None, None, None)
    usages = None if sample is None else sample.usages
    if sample is None or usages is None:
        total: Interval | None = _bounds(population, known)
    else:
        total = _from_sample(population, sample, usages, price_of)
    return Line(model, lane, total, known[0].currency, provenance(known[0]))


def _from_sample(population: Population, sample: Sample, usages: list[Usage], price_of: PriceOf) -> Interval | None:
    costs = []
    for each, usage in zip(sample.answers, usages, strict=True):
        amount = cost(usage, price_of(each.kind, each.model), searches=int(each.ok))
        if amount is None:
            return None
        costs.append(float(amount))
    total = total_of(population.sizes, [float(each.bytes) for each in sample.answers], costs)
    return total.scaled(1 + sample.discarded_share)


def _bounds(population: Population, prices: list[Price]) -> Interval:
    """From the least input and one token of output to the most input and the output limit."""
    low = high = 0.0
    tokens = population.tokens
    for number, least, most in zip(population.kind, tokens.least, tokens.most, strict=True):
        price, limit = prices[number], population.kinds[number].max_output_tokens
        low += _amount(price, least, 1 if limit is None else min(limit, 1))
        high = high + _amount(price, most, limit) if limit is not None else float("inf")
    return Interval(low, None, None if high == float("inf") else high)


def _amount(price: Price, input_tokens: int, output_tokens: int) -> float:
    rates = tier_of(price, input_tokens)
    tokens = (input_tokens * float(rates.input) + output_tokens * float(rates.output)) * _PER_MILLION
    return tokens + float(price.search or 0)
