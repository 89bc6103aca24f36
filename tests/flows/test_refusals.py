"""Parameters that make no run: each is refused in one sentence before anything is asked."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.flow_engine import run_flow
from tests.flows.running import Parameters, deployed, run, state_of
from tests.prefect_server import PrefectServer
from tests.scripted_server.client import ScriptedServer

from prefect_llm import InvalidInput, LLMProvider, batch_inference

NO_MODEL = LLMProvider(base_url="http://127.0.0.1:9/v1")
BLOCK = LLMProvider(base_url="http://127.0.0.1:9/v1", model="m")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"output": ""}, "output.output: String should have at least 1 character"),
        ({"input": ""}, "documents.input: String should have at least 1 character"),
        ({"prompt": "", "model": ""}, "no model: only a block has a default model, so give one"),
        ({"api": None}, "no provider: choose a saved LLM Provider block, or give api.base_url"),
        ({"model": None}, "no model: only a block has a default model, so give one"),
        (
            {"model": None, "api": None, "provider": NO_MODEL},
            "no model: the provider has no default model",
        ),
        ({"provider": "nobody"}, "provider and base_url are both given: leave one out"),
        ({"provider": BLOCK}, "provider and base_url are both given: leave one out"),
        (
            {"provider": "nobody", "api": {"api_key_env": "X"}},
            "provider and api_key_env are both given: leave one out",
        ),
        ({"provider": "nobody", "api": None}, "no LLM Provider block named 'nobody' is saved: create it"),
        ({"prompt_file": "prompt.txt"}, "prompt and prompt_file are both given: leave one out"),
        ({"prompt": None, "prompt_file": "nowhere.txt"}, "the prompt file nowhere.txt cannot be read"),
        ({"input": "nowhere.parquet"}, "nowhere.parquet"),
        ({"output": "runs/{night}"}, "there is no placeholder {night}"),
        ({"answer_schema": {"type": "nothing"}}, "schema"),
        ({"answer_schema": "nowhere.json"}, "the schema file nowhere.json cannot be read"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_run_that_cannot_be_is_refused_in_one_sentence(
    changes: Parameters, sentence: str, parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    state = state_of(parameters | changes)
    assert (state.name, state.type.value) == ("Refused", "FAILED")
    assert state.message is not None
    assert sentence in state.message
    assert "\n" not in state.message
    assert isinstance(state.result(raise_on_failure=False), InvalidInput)
    assert scripted_server.stats().requests == 0


def test_a_price_without_the_other_is_refused(parameters: Parameters, scripted_server: ScriptedServer) -> None:
    parameters["api"] |= {"price_input": 1}
    with pytest.raises(InvalidInput, match="price_input is given without price_output: give both or neither"):
        run(parameters)
    assert scripted_server.stats().requests == 0


def test_all_that_is_wrong_is_said_at_once(parameters: Parameters) -> None:
    with pytest.raises(InvalidInput) as refused:
        run(parameters | {"output": "", "input": ""})
    assert str(refused.value) == (
        "documents.input: String should have at least 1 character\n"
        "output.output: String should have at least 1 character"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": 5},
        {"provider": 5},
        {"batch": {"concurrency": 0}},
        {"batch": {"concurrency": "many"}},
        {"batch": {"colour": "red"}},
        {"batch": {"max_error_share": 2}},
        {"api": {"base_url": "localhost:8000"}},
        {"api": {"temperature": -1}},
        {"documents": {"limit": 0}},
        {"monitoring": {"stats_interval_seconds": 0}},
        {"keep_raw": "perhaps"},
    ],
    ids=str,
)
def test_wrong_types_and_values_are_refused_by_prefect(
    wrong: dict[str, Any], parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    with pytest.raises(ParameterTypeError, match=next(iter(wrong))):
        run(parameters | wrong)
    assert scripted_server.stats().requests == 0


def test_a_refused_run_of_a_worker_is_told_without_a_traceback(
    parameters: Parameters, prefect_server: PrefectServer, caplog: pytest.LogCaptureFixture
) -> None:
    parameters["batch"] |= {"reuse": "previous"}
    flow_run = deployed(prefect_server, parameters)
    with pytest.raises(InvalidInput, match="names one directory only"):
        run_flow(batch_inference, flow_run, parameters, error_logger=logging.getLogger("prefect.flow_runs"))
    assert "Traceback" not in caplog.text
    assert "names one directory only, which has no previous run" in caplog.text
    assert prefect_server.flow_run(flow_run.id).state_name == "Refused"
