from __future__ import annotations

import pytest

from prefect_llm.settings import check, load
from prefect_llm.values.errors import InvalidInput

COMPLETE = {"input": "in.csv", "output": "out", "base_url": "https://h/v1", "model": "m"}


def said(**changed: str | None) -> str:
    with pytest.raises(InvalidInput) as caught:
        check(load({**COMPLETE, **changed}, {}))
    return caught.value.message


def test_a_complete_run_passes() -> None:
    check(load(COMPLETE, {}))


def test_a_block_may_bring_the_model_of_its_own() -> None:
    check(load({**COMPLETE, "base_url": None, "model": None, "provider": "block"}, {}))


def test_what_is_missing_is_named_with_all_ways_to_give_it() -> None:
    assert said(input=None) == "no input: give INPUT, documents.input in the config or PREFECT_LLM_INPUT"
    assert said(output=None) == "no output: give --output, output.output in the config or PREFECT_LLM_OUTPUT"
    assert said(model=None) == "no model: give --model, api.model in the config or PREFECT_LLM_MODEL"
    assert said(base_url=None) == (
        "no provider: give --provider, api.provider in the config or PREFECT_LLM_PROVIDER; or a base URL: "
        "--base-url, api.base_url in the config or PREFECT_LLM_BASE_URL"
    )


def test_everything_missing_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        check(load({}, {}))
    assert [line.split(":")[0] for line in caught.value.message.splitlines()] == [
        "no input",
        "no provider",
        "no model",
        "no output",
    ]


def test_a_block_and_a_url_exclude_each_other() -> None:
    assert said(provider="block") == (
        "provider and base_url are both given: leave one out, since a block has its own address and key"
    )


def test_a_block_has_its_own_key() -> None:
    assert said(provider="block", base_url=None, api_key_env="KEY") == (
        "provider and api_key_env are both given: leave one out, since a block has its own key"
    )


def test_a_prompt_and_a_prompt_file_exclude_each_other() -> None:
    assert said(prompt="p", prompt_file="p.txt") == "prompt and prompt_file are both given: leave one out"


def test_a_price_without_those_that_go_with_it_is_refused() -> None:
    check(load({**COMPLETE, "price_input": "1", "price_output": "0", "price_cached_input": "0.5"}, {}))
    assert said(price_input="1") == "price_input is given without price_output: give both or neither"
    assert said(price_output="1") == "price_output is given without price_input: give both or neither"
    assert said(price_cached_input="1") == (
        "price_cached_input is given without price_input and price_output: give all three or none"
    )
