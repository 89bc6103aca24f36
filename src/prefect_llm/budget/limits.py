"""A run's limits, checked against the prices of the providers that may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from prefect_llm.pricing import Terms, price_for, terms_of, why_unknown
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import Provider

WITHOUT = "leave max_cost out"
"""The cure where no option states what is missing."""
NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


def run_budget(
    provider: Provider,
    model: str,
    *,
    max_cost: Decimal | None,
    max_cost_per_month: Decimal | None = None,
    month_folder: str = "",
    month_prefix: str = "",
    params: Mapping[str, Any] = NO_PARAMS,
) -> RunBudget | None:
    """The budget of a run that asks this model; `None` without a limit.

    `params` are those that every request carries. Raises `InvalidInput` if a price is unknown or per hour,
    or if prices are in several currencies.
    """
    if max_cost is None and max_cost_per_month is None:
        return None

    currency = _only_currency(provider, model, params)
    return RunBudget(max_cost, currency, max_cost_per_month, month_folder, month_prefix)


def models_asked(provider: Provider, model: str) -> list[tuple[Provider, str]]:
    """The provider and its fallbacks, each with the model that it is asked for."""
    return [(provider, model), *((each, each.model or model) for each in provider.fallbacks)]


def _only_currency(provider: Provider, model: str, params: Mapping[str, Any]) -> str:
    currencies = {_currency(each, name, terms_of(name, params)) for each, name in models_asked(provider, model)}
    if len(currencies) > 1:
        raise InvalidInput(
            f"a budget needs one currency, and prices are in {', '.join(sorted(currencies))}: state them in one"
        )
    return currencies.pop()


def _currency(provider: Provider, model: str, terms: Terms) -> str:
    price = price_for(provider, model, terms=terms)
    if price is None:
        cure = "give it by price_input and price_output, or in the provider block"
        raise InvalidInput(
            f"a budget needs a known price, and the price of {model!r} at {provider.name} is not known "
            f"({why_unknown(provider, model, terms)}): {cure if terms.searches == 0 else WITHOUT}"
        )
    if price.per_hour is not None:
        raise InvalidInput(f"a budget needs a price per token, and {provider.name} is paid by the hour: {WITHOUT}")
    return price.currency
