"""Headers whose values stand in environment variables, and parameters at the end of a base URL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.settings.conftest import Loaded, Refused

from prefect_llm.settings import ApiOptions, BatchOptions, endpoint_provider, with_fallbacks, with_overrides
from prefect_llm.settings.value_types import endpoint_address
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.provider import Provider

SECRET = "sk-0123456789/abcdef"
BLOCK = Provider("https://block.example/v1", headers={"X-Tenant": "seven", "x-own": "own"})


def given(**options: Any) -> ApiOptions:
    """As the form gives them."""
    return ApiOptions.model_validate(options)


def test_the_value_is_that_of_the_variable() -> None:
    api = given(base_url="https://h/v1", header={"X-Tenant": "TENANT"})
    provider = endpoint_provider(api, BatchOptions(), {"TENANT": SECRET})
    assert provider.headers == {"x-tenant": SECRET}
    assert SECRET not in repr(api)
    assert SECRET not in repr(provider)


def test_it_is_laid_over_a_blocks_own_whatever_their_case() -> None:
    provider = with_overrides(BLOCK, given(header={"x-tenant": "TENANT"}), BatchOptions(), {"TENANT": "eight"})
    assert provider.headers == {"x-own": "own", "x-tenant": "eight"}


def test_a_fallback_of_another_block_does_not_get_it() -> None:
    api = given(header={"x-tenant": "TENANT"}, output_limit_name="max_tokens", fallback="backup/m, /small")
    first = with_overrides(BLOCK, api, BatchOptions(), {"TENANT": "eight"})
    backup, small = with_fallbacks(first, api, lambda name: Provider("https://other/v1")).fallbacks
    assert (backup.headers, backup.output_limit_name) == ({}, None)
    assert (small.headers["x-tenant"], small.output_limit_name) == ("eight", "max_tokens")


def test_a_variable_that_is_not_set_is_refused_without_its_name() -> None:
    api = given(base_url="https://h/v1", header={"x-tenant": "sk_0123"})
    with pytest.raises(InvalidInput, match="header x-tenant: the variable") as refused:
        endpoint_provider(api, BatchOptions(), {})
    assert "sk_0123" not in str(refused.value)


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (f"x-tenant={SECRET}", "expected the name of an environment variable for x-tenant, not the value itself"),
        (SECRET, "expected NAME=VARIABLE"),
        ("=TENANT", "expected NAME=VARIABLE"),
        ("x tenant=TENANT", "'x tenant' cannot be a header's name"),
        ("Host=TENANT", "the header host is the connection's own"),
    ],
)
def test_what_is_no_header_is_refused_without_repeating_it(refused: Refused, pair: str, said: str) -> None:
    sentence = refused(None, {"header": [pair]})
    assert sentence.startswith("--header: ")
    assert said in sentence
    assert SECRET not in sentence


def test_headers_are_merged_by_name(loaded: Loaded) -> None:
    settings = loaded("api:\n  header: {x-a: A, x-b: B}\n", {"header": ["X-B=C", "x-d=D"]})
    assert settings.api.header == {"x-a": "A", "x-b": "C", "x-d": "D"}


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ({"base_url": "https://b/v1"}, False),
        ({"provider": "block"}, False),
        ({"base_url": "https://a/v1"}, True),
        ({"model": "m"}, True),
    ],
)
def test_a_header_goes_to_no_endpoint_that_it_was_not_given_for(
    loaded: Loaded, flags: dict[str, str], kept: bool
) -> None:
    settings = loaded("api:\n  base_url: https://a/v1\n  header: {x-a: A}\n", flags)
    assert bool(settings.api.header) is kept


def test_the_output_limit_may_stand_among_the_parameters(loaded: Loaded) -> None:
    api = loaded(None, {"param": ["max_completion_tokens=50", "seed=7"]}).api
    assert (api.max_output_tokens, api.output_limit_name, api.param) == (50, "max_completion_tokens", {"seed": 7})


def test_a_stronger_source_gives_another_output_limit(loaded: Loaded) -> None:
    api = loaded("api:\n  param: {max_completion_tokens: 50}\n", {"max_output_tokens": "60"}).api
    assert (api.max_output_tokens, api.param) == (60, {})


@pytest.mark.parametrize("flags", [{"param": ["max_completion_tokens=50"], "max_output_tokens": "60"}])
def test_two_output_limits_in_one_source_stay_a_refusal(loaded: Loaded, flags: dict[str, Any]) -> None:
    assert loaded(None, flags).api.param == {"max_completion_tokens": 50}  # which the run refuses by its name


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://h/v1/", "https://h/v1"),
        (
            "https://h/openai/deployments/d/?api-version=2024-10-21",
            "https://h/openai/deployments/d?api-version=2024-10-21",
        ),
        ("https://h/v1?api-version=2025-04-01-preview", "https://h/v1?api-version=2025-04-01-preview"),
        ("https://h/v1?", "https://h/v1"),
    ],
)
def test_a_parameter_of_an_address_is_kept(address: str, kept: str) -> None:
    assert endpoint_address(address) == kept


@pytest.mark.parametrize(
    "parameters",
    [
        "?key=7",
        "?api_key=7",
        "?subscription-key=7",
        "?sig=7",
        "?access_token=7",
        "?x=" + 25 * "a",
        "?x",
        "#part",
        "#",
    ],
)
def test_a_parameter_that_may_be_a_secret_is_refused(parameters: str) -> None:
    with pytest.raises(ValueError, match="what may be a secret"):
        endpoint_address(f"https://h/v1{parameters}")


def test_providers_with_other_headers_have_engines_of_their_own() -> None:
    from prefect_llm.engine import close_engines
    from prefect_llm.engine.registry import engine_for

    first = engine_for(BLOCK)
    assert engine_for(replace(BLOCK, headers={})) is not first
    assert engine_for(replace(BLOCK, output_limit_name="max_tokens")) is not first
    close_engines()
