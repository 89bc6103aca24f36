from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError
from tests.blocks.making import make_block, make_price

from prefect_llm import LLMProvider
from prefect_llm.values.provider import Limits, Provider, RetryOptions, Timeouts

URL = "https://api.example.com/v1"
KEY = "sk-this-is-the-key"
HEADER = "tenant-secret-7"


def test_the_schema_is_the_one_that_saved_blocks_were_written_with() -> None:
    """A server holds each block's schema by its checksum: a new one is a change that users see."""
    checksum = "sha256:dd8fb5bfc48cc6a1a63c3532f9dd9b564085168d4de14fbcbafb74a3d92cb355"
    assert LLMProvider._calculate_schema_checksum() == checksum


def test_the_defaults_are_those_of_the_core() -> None:
    provider = make_block(base_url=URL).get_provider()
    assert (provider.limits, provider.timeouts, provider.retries) == (Limits(), Timeouts(), RetryOptions())
    assert provider.api_key is None
    assert provider == Provider(URL)


def test_every_setting_reaches_the_core() -> None:
    block = make_block(
        base_url=URL,
        api_key=KEY,
        model="m",
        headers={"x-tenant": HEADER},
        timeout=7,
        idle_timeout=6,
        deadline=40,
        connect_timeout=2,
        max_attempts=3,
        outage_patience=11,
        concurrency=9,
        requests_per_minute=100,
        tokens_per_minute=2000,
        input_tokens_per_minute=1500,
        output_tokens_per_minute=500,
        token_accounting="used",
    )
    assert block.get_provider() == Provider(
        base_url=URL,
        api_key=KEY,
        model="m",
        headers={"x-tenant": HEADER},
        limits=Limits(
            9,
            100,
            2000,
            input_tokens_per_minute=1500,
            output_tokens_per_minute=500,
            token_accounting="used",
        ),
        timeouts=Timeouts(attempt_s=7, idle_s=6, deadline_s=40, connect_s=2),
        retries=RetryOptions(max_attempts=3, outage_s=11),
    )


def test_a_slash_at_the_end_of_the_address_is_left_out() -> None:
    assert make_block(base_url=f"{URL}/").get_provider().base_url == URL


def test_a_price_carries_where_it_comes_from() -> None:
    stated = make_price(
        input="0.40", output="1.60", cached_input="0.10", date="2026-11-01", source="https://p.example"
    )
    price = make_block(base_url=URL, prices={"m": stated}).get_provider().prices["m"]
    assert (price.input, price.output, price.cached_input) == (Decimal("0.40"), Decimal("1.60"), Decimal("0.10"))
    assert price.currency == "USD"
    assert price.source == "block https://p.example 2026-11-01"
    assert price.date == "2026-11-01"


def test_a_price_without_provenance_says_that_the_block_stated_it() -> None:
    price = make_price(input=1, output=2).to_price()
    assert (price.source, price.date, price.cached_input) == ("block", None, None)


def test_secrets_show_in_no_representation() -> None:
    block = make_block(base_url=URL, api_key=KEY, headers={"x-tenant": HEADER})
    shown = [repr(block), str(block), str(block.model_dump()), block.model_dump_json(), repr(block.get_provider())]
    assert [text for text in shown if KEY in text or HEADER in text] == []
    assert all(URL in text for text in shown)


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "api.example.com/v1"},
        {"base_url": "ftp://api.example.com/v1"},
        {"base_url": None},
        {"timeout": 0},
        {"connect_timeout": -1},
        {"max_attempts": 0},
        {"outage_patience": -1},
        {"concurrency": 0},
        {"requests_per_minute": 0},
        {"tokens_per_minute": "many"},
        {"token_accounting": "guessed"},
        {"idle_timeout": 0},
        {"deadline": -1},
        {"prices": {"m": {"input": 1}}},
        {"prices": {"m": {"input": -1, "output": 1}}},
        {"prices": {"m": {"input": 1, "output": 1, "currency": "dollar"}}},
        {"prices": {"m": {"input": 1, "output": 1, "date": "01.11.2026"}}},
        {"prices": {"m": {"input": 1, "output": 1, "per": 1000}}},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_the_field_s_name(wrong: dict[str, Any]) -> None:
    [field] = wrong
    with pytest.raises(ValidationError) as refused:
        make_block(**{"base_url": URL, "api_key": KEY} | wrong)
    assert [error["loc"][0] for error in refused.value.errors()] == [field]


def test_an_address_without_http_is_refused_with_an_example() -> None:
    with pytest.raises(
        ValidationError, match=r"must start with http:// or https://, for instance https://api\.openai"
    ):
        make_block(base_url="localhost:8000/v1")


def test_prices_in_several_currencies_are_refused_with_their_names() -> None:
    prices = {"a": make_price(input=1, output=1), "b": make_price(input=1, output=1, currency="EUR")}
    with pytest.raises(ValidationError, match="one provider bills in one currency, not in EUR and USD"):
        make_block(base_url=URL, prices=prices)


def test_a_refusal_does_not_repeat_the_key() -> None:
    for wrong in ({}, {"base_url": URL, "concurrency": 0}, {"base_url": "no-address"}):
        with pytest.raises(ValidationError) as refused:
            make_block(api_key=KEY, headers={"x-tenant": HEADER}, **wrong)
        assert KEY not in str(refused.value)
        assert HEADER not in str(refused.value)


def test_the_form_explains_every_field() -> None:
    schema = LLMProvider.model_json_schema()
    fields = schema["properties"] | schema["definitions"]["ModelPrice"]["properties"]
    assert len(fields) > 15
    assert [name for name, field in fields.items() if not field.get("title")] == []
    assert [name for name, field in fields.items() if not field.get("description", "").endswith(".")] == []
    assert schema["required"] == ["base_url"]


def test_the_form_masks_the_secrets() -> None:
    schema = LLMProvider.model_json_schema()
    assert sorted(schema["secret_fields"]) == ["api_key", "headers.*"]
    assert schema["properties"]["api_key"]["format"] == "password"


def test_the_catalogue_shows_what_the_block_is_for_and_how_to_load_it() -> None:
    assert LLMProvider.get_block_type_slug() == "llm-provider"
    assert LLMProvider.get_description() == "Endpoint, credentials, limits and prices of one LLM provider."
    example = LLMProvider.get_code_example()
    assert example is not None
    assert "from prefect_llm import LLMProvider" in example
    assert 'LLMProvider.load("BLOCK_NAME")' in example
