"""Service tiers: the one that served has the price, and a budget reserves at the dearest that may."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from prefect_llm.pricing import BATCH, Terms, charge_for, dearest_price_for, price_for, terms_of
from prefect_llm.values.outcome import Service, Usage
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

OPENAI = Provider("https://api.openai.com/v1")
GROQ = Provider("https://api.groq.com/openai/v1")
ANTHROPIC = Provider("https://api.anthropic.com/v1")
MILLION = Usage(input_tokens=0, output_tokens=1_000_000)
STANDARD, FLEX, PRIORITY = Decimal(10), Decimal(5), Decimal(20)
"""Of a million output tokens of gpt-5."""


@pytest.mark.parametrize(
    ("asked", "served", "paid"),
    [
        (None, None, STANDARD),
        (None, "default", STANDARD),
        (None, "priority", PRIORITY),  # set for the project
        ("auto", "flex", FLEX),
        ("flex", "flex", FLEX),
        ("flex", None, FLEX),
        ("flex", "default", STANDARD),
        ("priority", "default", STANDARD),  # a burst is served at the usual tier
        ("priority", "priority", PRIORITY),
        ("fast", "priority", PRIORITY),
        ("priority", "scale", None),
        ("scale", None, None),
        ("scale", "standard", STANDARD),
    ],
)
def test_an_answer_costs_what_the_tier_that_served_it_does(
    asked: str | None, served: str | None, paid: Decimal | None
) -> None:
    terms = terms_of("gpt-5", {} if asked is None else {"service_tier": asked})
    assert charge_for(OPENAI, "gpt-5", MILLION, service=Service(served), terms=terms).cost == paid


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        ({}, PRIORITY),
        ({"service_tier": None}, PRIORITY),
        ({"service_tier": "auto"}, PRIORITY),
        ({"service_tier": "default"}, STANDARD),
        ({"service_tier": "flex"}, STANDARD),
        ({"service_tier": "priority"}, PRIORITY),
        ({"service_tier": "scale"}, None),
    ],
)
def test_a_budget_reserves_at_the_dearest_tier_that_may_serve(asked: dict[str, Any], most: Decimal | None) -> None:
    price = dearest_price_for(OPENAI, "gpt-5", terms=terms_of("gpt-5", asked))
    assert (None if price is None else price.output) == most


@pytest.mark.parametrize("tier", ["auto", "on_demand", "standard", "standard_only", "default"])
@pytest.mark.parametrize(
    ("provider", "model"), [(GROQ, "llama-3.3-70b-versatile"), (ANTHROPIC, "claude-sonnet-4-5"), (OPENAI, "gpt-5")]
)
def test_every_word_for_the_usual_tier_has_the_usual_price(provider: Provider, model: str, tier: str) -> None:
    usual = price_for(provider, model)
    assert usual is not None
    assert price_for(provider, model, terms=terms_of(model, {"service_tier": tier})) == usual
    assert charge_for(provider, model, MILLION, service=Service(tier)).price == usual


def test_a_stated_price_is_that_of_every_tier() -> None:
    stated = Price(Decimal(1), Decimal(2))
    provider = Provider(OPENAI.base_url, prices={"*": stated})
    assert charge_for(provider, "gpt-5", MILLION, service=Service("priority")).cost == 2


def test_anthropics_fast_mode_has_a_price_of_its_own() -> None:
    model, fast = "claude-fable-5-2", terms_of("claude-fable-5-2", {"speed": "fast"})
    usual, dearer = price_for(ANTHROPIC, model), price_for(ANTHROPIC, model, terms=fast)
    assert usual is not None
    assert dearer is not None
    assert dearer.output > usual.output
    assert terms_of(model, {"speed": "standard"}).variant == ()
    both = terms_of(model, {"speed": "fast", "service_tier": "priority"})
    assert price_for(ANTHROPIC, model, terms=both) is None


def test_an_answer_of_the_batch_tier_has_the_batch_price() -> None:
    assert charge_for(OPENAI, "gpt-5", MILLION, service=Service("batch")).price == price_for(
        OPENAI, "gpt-5", terms=BATCH
    )
    assert Terms((("processing", "batch"),)) == BATCH


def test_tokens_at_other_rates_have_no_list_price() -> None:
    """Audio, and what is kept in the cache for an hour: at the rates of text the cost would be too low."""
    other = Service(has_other_rates=True)
    assert charge_for(ANTHROPIC, "claude-sonnet-4-5", MILLION, service=other).cost is None
    stated = Provider(ANTHROPIC.base_url, prices={"*": Price(Decimal(1), Decimal(2))})
    assert charge_for(stated, "claude-sonnet-4-5", MILLION, service=other).cost == 2


@pytest.mark.parametrize(
    ("asked", "most"),
    [
        ({}, Decimal("20")),
        ({"service_tier": "auto"}, Decimal("20")),
        ({"service_tier": "default"}, Decimal("10")),
        ({"service_tier": "priority"}, None),
    ],
)
def test_at_azure_the_tiers_of_openai_may_serve(asked: dict[str, Any], most: Decimal | None) -> None:
    azure = Provider("https://name.openai.azure.com/openai/v1")
    price = dearest_price_for(azure, "gpt-5", terms=terms_of("gpt-5", asked))
    assert most == (None if price is None else price.output)
    assert (
        charge_for(azure, "gpt-5", MILLION, service=Service("priority"), terms=terms_of("gpt-5", asked)).cost is None
    )
