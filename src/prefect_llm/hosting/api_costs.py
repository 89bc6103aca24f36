"""What a workload costs at a provider's price. Linear in the volume, at the workload's share of input."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from prefect_llm.hosting.scenario import Model, Reseller, Scenario, Workload
from prefect_llm.pricing import list_price, provenance, terms_of
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.formatting import plain_decimal

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Rates:
    """Per 1,000,000 tokens, and where they come from."""

    input: Decimal
    output: Decimal
    source: str

    def of(self, input_tokens: Decimal, output_tokens: Decimal) -> Decimal:
        """The cost of these tokens."""
        return (self.input * input_tokens + self.output * output_tokens) / MILLION


def rates_of(model: Model, scenario: Scenario) -> Rates:
    """As stated, else the list price of one request of the workload's size; in the scenario's currency.

    Raises `InvalidInput` where there is neither, or no rate for the currency that the price is in.
    """
    tokens = scenario.workload.input_tokens_per_document
    if model.price_output is not None:
        if model.price_input is None and tokens:
            raise InvalidInput(
                f"{model.name} has no price_input, and documents have input: give it, or 0 if input is free"
            )
        source = "stated" if model.price_date is None else f"stated {model.price_date}"
        stated = Rates(model.price_input or Decimal(0), model.price_output, source)
        return _exchanged(stated, model, model.currency or scenario.currency, scenario)

    name = model.model or model.name
    if terms_of(name, {}).searches != 0:
        raise InvalidInput(
            f"{model.name} is billed for searches beside its tokens: give price_input and price_output"
        )
    price = list_price(model.base_url or "", name)
    if price is None:
        raise InvalidInput(f"{model.name} has no list price at {model.base_url}: give price_input and price_output")

    above = [tier for tier in price.tiers if tokens > tier.above]
    tier = above[-1] if above else price
    return _exchanged(Rates(tier.input, tier.output, provenance(price)), model, price.currency, scenario)


def _exchanged(rates: Rates, model: Model, currency: str, scenario: Scenario) -> Rates:
    if currency == scenario.currency:
        return rates
    rate = scenario.exchange_rates.get(currency)
    if rate is None:
        raise InvalidInput(
            f"the price of {model.name} is in {currency}, the scenario in {scenario.currency}: give "
            f"exchange_rates.{currency} with units and date"
        )
    at = f"at {plain_decimal(rate.units)} {currency} per {scenario.currency} ({rate.date})"
    return Rates(rates.input / rate.units, rates.output / rate.units, f"{rates.source} {at}")


def monthly(rates: Rates, workload: Workload) -> Decimal:
    """A month of the workload."""
    return rates.of(workload.input_tokens, workload.output_tokens)


def per_document(rates: Rates, workload: Workload) -> Decimal:
    """One document of the workload."""
    return rates.of(workload.input_tokens_per_document, workload.output_tokens_per_document)


def per_million_tokens(rates: Rates, workload: Workload) -> Decimal:
    """1,000,000 tokens at the workload's share of input and output."""
    tokens = workload.input_tokens_per_document + workload.output_tokens_per_document
    return per_document(rates, workload) / tokens * MILLION


def reseller_saving(reseller: Reseller) -> Decimal:
    """The share of the list price that is saved; below 0 where the reseller is dearer."""
    return 1 - reseller.price / reseller.exchange_rate
