"""What to take, by rules in a fixed order: the first that fits is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from prefect_llm.hosting.own_hosting import OwnCost
from prefect_llm.hosting.scenario import Scenario
from prefect_llm.hosting.spans import Span
from prefect_llm.hosting.weights import Fit

Choice = Literal["own hosting", "API", "trial on free credit"]
Rule = Literal["strictly private", "data residency", "trial", "low volume", "high volume", "volume between"]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The choice, the model where it is an API, the rule that fired, and why in a sentence."""

    choice: Choice
    model: str | None
    rule: Rule
    reason: str


def recommend(
    scenario: Scenario, monthly: Mapping[str, Decimal], own: OwnCost | None, fit: Fit | None
) -> Recommendation:
    """Privacy before residency, residency before a trial, a trial before volume. `monthly` are the models' costs."""
    workload, rules = scenario.workload, scenario.rules
    if workload.strictly_private:
        reason = "The data may leave for no provider" + _unless_it_fits(own, fit)
        return Recommendation("own hosting", None, "strictly private", reason)

    candidates = tuple(monthly)
    if workload.data_residency is not None:
        allowed = {model.name for model in scenario.models if workload.data_residency in model.regions}
        candidates = tuple(name for name in monthly if name in allowed)
        if not candidates:
            reason = f"No candidate keeps data in {workload.data_residency}" + _unless_it_fits(own, fit)
            return Recommendation("own hosting", None, "data residency", reason)

    cheapest = min(candidates, key=monthly.__getitem__)
    if workload.trial:
        reason = "A trial needs no contract and no machines: free credit shows quality first."
        return Recommendation("trial on free credit", cheapest, "trial", reason)

    tokens = workload.input_tokens + workload.output_tokens
    if tokens < rules.api_below:
        reason = f"{tokens:,.0f} tokens a month are below {rules.api_below:,.0f}: no machines pay for that."
        return Recommendation("API", cheapest, "low volume", reason)

    rule: Rule = "high volume" if tokens > rules.detail_above else "volume between"
    return _by_cost(cheapest, monthly[cheapest], own, fit, rule)


def _by_cost(cheapest: str, cost: Decimal, own: OwnCost | None, fit: Fit | None, rule: Rule) -> Recommendation:
    if own is None:
        return Recommendation("API", cheapest, rule, "No machines were described to compare with.")
    # before the capacity: a throughput says nothing where the weights do not fit
    if fit is not None and not fit.fits:
        return Recommendation("API", cheapest, rule, "The model to be hosted does not fit the stated GPUs.")
    if own.capacity is None:
        reason = "Whether the machines can serve the volume is not known: give their throughput."
        return Recommendation("API", cheapest, rule, reason)

    span = own.total
    if cost > span.high:
        return Recommendation(
            "own hosting", None, rule, f"Even at {_shown(span)} a month it costs less than any API."
        )

    word = "may cost" if cost > span.low else "costs"
    reason = f"Own hosting {word} {_shown(span)} a month, {cheapest} {cost:,.2f}."
    return Recommendation("API", cheapest, rule, reason)


def _unless_it_fits(own: OwnCost | None, fit: Fit | None) -> str:
    if own is None or fit is None or fit.fits:
        return "."
    return f"; but {fit.model} does not fit {fit.gpus} GPUs: it takes {fit.gpus_needed} of them."


def _shown(span: Span) -> str:
    return f"{span.low:,.2f}" if span.low == span.high else f"{span.low:,.2f}-{span.high:,.2f}"
