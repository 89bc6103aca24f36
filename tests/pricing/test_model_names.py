"""A price where the list has one under any of the model's names; else the sentence says what was looked for."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_llm.pricing import list_price, price_for, terms_of, why_unknown
from prefect_llm.values.provider import Provider

GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
VERTEX = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/openapi"
FIREWORKS = "https://api.fireworks.ai/inference/v1"
OPENROUTER = "https://openrouter.ai/api/v1"
OPENAI = "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("base_url", "spelled", "listed"),
    [
        (VERTEX, "google/gemini-2.5-flash", "gemini-2.5-flash"),
        (VERTEX, "publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        (
            VERTEX,
            "projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5@20250929",
            "claude-sonnet-4-5",
        ),
        (GOOGLE, "models/gemini-2.5-flash", "gemini-2.5-flash"),
        (FIREWORKS, "gpt-oss-120b", "accounts/fireworks/models/gpt-oss-120b"),
        (FIREWORKS, "fireworks/gpt-oss-120b", "accounts/fireworks/models/gpt-oss-120b"),
        (OPENAI, "ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini-2024-07-18:other::def"),
    ],
)
def test_every_spelling_of_a_listed_model_has_its_price(base_url: str, spelled: str, listed: str) -> None:
    price = list_price(base_url, spelled)
    assert price is not None
    assert price == list_price(base_url, listed)


def test_openrouters_models_have_their_own_prices() -> None:
    assert list_price(OPENROUTER, "google/gemini-2.5-flash") is not None
    assert list_price(OPENROUTER, "google/gemini-2.5-flash:nitro") is None
    assert list_price(OPENROUTER, "google/gemini-2.5-flash:free") is None


@pytest.mark.parametrize(
    ("base_url", "model", "parameters", "why"),
    [
        (OPENAI, "ft:gpt-4.1:acme::abc", {}, "lists no 'ft:gpt-4.1:acme::abc' under OpenAI"),
        (VERTEX, "google/gemini-0", {}, "lists no 'google/gemini-0' or 'gemini-0' under Google"),
        (FIREWORKS, "accounts/acme/models/m", {}, "lists no 'accounts/acme/models/m' or"),
        (OPENROUTER, "openai/gpt-4o-mini:nitro", {}, "lists no 'openai/gpt-4o-mini:nitro' under OpenRouter"),
        (OPENROUTER, "openai/gpt-4o-mini:online", {}, "how many searches or other tools of the provider"),
        (OPENAI, "gpt-5-search-api", {}, "has no fee for the searches of 'gpt-5-search-api'"),
        (OPENAI, "gpt-4.1", {"service_tier": "scale"}, "under OpenAI, but no price for service_tier=scale"),
        (
            OPENAI,
            "text-embedding-3-small",
            {},
            "lists 'text-embedding-3-small' under OpenAI, but not by input and output",
        ),
        ("https://llm.example.org/v1", "m", {}, "does not know the host llm.example.org"),
        ("http://127.0.0.1:8000/v1", "m", {}, "does not know the host 127.0.0.1"),
    ],
)
def test_why_there_is_no_price(base_url: str, model: str, parameters: dict[str, Any], why: str) -> None:
    provider, terms = Provider(base_url), terms_of(model, parameters)
    assert price_for(provider, model, terms=terms) is None
    assert why in why_unknown(provider, model, terms)
