"""The one composition: a scenario in, every figure of the comparison out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from decimal import Decimal, localcontext
from typing import Any

from prefect_llm.hosting import api_costs
from prefect_llm.hosting.break_even import Payback, break_even, payback, return_on_investment
from prefect_llm.hosting.own_hosting import OwnCost, own_cost
from prefect_llm.hosting.recommendation import Recommendation, recommend
from prefect_llm.hosting.scenario import Model, Reseller, Scenario
from prefect_llm.hosting.sensitivity import Variation, variations
from prefect_llm.hosting.spans import Span
from prefect_llm.hosting.weights import Fit, fit_of
from prefect_llm.values.formatting import plain_decimal

MONTHS = 12
_PRECISION = 50
"""Digits while figures are worked out: they are rounded as they are shown."""


@dataclass(frozen=True, slots=True)
class ApiCost:
    """Answers bought from a provider. `monthly` is for the workload, `by_volume` for the scenario's volumes."""

    monthly: Decimal
    per_document: Decimal
    per_million_tokens: Decimal
    by_volume: tuple[Decimal, ...]
    by_reseller: Decimal | None

    @property
    def yearly(self) -> Decimal:
        """Twelve months."""
        return self.monthly * MONTHS


@dataclass(frozen=True, slots=True)
class OwnHostingCase:
    """Own machines in a model's place: tokens a month, input and output together, from which they cost less.

    `running` leaves the purchase out; the return is from worst to best, as shares.
    """

    running: Span | None
    total: Span | None
    payback: Payback | None
    return_on_investment: tuple[Decimal, Decimal] | None


NO_CASE = OwnHostingCase(None, None, None, None)


@dataclass(frozen=True, slots=True)
class ModelCost:
    """One model: its prices, what it costs for the workload, and how own hosting compares."""

    name: str
    source: str
    price_input: Decimal | None
    price_output: Decimal
    latency_ms: Decimal | None
    cost: ApiCost
    own: OwnHostingCase

    def to_json(self) -> dict[str, Any]:
        """Every figure, in one level."""
        return {
            "name": self.name,
            "source": self.source,
            "price_input": self.price_input,
            "price_output": self.price_output,
            "latency_ms": self.latency_ms,
            "monthly": self.cost.monthly,
            "yearly": self.cost.yearly,
            "per_document": self.cost.per_document,
            "per_million_tokens": self.cost.per_million_tokens,
            "by_volume": self.cost.by_volume,
            "by_reseller": self.cost.by_reseller,
            "break_even_running": self.own.running,
            "break_even_total": self.own.total,
            "payback": self.own.payback,
            "return_on_investment": self.own.return_on_investment,
        }


@dataclass(frozen=True, slots=True)
class ResellerOffer:
    """What a reseller saves, as a share, and at which terms."""

    saving: Decimal
    terms: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A scenario and what follows from it. `capacity` is in the break-evens' tokens; `None` without a throughput."""

    scenario: Scenario
    models: tuple[ModelCost, ...]
    own: OwnCost | None
    capacity: Decimal | None
    fit: Fit | None
    reseller: ResellerOffer | None
    sensitivity: tuple[Variation, ...]
    recommendation: Recommendation

    def to_json(self) -> dict[str, Any]:
        """Every figure; money and rates are strings, what is not known is null."""
        scenario, workload, own, reseller = self.scenario, self.scenario.workload, self.own, self.reseller
        with localcontext() as context:
            context.prec = _PRECISION  # the workload divides again
            made: dict[str, Any] = _plain(
                {
                    "currency": scenario.currency,
                    "documents": workload.documents,
                    "input_tokens": workload.input_tokens,
                    "output_tokens": workload.output_tokens,
                    "volumes": scenario.volumes,
                    "horizon_months": scenario.horizon_months,
                    "models": [model.to_json() for model in self.models],
                    "own": own,
                    "own_running": None if own is None else own.running,
                    "own_total": None if own is None else own.total,
                    "capacity": self.capacity,
                    "fit": self.fit,
                    "reseller_saving": None if reseller is None else reseller.saving,
                    "reseller_terms": None if reseller is None else reseller.terms,
                    "sensitivity": self.sensitivity,
                    "recommendation": self.recommendation,
                }
            )
        return made


def compare(scenario: Scenario) -> Comparison:
    """Work it out. Raises `InvalidInput` for a price or a throughput that cannot be had."""
    with localcontext() as context:
        context.prec = _PRECISION
        return _compare(scenario)


def _compare(scenario: Scenario) -> Comparison:
    workload, hosting = scenario.workload, scenario.hosting
    own = None if hosting is None else own_cost(hosting, workload)
    fit = None if hosting is None else fit_of(hosting)
    models = tuple(_model_cost(scenario, model, own) for model in scenario.models)
    per_million = {model.name: model.cost.per_million_tokens for model in models}

    return Comparison(
        scenario=scenario,
        models=models,
        own=own,
        capacity=None if own is None or own.capacity is None else _all_tokens(own.capacity.tokens, scenario),
        fit=fit,
        reseller=None if scenario.reseller is None else _offer(scenario.reseller, scenario.currency),
        sensitivity=() if hosting is None else tuple(variations(hosting, workload, per_million)),
        recommendation=recommend(scenario, {each.name: each.cost.monthly for each in models}, own, fit),
    )


def _model_cost(scenario: Scenario, model: Model, own: OwnCost | None) -> ModelCost:
    rates = api_costs.rates_of(model, scenario)
    bought = _api_cost(scenario, rates)

    return ModelCost(
        name=model.name,
        source=rates.source,
        price_input=rates.input if model.price_output is None or model.price_input is not None else None,
        price_output=rates.output,
        latency_ms=model.latency_ms,
        cost=bought,
        own=NO_CASE if own is None else _own_case(own, bought, scenario.horizon_months),
    )


def _api_cost(scenario: Scenario, rates: api_costs.Rates) -> ApiCost:
    workload, reseller = scenario.workload, scenario.reseller
    monthly = api_costs.monthly(rates, workload)
    into = workload.input_tokens_per_document / workload.output_tokens_per_document

    return ApiCost(
        monthly=monthly,
        per_document=api_costs.per_document(rates, workload),
        per_million_tokens=api_costs.per_million_tokens(rates, workload),
        by_volume=tuple(rates.of(volume * into, volume) for volume in scenario.volumes),
        by_reseller=None if reseller is None else monthly * reseller.price / reseller.exchange_rate,
    )


def _own_case(own: OwnCost, bought: ApiCost, horizon_months: Decimal) -> OwnHostingCase:
    return OwnHostingCase(
        running=break_even(own.running, bought.per_million_tokens),
        total=break_even(own.total, bought.per_million_tokens),
        payback=payback(bought.monthly, own.running, own.purchase),
        return_on_investment=return_on_investment(bought.monthly, own.running, own.purchase, horizon_months),
    )


def _all_tokens(output_tokens: Decimal, scenario: Scenario) -> Decimal:
    """Output tokens with the input that belongs to them."""
    workload = scenario.workload
    return output_tokens * (1 + workload.input_tokens_per_document / workload.output_tokens_per_document)


def _offer(reseller: Reseller, currency: str) -> ResellerOffer:
    billed, rate = plain_decimal(reseller.price), plain_decimal(reseller.exchange_rate)
    terms = (
        f"{billed} {reseller.currency} for each {currency} of the list, at {rate} {reseller.currency} per {currency} "
        f"({reseller.exchange_rate_date})"
    )
    return ResellerOffer(api_costs.reseller_saving(reseller), terms)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Decimal):
        return plain_decimal(value if value == value.to_integral_value() else round(value, 12))
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
