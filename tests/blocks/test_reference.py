from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError
from tests.blocks.making import make_block, make_price
from tests.prefect_server import PrefectServer

from prefect_llm import InvalidInput, LLMProvider, ProviderReference
from prefect_llm.blocks import resolve_provider
from prefect_llm.pricing import price_for
from prefect_llm.settings import ApiOptions, BatchOptions
from prefect_llm.values.provider import Limits, RetryOptions, Timeouts

URL = "https://api.example.com/v1"
KEY = "sk-reference-key"
VARIABLE = "TEST_REFERENCE_KEY"


@pytest.fixture
def block() -> LLMProvider:
    """One whose every value differs from the defaults, so that an overlay of defaults would show."""
    return make_block(
        base_url=URL,
        api_key=KEY,
        timeout=7,
        connect_timeout=2,
        max_attempts=3,
        outage_patience=11,
        concurrency=9,
        requests_per_minute=77,
        prices={"m": make_price(input=1, output=2)},
    )


def test_a_loaded_block_is_the_provider_itself(block: LLMProvider) -> None:
    assert resolve_provider(block) == block.get_provider()


def test_a_name_and_a_reference_load_the_saved_block(block: LLMProvider, prefect_server: PrefectServer) -> None:
    block.save("by-name")
    assert resolve_provider("by-name") == block.get_provider()
    assert resolve_provider(ProviderReference(block="by-name")) == block.get_provider()


def test_a_missing_block_is_refused_in_one_sentence(prefect_server: PrefectServer) -> None:
    with pytest.raises(InvalidInput, match="no LLM Provider block named 'nobody' is saved: create it"):
        resolve_provider("nobody")


def test_an_endpoint_takes_its_key_from_the_variable_named_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.setenv("PREFECT_LLM_API_KEY", "not-this-one")
    reference = ProviderReference(api=ApiOptions(base_url=URL, api_key_env=VARIABLE))
    assert resolve_provider(reference).api_key == KEY
    assert KEY not in repr(reference)


def test_without_a_named_variable_the_usual_one_holds_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_LLM_API_KEY", KEY)
    assert resolve_provider(ProviderReference(api=ApiOptions(base_url=URL))).api_key == KEY
    monkeypatch.delenv("PREFECT_LLM_API_KEY")
    assert resolve_provider(ProviderReference(api=ApiOptions(base_url=URL))).api_key is None


def test_a_variable_that_is_not_set_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(InvalidInput) as refused:
        resolve_provider(ProviderReference(api=ApiOptions(base_url=URL, api_key_env=VARIABLE)))
    assert str(refused.value) == f"the variable {VARIABLE}, named by api_key_env, is not set: export the key"


def test_neither_block_nor_endpoint_is_refused_without_repeating_it() -> None:
    with pytest.raises(InvalidInput, match="no base_url: give the endpoint's address, or a provider block"):
        resolve_provider(ProviderReference())


def test_only_what_was_given_is_laid_over_the_block(block: LLMProvider, prefect_server: PrefectServer) -> None:
    block.save("overlaid")
    reference = ProviderReference(
        block="overlaid", api=ApiOptions(max_attempts=5, timeout=120), batch=BatchOptions(tokens_per_minute=2000)
    )
    provider = resolve_provider(reference)
    assert provider.limits == Limits(concurrency=9, requests_per_minute=77, tokens_per_minute=2000)
    assert provider.timeouts == Timeouts(attempt_s=120, connect_s=2)
    assert provider.retries == RetryOptions(max_attempts=5, outage_s=11)
    assert provider.api_key == KEY
    assert provider.prices == block.get_provider().prices


def test_settings_go_over_a_block_that_was_never_saved(block: LLMProvider) -> None:
    provider = resolve_provider(ProviderReference(block=block, batch=BatchOptions(concurrency=2)))
    assert provider.limits == Limits(concurrency=2, requests_per_minute=77)
    assert provider.api_key == KEY


def test_stated_prices_replace_the_block_s(block: LLMProvider, prefect_server: PrefectServer) -> None:
    block.save("priced")
    api = ApiOptions(price_input=Decimal(3), price_output=Decimal(4), currency="EUR")
    price = price_for(resolve_provider(ProviderReference(block="priced", api=api)), "m")
    assert price is not None
    assert (price.input, price.output, price.currency, price.source) == (Decimal(3), Decimal(4), "EUR", "stated")


@pytest.mark.parametrize("api", [{"base_url": "https://elsewhere.example/v1"}, {"api_key_env": VARIABLE}], ids=str)
def test_a_block_goes_with_no_other_address_or_key(
    api: dict[str, str], block: LLMProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "another-key")
    with pytest.raises(InvalidInput, match=f"block and {next(iter(api))} are both given: leave one out"):
        resolve_provider(ProviderReference(block=block, api=ApiOptions.model_validate(api)))


def test_an_unknown_setting_of_a_reference_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValidationError, match="api_key") as refused:
        ProviderReference.model_validate({"api_key": KEY})
    assert KEY not in str(refused.value)
