from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import BaseModel, ValidationError

from prefect_llm.prompts import PromptSpec
from prefect_llm.run.spec import RunSpec
from prefect_llm.settings import ApiOptions, DocumentOptions, RunSettings, options, sections

MODELS = [next(iter(known.values())).model for known in sections().values()]


def test_the_sections_are_those_of_the_contract() -> None:
    assert list(sections()) == ["documents", "prompt", "api", "batch", "output", "logging", "monitoring"]


def test_a_key_stands_in_one_section_only() -> None:
    assert sum(len(known) for known in sections().values()) == len(options())


@pytest.mark.parametrize("model", MODELS)
def test_every_field_explains_itself_in_the_form(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"]
    assert model.model_config["extra"] == "forbid"
    for name, field in model.model_fields.items():
        assert field.title, name
        assert (field.description or "").endswith("."), name


def test_the_form_of_prefect_hands_over_typed_values() -> None:
    documents = DocumentOptions.model_validate({"keep": ["a", "b"], "limit": 3})
    assert (documents.keep, documents.limit) == (("a", "b"), 3)
    api = ApiOptions.model_validate({"price_input": 0.15, "param": {"seed": 1}})
    assert str(api.price_input) == "0.15"


def test_a_key_in_the_wrong_field_of_the_form_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        ApiOptions.model_validate({"api_key_env": "sk-secret"})
    assert "sk-secret" not in str(caught.value)


def test_settings_survive_a_round_trip_through_json() -> None:
    settings = RunSettings.model_validate({"documents": {"keep": ["a"]}, "api": {"price_input": "0.1"}})
    assert RunSettings.model_validate_json(settings.model_dump_json()) == settings


def test_settings_load_without_prefect() -> None:
    code = "import sys, prefect_llm.settings; print({'prefect'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_the_spec_of_a_run_holds_is_fixed_and_no_other_option_but_its_files_and_places() -> None:
    prompt = PromptSpec(model="m", template="t", lenient_json=True, keep_reasoning=True)
    spec = RunSpec(prompt=prompt).to_json().keys() - {"params"} | {"param", "messages_column", "on_bad_rows"}
    assert spec | {"input", "output", "prompt_file"} == {
        option.key for option in options().values() if not option.is_free
    }
