"""From `fallback` to providers: blocks by name, or another model of the same provider."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from prefect_llm.settings import ApiOptions, with_fallbacks
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Limits, Provider, RetryOptions, Timeouts

STATED, NAMED = Price(Decimal(1), Decimal(2)), Price(Decimal(3), Decimal(4))
PROVIDER = Provider("https://first.example/v1", api_key="k", prices={"*": STATED, "small": NAMED})
BACKUP = Provider(
    "https://second.example/v1", model="default", limits=Limits(7), timeouts=Timeouts(9), retries=RetryOptions(2)
)


def given(**options: Any) -> ApiOptions:
    """As the command line, run.yaml or the form give them."""
    return ApiOptions.model_validate(options)


def fallbacks(api: ApiOptions, block: Provider = BACKUP) -> tuple[Provider, ...]:
    """Those of `PROVIDER`, where every block is `block`."""
    return with_fallbacks(PROVIDER, api, lambda name: block).fallbacks


def test_a_block_keeps_its_limits_and_waits_as_the_run_says() -> None:
    (backup,) = fallbacks(given(fallback="backup/large", timeout=50))
    assert backup == replace(BACKUP, model="large", timeouts=Timeouts(50), retries=RetryOptions(2))


def test_a_block_alone_is_asked_for_its_own_model() -> None:
    assert [each.model for each in fallbacks(given(fallback=("backup", "backup/org/large")))] == [
        "default",
        "org/large",
    ]


def test_another_model_of_the_same_provider_has_no_price_that_was_stated_for_the_first() -> None:
    small, other = fallbacks(given(fallback="/small, /other"))
    assert (small.base_url, small.api_key, small.model) == (PROVIDER.base_url, "k", "small")
    assert small.prices == other.prices == {"small": NAMED}


def test_a_block_without_a_model_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the fallback 'backup' has no model: write backup/MODEL"):
        fallbacks(given(fallback="backup"), replace(BACKUP, model=None))


@pytest.mark.parametrize("wrong", ["", "/", "a b", "backup/"])
def test_what_names_neither_a_block_nor_a_model_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        given(fallback=wrong)
