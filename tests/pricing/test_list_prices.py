from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from prefect_llm.pricing import (
    ANY_MODEL,
    BATCH,
    cost,
    dearest_price_for,
    list_price,
    price_for,
    provider_list_price,
    terms_of,
)
from prefect_llm.pricing.list_prices import data_date
from prefect_llm.values.outcome import Usage
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

OPENAI = Provider("https://api.openai.com/v1")
GOOGLE = Provider("https://generativelanguage.googleapis.com/v1beta/openai")
DEEPSEEK = Provider("https://api.deepseek.com")
STATED = Price(Decimal(1), Decimal(1))


def us(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc, arg-type]


def test_a_model_without_a_stated_price_has_the_list_price_of_its_host_with_source_and_date() -> None:
    price = price_for(OPENAI, "gpt-4.1")
    assert price is not None
    assert [price.input, price.cached_input, price.output] == [Decimal(2), Decimal("0.5"), Decimal(8)]
    assert price.currency == "USD"
    day = data_date()
    assert day is not None
    assert price.source == f"genai-prices {version('genai-prices')} {day}"
    assert price.date == day.isoformat() >= "2026-01-01"


def test_a_stated_price_goes_before_the_list() -> None:
    for name in ("gpt-4.1", ANY_MODEL):
        provider = Provider(OPENAI.base_url, prices={name: STATED})
        assert price_for(provider, "gpt-4.1", answered="gpt-4.1-2025-04-14") is STATED
        most = dearest_price_for(provider, "gpt-4.1")
        assert most is not None
        assert most.input == 1


@pytest.mark.parametrize(
    "base_url",
    [
        "http://localhost:8000/v1",
        "https://llm.example.org/v1",
        "https://api.openai.com.example.org/v1",
        "https://api.openai.com:8443/v1",
        "http://api.openai.com/v1",
        "https://example.org/api.openai.com/v1",
        "https://example.org/x.googleapis.com/v1",
        "https://me--gpt-4.modal.run/v1",
        "not a url",
        "https://[::1/v1",
    ],
)
@pytest.mark.parametrize("model", ["gpt-4.1", "gemini-2.5-flash", "zai-org/GLM-5.3"])
def test_another_host_that_serves_a_model_of_that_name_has_no_list_price(base_url: str, model: str) -> None:
    assert price_for(Provider(base_url), model) is None
    assert dearest_price_for(Provider(base_url), model) is None


def test_a_model_that_the_list_does_not_know_has_no_price() -> None:
    assert price_for(OPENAI, "gpt-4o-something-odd") is None
    assert price_for(OPENAI, "mistral-large-latest") is None


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://openrouter.ai/api/v1", "deepseek/deepseek-r1:free"),  # no price there: not the same as zero
        ("https://api.openai.com/v1", "text-embedding-3-small"),  # input only
        ("https://api.perplexity.ai", "sonar"),  # a fee for each request
        ("https://api.perplexity.ai", "sonar-deep-research"),  # reasoning at a price of its own
    ],
)
def test_what_our_usage_cannot_price_is_unknown_and_not_too_low(base_url: str, model: str) -> None:
    assert list_price(base_url, model) is None


def test_the_model_that_answered_has_the_price_and_the_one_asked_for_where_that_is_not_listed() -> None:
    older = price_for(OPENAI, "gpt-4o", answered="gpt-4o-2024-05-13")
    assert older is not None
    assert [older.input, older.output] == [Decimal(5), Decimal(15)]
    asked = price_for(OPENAI, "gpt-4o", answered="deployment-7")
    assert asked is not None
    assert [asked.input, asked.output] == [Decimal("2.5"), Decimal(10)]


