"""The run's parameters, and a document's own over them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from prefect_llm.prompts import Prompt, PromptSpec
from prefect_llm.prompts.parameters import MAX_CACHED
from prefect_llm.values.errors import BadDocument, InvalidInput
from prefect_llm.values.request import Parameters

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def of_row(value: Any, **spec: Any) -> Parameters:
    prompt = Prompt(PromptSpec(model="m", template="hi", row_params="p", **spec))
    return prompt.request(0, "1", {"p": value}).parameters


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model", "an option of its own"),
        ("temperature", "an option of its own"),
        ("max_output_tokens", "an option of its own"),
        ("max_tokens", "another name of the output limit"),
        ("max_completion_tokens", "another name of the output limit"),
        ("n_predict", "another name of the output limit"),
        ("n", "exactly one answer"),
        ("best_of", "exactly one answer"),
        ("stream", "not a parameter of the answer"),
        ("stream_options", "not a parameter of the answer"),
        ("messages", "not a parameter of the answer"),
        ("", "its name is empty"),
    ],
)
def test_a_run_parameter_with_a_reserved_name_is_refused(name: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Prompt(PromptSpec(model="m", template="hi", params={name: 1}))
    assert f"parameter {name!r} is refused" in caught.value.message
    assert said in caught.value.message


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n", "stream", "messages"])
def test_a_row_parameter_with_a_reserved_name_fails_its_row(name: str) -> None:
    with pytest.raises(BadDocument, match=f"column 'p': '{name}' is refused"):
        of_row({name: 1})


@pytest.mark.parametrize(
    ("given", "temperature", "extra"),
    [
        ({"temperature": Decimal("0.5"), "seed": 7}, 0.5, {"seed": 7}),
        ({"temperature": Decimal("0.5"), "seed": Decimal("7.0")}, 0.5, {"seed": 7}),
        ({"temperature": Decimal("1.0"), "top_p": Decimal("0.90")}, 1.0, {"top_p": 0.9}),
        (
            {"logit_bias": {"50256": Decimal("-100.0")}, "stop": None, "x": [Decimal("0.1")]},
            None,
            {"logit_bias": {"50256": -100}, "x": [0.1]},
        ),
    ],
)
def test_decimals_of_sql_are_sent_as_numbers(given: Any, temperature: Any, extra: Any) -> None:
    parameters = of_row(given)
    assert (parameters.temperature, parameters.extra) == (temperature, extra)
    assert [type(value) for value in parameters.extra.values()] == [type(value) for value in extra.values()]


def test_a_decimal_limit_is_an_integer_and_one_that_is_no_number_fails_its_row() -> None:
    assert of_row({"max_output_tokens": Decimal("50")}).max_output_tokens == 50
    with pytest.raises(BadDocument, match="max_output_tokens must be a positive integer"):
        of_row({"max_output_tokens": Decimal("50.5")})
    with pytest.raises(BadDocument, match="NaN is no number"):
        of_row({"temperature": Decimal("NaN")})


def test_response_format_is_a_parameter_only_without_a_schema() -> None:
    given = {"response_format": {"type": "json_object"}}
    assert Prompt(PromptSpec(model="m", template="hi", params=given)).parameters.extra == given
    with pytest.raises(InvalidInput, match="schema is already given"):
        Prompt(PromptSpec(model="m", template="hi", params=given, schema=SCHEMA))
    with pytest.raises(BadDocument, match="schema is already given"):
        of_row(given, schema=SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"model": 3},
        {"max_output_tokens": 0},
        {"max_output_tokens": 1.5},
        {"max_output_tokens": True},
        {"max_output_tokens": "8"},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"temperature": "hot"},
        {"temperature": True},
    ],
)
def test_a_value_out_of_range_is_refused_for_the_run_and_fails_the_row(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(InvalidInput, match=f"{name} must be"):
        Prompt(PromptSpec(**({"model": "m", "template": "hi"} | wrong)))
    with pytest.raises(BadDocument, match=f"{name} must be"):
        of_row(wrong)


def test_parameters_that_are_not_json_are_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be sent as JSON"):
        Prompt(PromptSpec(model="m", template="hi", params={"seed": {1, 2}}))
    with pytest.raises(BadDocument, match="column 'p'"):
        of_row({"seed": b"1"})


@pytest.mark.parametrize(
    "value",
    [
        {"model": "other", "max_output_tokens": 9, "temperature": 1, "seed": 2},
        '{"seed": 2, "temperature": 1.0, "max_output_tokens": 9, "model": "other"}',
    ],
)
def test_row_parameters_lie_over_the_runs(value: Any) -> None:
    found = of_row(value, max_output_tokens=5, temperature=0.0, params={"seed": 1, "top_p": 0.5}, schema=SCHEMA)
    assert (found.model, found.max_output_tokens, found.temperature) == ("other", 9, 1.0)
    assert found.extra == {"seed": 2, "top_p": 0.5}
    assert found.answer_format is not None
    assert found.answer_format.schema == SCHEMA


def test_a_null_in_the_row_leaves_the_runs_value() -> None:
    found = of_row({"temperature": None, "seed": None, "top_k": 3}, temperature=0.5, params={"seed": 1})
    assert found.temperature == 0.5
    assert found.extra == {"seed": 1, "top_k": 3}


@pytest.mark.parametrize("nothing", [None, "", " ", "null", "{}", {}, {"seed": None}])
def test_a_row_without_parameters_shares_the_runs_instance(nothing: Any) -> None:
    prompt = Prompt(PromptSpec(model="m", template="hi", row_params="p"))
    assert prompt.request(0, "1", {"p": nothing}).parameters is prompt.parameters


def test_equal_row_parameters_share_one_instance_whatever_their_spelling() -> None:
    prompt = Prompt(PromptSpec(model="m", template="hi", row_params="p"))
    spellings: list[Any] = [{"seed": 1, "top_k": 2}, {"top_k": 2, "seed": 1}, '{"top_k":2, "seed":1}']
    first, second, third = (prompt.request(0, "1", {"p": each}).parameters for each in spellings)
    assert first is second is third


def test_row_parameters_of_their_own_in_each_row_are_forgotten_again() -> None:
    prompt = Prompt(PromptSpec(model="m", template="hi", row_params="p"))
    first = prompt.request(0, "1", {"p": {"seed": -1}}).parameters
    for seed in range(MAX_CACHED):
        prompt.request(0, "1", {"p": {"seed": seed}})
    assert prompt.request(0, "1", {"p": {"seed": -1}}).parameters is not first


def test_an_integer_that_arrow_made_a_float_is_an_output_limit() -> None:
    assert of_row({"max_output_tokens": 256.0}).max_output_tokens == 256


@pytest.mark.parametrize("wrong", ["{", "[1]", "3", 3, [{"seed": 1}]])
def test_a_row_parameter_column_without_an_object_fails_the_row(wrong: Any) -> None:
    with pytest.raises(BadDocument, match="row parameters in column 'p'"):
        of_row(wrong)


def test_a_document_s_own_parameters_change_nothing_of_what_counts_as_truncated() -> None:
    prompt = Prompt(PromptSpec(model="m", template="x", row_params="p", fail_truncated=True))
    own = prompt.request(0, "a", {"p": '{"temperature": 1}'}).parameters
    assert own.fail_truncated
    assert prompt.parameters.fail_truncated


def test_what_the_model_thought_is_kept_for_all_documents() -> None:
    prompt = Prompt(PromptSpec(model="m", template="x", row_params="p", keep_reasoning=True))
    own = prompt.request(0, "a", {"p": {"seed": 1}}).parameters
    assert own.keep_reasoning
    assert prompt.parameters.keep_reasoning


def test_what_counts_as_truncated_does_not_change_the_request() -> None:
    fingerprints = {
        Prompt(PromptSpec(model="m", template="x", fail_truncated=fails)).request(0, "a", {}).fingerprint
        for fails in (True, False)
    }
    assert len(fingerprints) == 1
