"""What is billed beside tokens: a known fee is counted, an unknown one leaves no price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from prefect_llm.pricing import charge_for, dearest_price_for, price_for, terms_of
from prefect_llm.values.outcome import Service, Usage
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

OPENAI = Provider("https://api.openai.com/v1")
OPENROUTER = Provider("https://openrouter.ai/api/v1")
ANTHROPIC = Provider("https://api.anthropic.com/v1")
USAGE = Usage(input_tokens=100, output_tokens=10)


@pytest.mark.parametrize(
    ("model", "parameters", "searches"),
    [
        ("gpt-4o-mini-search-preview", {}, 1),
        ("gpt-4o-mini-search-preview-2025-03-11", {"web_search_options": {}}, 1),
        ("openai/gpt-4o-search-preview", {}, 1),
        ("gpt-5-search-api", {"seed": 1}, 1),
        ("gpt-4.1", {"web_search_options": {}}, None),
        ("gpt-4.1", {"web_search_options": None}, 0),
        ("gpt-4.1", {"tools": [{"type": "function", "function": {"name": "f"}}]}, 0),
        ("gpt-4.1", {"tools": [{"type": "web_search_preview"}]}, None),
        ("claude-sonnet-4-5", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, None),
        ("gemini-2.5-flash", {"tools": [{"google_search": {}}]}, None),
        ("gemini-2.5-flash", {"extra_body": {"google": {"tools": [{"google_search": {}}]}}}, None),
        ("gemini-2.5-flash", {"extra_body": {"google": {"thinking_config": {"thinking_budget": 0}}}}, 0),
        ("grok-4", {"search_parameters": {"mode": "auto"}}, None),
        ("grok-4", {"search_parameters": {}}, None),
        ("grok-4", {"search_parameters": {"mode": "off"}}, 0),
        ("qwen-plus", {"enable_search": True}, None),
        ("qwen-plus", {"enable_search": False}, 0),
        ("openai/gpt-4o-mini:online", {}, None),
        ("openai/gpt-4o-mini", {"plugins": [{"id": "web"}]}, None),
        ("openai/gpt-4o-mini", {"plugins": [{"id": "web", "enabled": False}, {"id": "response-healing"}]}, 0),
        ("openai/gpt-4o-mini", {"plugins": []}, 0),
        ("perplexity/sonar", {}, None),
        ("sonar-pro", {}, None),
        ("o3-deep-research", {}, None),
        ("groq/compound", {}, None),
        ("research-llama", {"tools": "none", "plugins": "none"}, 0),
    ],
)
def test_how_many_searches_a_request_is_billed_for(
    model: str, parameters: dict[str, Any], searches: int | None
) -> None:
    assert terms_of(model, parameters).searches == searches


def test_a_search_model_costs_160_times_its_tokens() -> None:
    model = "gpt-4o-mini-search-preview"
    charge = charge_for(OPENAI, model, USAGE, terms=terms_of(model, {}))
    assert charge.cost == Decimal("0.010021")
    most = dearest_price_for(OPENAI, model, terms=terms_of(model, {}))
    assert most is not None
    assert most.search == Decimal("0.01")


def test_searches_that_the_usage_counts_are_billed_as_counted() -> None:
    asked = terms_of("claude-sonnet-4-5", {"tools": [{"type": "web_search_20250305", "max_uses": 3}]})

    def cost(searches: int | None) -> Decimal | None:
        service = Service(searches=searches)
        return charge_for(ANTHROPIC, "claude-sonnet-4-5", USAGE, service=service, terms=asked).cost

    assert [cost(0), cost(2), cost(None)] == [Decimal("0.00045"), Decimal("0.02045"), None]


@pytest.mark.parametrize(
    ("provider", "model", "parameters"),
    [
        (OPENAI, "gpt-4o-search-preview", {}),
        (OPENAI, "gpt-5-search-api", {}),
        (OPENAI, "gpt-4.1", {"web_search_options": {}}),
        (OPENROUTER, "openai/gpt-4o-mini:online", {}),
        (OPENROUTER, "openai/gpt-4o-mini", {"plugins": [{"id": "web"}]}),
        (OPENROUTER, "perplexity/sonar", {}),
        (Provider("https://api.x.ai/v1"), "grok-4", {"search_parameters": {"mode": "on"}}),
        (Provider("https://llm.example.org/v1", prices={"*": Price(Decimal(1), Decimal(1))}), "m",
         {"web_search_options": {}}),
    ],
)  # fmt: skip
def test_an_unknown_fee_leaves_no_price(provider: Provider, model: str, parameters: dict[str, Any]) -> None:
    terms = terms_of(model, parameters)
    assert price_for(provider, model, terms=terms) is None
    assert dearest_price_for(provider, model, terms=terms) is None
    assert charge_for(provider, model, USAGE, terms=terms).cost is None


def test_a_fee_may_be_stated() -> None:
    stated = Price(Decimal(1), Decimal(1), search=Decimal("0.025"))
    provider = Provider(OPENAI.base_url, prices={"*": stated})
    model = "gpt-4o-search-preview"
    assert charge_for(provider, model, USAGE, terms=terms_of(model, {})).cost == Decimal("0.02511")


def test_machines_of_ones_own_cost_no_fee() -> None:
    owned = Price(Decimal(0), Decimal(0), per_hour=Decimal(4))
    provider = Provider("http://127.0.0.1:8000/v1", prices={"*": owned})
    terms = terms_of("m", {"web_search_options": {}})
    assert charge_for(provider, "m", USAGE, terms=terms, endpoint_s=900).cost == 1
