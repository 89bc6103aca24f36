"""What the forms of Prefect are made from: empty fields that override nothing and say what then holds."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate
from pydantic import BaseModel

from prefect_llm import ApprovalOptions, LLMProvider, batch_inference, estimate_cost, redrive_failures
from prefect_llm.settings import ApiOptions, BatchOptions, DocumentOptions, MonitoringOptions, PromptSection, options

FORMS = [DocumentOptions, PromptSection, ApiOptions, BatchOptions, MonitoringOptions]


def shown(model: type[BaseModel], name: str) -> dict[str, Any]:
    found: dict[str, Any] = model.model_json_schema()["properties"][name]
    return found


@pytest.mark.parametrize("model", FORMS)
def test_a_form_names_no_default_that_it_would_submit(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_json_schema()["properties"].items() if "default" in field] == []


@pytest.mark.parametrize(
    ("model", "name", "ending"),
    [
        (ApiOptions, "timeout", "If empty: the block's own, else 120."),
        (ApiOptions, "deadline", "If empty: the block's own."),
        (BatchOptions, "concurrency", "If empty: the block's own, else auto."),
        (BatchOptions, "max_error_share", "If empty: 0.05."),
        (BatchOptions, "no_dedup", "unless a temperature is set."),
    ],
)
def test_a_field_says_what_holds_where_it_is_left_empty(model: type[BaseModel], name: str, ending: str) -> None:
    assert shown(model, name)["description"].endswith(ending)


def test_what_a_block_holds_is_what_falls_back_to_it() -> None:
    of_block = {key for key, option in options().items() if option.is_of_block}
    assert set(LLMProvider.model_fields) & set(options()) - {"base_url", "model"} == of_block


def test_an_optional_value_is_a_box_and_a_choice_a_list() -> None:
    assert shown(BatchOptions, "requests_per_minute")["type"] == "integer"
    assert shown(ApiOptions, "price_input")["type"] == "number"
    for name, listed in (("token_accounting", ["reserved", "used"]), ("share_limits", [True, False])):
        first, last = shown(BatchOptions, name)["anyOf"]
        assert (first["enum"], last) == (listed, {"type": "null", "title": "Leave open"})
        assert first["type"] == ("boolean" if listed[0] is True else "string")
    assert [each["title"] for each in shown(BatchOptions, "concurrency")["anyOf"]] == [
        "auto",
        "A number",
        "Leave open",
    ]


def test_a_group_with_a_default_that_beats_nothing_is_given_once_it_is_chosen() -> None:
    """A form submits none of a group without defaults that is left as it is: nobody would be asked to approve."""
    properties = ApprovalOptions.model_json_schema()["properties"]
    shown = {name: field.get("default") for name, field in properties.items()}
    assert shown == {"above": None, "sample": None, "preview_rows": None, "timeout_hours": 24}


@pytest.mark.parametrize("flow", [batch_inference, redrive_failures, estimate_cost])
def test_what_does_not_match_is_refused_by_the_name_of_its_field(flow: Flow[..., Any]) -> None:
    schema = parameter_schema(flow.fn).model_dump_for_openapi()
    given = dict.fromkeys(schema["required"], "a") | {"api": {"currency": "eur", "fallback": ["a b"]}}
    told = [(list(each.path), each.message) for each in validate(given, schema)]
    assert sorted(path for path, _ in told) == [["api", "currency"], ["api", "fallback", 0]], told


def test_null_counts_as_not_given() -> None:
    assert ApiOptions.model_validate({"timeout": None, "temperature": None}).model_fields_set == set()
