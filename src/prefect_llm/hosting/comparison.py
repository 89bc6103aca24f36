"""The one composition: a scenario in, every figure of the comparison out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True, slots=True)
class ModelCost:
    """One model's figures. Break-evens are tokens a month (input and output together, at the workload's shares)."""

    name: str
    source: str
    price_input: Decimal | None
    price_output: Decimal
    latency_ms: Decimal | None
    monthly: Decimal
    yearly: Decimal
    per_document: Decimal
    per_million_tokens: Decimal
    by_volume: tuple[Decimal, ...]
    by_reseller: Decimal | None
    break_even_running: Span | None
    break_even_total: Span | None
    payback: Payback | None
    return_on_investment: tuple[Decimal, Decimal] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was worked out. `capacity` is in the break-evens' tokens; `None`: no throughput was given."""

    currency: str
    documents: Decimal
    input_tokens: Decimal
    output_tokens: Decimal
    volumes: tuple[Decimal, ...]
    horizon_months: Decimal
    models: tuple[ModelCost, ...]
    own: OwnCost | None
    own_running: Span | None
    own_total: Span | None
    capacity: Decimal | None
    fit: Fit | None
    reseller_saving: Decimal | None
    reseller_terms: str | None
    sensitivity: tuple[Variation, ...]
    recommendation: Recommendation

    def to_json(self) -> dict[str, Any]:
        """Every figure; money and rates are strings, what is not known is null."""
        made: dict[str, Any] = _plain(asdict(self))
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
    saving = None if scenario.reseller is None else api_costs.reseller_saving(scenario.reseller)
    per_million = {model.name: model.per_million_tokens for model in models}

    return Comparison(
        currency=scenario.currency,
        documents=workload.documents,
        input_tokens=workload.input_tokens,
        output_tokens=workload.output_tokens,
        volumes=scenario.volumes,
        horizon_months=scenario.horizon_months,
        models=models,
        own=own,
        own_running=None if own is None else own.running,
        own_total=None if own is None else own.total,
        capacity=None if own is None or own.capacity is None else _all_tokens(own.capacity.tokens, scenario),
        fit=fit,
        reseller_saving=saving,
        reseller_terms=None if scenario.reseller is None else _terms(scenario.reseller, scenario.currency),
        sensitivity=() if hosting is None else tuple(variations(hosting, workload, per_million)),
        recommendation=recommend(scenario, {each.name: each.monthly for each in models}, own, fit),
    )


def _model_cost(scenario: Scenario, model: Model, own: OwnCost | None) -> ModelCost:
    workload = scenario.workload
    rates = api_costs.rates_of(model, scenario)
    monthly, per_million = api_costs.monthly(rates, workload), api_costs.per_million_tokens(rates, workload)
    into = workload.input_tokens_per_document / workload.output_tokens_per_document
    reseller = scenario.reseller

    return ModelCost(
        name=model.name,
        source=rates.source,
        price_input=rates.input if model.price_output is None or model.price_input is not None else None,
        price_output=rates.output,
        latency_ms=model.latency_ms,
        monthly=monthly,
        yearly=monthly * MONTHS,
        per_document=api_costs.per_document(rates, workload),
        per_million_tokens=per_million,
        by_volume=tuple(rates.of(volume * into, volume) for volume in scenario.volumes),
        by_reseller=None if reseller is None else monthly * reseller.price / reseller.exchange_rate,
        break_even_running=None if own is None else break_even(own.running, per_million),
        break_even_total=None if own is None else break_even(own.total, per_million),
        payback=None if own is None else payback(monthly, own.running, own.purchase),
        return_on_investment=None
        if own is None
        else return_on_investment(monthly, own.running, own.purchase, scenario.horizon_months),
    )


def _all_tokens(output_tokens: Decimal, scenario: Scenario) -> Decimal:
    """Output tokens with the input that belongs to them."""
    workload = scenario.workload
    return output_tokens * (1 + workload.input_tokens_per_document / workload.output_tokens_per_document)


def _terms(reseller: Reseller, currency: str) -> str:
    billed, rate = plain_decimal(reseller.price), plain_decimal(reseller.exchange_rate)
    return (
        f"{billed} {reseller.currency} for each {currency} of the list, at {rate} {reseller.currency} per {currency} "
        f"({reseller.exchange_rate_date})"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain_decimal(value if value == value.to_integral_value() else round(value, 12))
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