def test_a_price_with_tiers_is_the_lists_own_bill_on_both_sides_of_each() -> None:
    price = price_for(GOOGLE, "gemini-2.5-pro")
    assert price is not None
    assert [tier.above for tier in price.tiers] == [200_000]
    for input_tokens in (1, 200_000, 200_001, 900_000):
        theirs = calc_price(
            TheirUsage(input_tokens=input_tokens, cache_read_tokens=input_tokens // 2, output_tokens=1000),
            "gemini-2.5-pro",
            provider_id="google",
        )
        assert cost(Usage(input_tokens, input_tokens // 2, 1000), price) == theirs.total_price


@pytest.mark.parametrize(
    ("instant", "output_price"),
    [
        (us(2026, 9, 1, 0, 59, 59), "1.98"),
        (us(2026, 9, 1, 1), "3.96"),
        (us(2026, 9, 1, 4), "1.98"),
        (us(2026, 8, 16, 2), "3.96"),  # hours go before dates in the list
        (us(2026, 8, 16, 12), "0.87"),
        (us(2026, 8, 17), "1.98"),
    ],
)
def test_a_price_of_the_hour_and_of_the_day_is_that_of_the_instant(instant: int, output_price: str) -> None:
    price = price_for(DEEPSEEK, "deepseek-v4-pro", at_us=instant)
    assert price is not None
    assert price.output == Decimal(output_price)


def test_a_budget_reserves_at_the_dearest_hour_of_the_next_day() -> None:
    for hour in (0, 2, 12):
        most = dearest_price_for(DEEPSEEK, "deepseek-v4-pro", at_us=us(2026, 9, 1, hour))
        assert most is not None
        assert (most.input, most.output) == (Decimal("1.32"), Decimal("3.96"))


def test_a_budget_reserves_at_what_writing_to_the_cache_costs() -> None:
    price = price_for(OPENAI, "gpt-6-luna")
    most = dearest_price_for(OPENAI, "gpt-6-luna", most_input_tokens=1000)
    assert price is not None
    assert most is not None
    assert most.input == price.cache_write
    assert most.input > price.input
    assert most.output == price.output


def test_a_service_tier_has_its_own_price_and_one_that_is_not_listed_has_none() -> None:
    at = us(2026, 11, 1)
    flex = price_for(OPENAI, "o3", at_us=at, terms=terms_of("o3", {"service_tier": "flex"}))
    usual = price_for(OPENAI, "o3", at_us=at, terms=terms_of("o3", {"service_tier": "auto", "seed": 1}))
    assert flex is not None
    assert usual is not None
    assert flex.output * 2 == usual.output
    assert (
        price_for(OPENAI, "gpt-3.5-turbo", at_us=at, terms=terms_of("gpt-3.5-turbo", {"service_tier": "priority"}))
        is None
    )
    assert terms_of("o3", {"service_tier": ["?"]}).variant == (("service_tier", "['?']"),)


def test_stated_prices_and_endpoints_at_home_do_not_read_the_list() -> None:
    """Importing it takes a fifth of a second."""
    program = """
import sys
from decimal import Decimal
import prefect_llm.cli
from prefect_llm.pricing import dearest_price_for, price_for
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider
one = Price(Decimal(1), Decimal(1))
stated = Provider("https://api.openai.com/v1", prices={"*": one})
for provider in (stated, Provider("http://127.0.0.1:8000/v1"), Provider("https://10.0.0.7/v1")):
    price_for(provider, "gpt-4o"), dearest_price_for(provider, "gpt-4o")
assert "genai_prices" not in sys.modules
price_for(Provider("https://api.openai.com/v1"), "gpt-4o")
assert "genai_prices" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_provider_may_be_named_as_the_list_names_it() -> None:
    assert provider_list_price("openai", "gpt-4.1") == list_price(OPENAI.base_url, "gpt-4.1")
    assert provider_list_price("openai", "nothing-of-that-name") is None
    assert provider_list_price("nobody", "gpt-4.1") is None


def test_the_batch_lane_has_a_price_only_where_the_list_has_one() -> None:
    online, batch = (
        list_price(OPENAI.base_url, "gpt-4.1"),
        list_price(OPENAI.base_url, "gpt-4.1", variant=BATCH.variant),
    )
    assert online is not None
    assert batch is not None
    assert (batch.input, batch.output) == (online.input / 2, online.output / 2)
    assert list_price(DEEPSEEK.base_url, "deepseek-chat", variant=BATCH.variant) is None
