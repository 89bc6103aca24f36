"""A form's parameters stand for a run's settings; `--prefect` shows the one and runs with the other."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from prefect import get_client
from prefect.client.schemas.sorting import FlowRunSort
from tests.flows.running import Parameters

from prefect_llm.flows.batch import infer_with
from prefect_llm.flows.form import Question, Sections, form_settings, parameters_of
from prefect_llm.settings import RunSettings, load

FLAGS = {
    "input": "in.csv",
    "id_column": "key",
    "keep": "a,b",
    "model": "m",
    "system": "Answer {{ text }}.",
    "prompt": "{{ text }}",
    "schema": "schema.json",
    "row_params": "own",
    "temperature": "0.5",
    "param": ["seed=7"],
    "fallback": "/other",
    "timeout": "9",
    "price_input": "1",
    "price_output": "2",
    "concurrency": "7",
    "max_cost": "3",
    "output": "run",
    "keep_raw": "true",
    "stats_interval_seconds": "5",
}


def given_in(settings: RunSettings) -> dict[str, Any]:
    """Every option that was given, by section: of what was left open the default holds."""
    given = settings.model_dump(exclude_unset=True, exclude={"logging"})
    return {name: {key: value for key, value in each.items() if value is not None} for name, each in given.items()}


def filled_in(parameters: dict[str, Any]) -> RunSettings:
    """The settings of a form with these parameters."""
    question, sections = (
        made(**{each.name: parameters[each.name] for each in fields(made)}) for made in (Question, Sections)
    )
    assert isinstance(question, Question)
    assert isinstance(sections, Sections)
    return form_settings(
        parameters["input"], parameters["output"], question, sections, keep_raw=parameters["keep_raw"]
    )


def test_a_form_filled_in_with_settings_stands_for_these_settings() -> None:
    settings = load(FLAGS | {"base_url": "http://localhost/v1"}, {})
    assert given_in(filled_in(parameters_of(settings))) == given_in(settings)
    named = load(FLAGS | {"provider": "a-block"}, {})
    assert given_in(filled_in(parameters_of(named))) == given_in(named)


def test_a_run_with_settings_shows_them_as_the_parameters_of_the_flow_run(
    parameters: Parameters, tmp_path: Path
) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Say: {{ text }}")
    flags = {"input": parameters["input"], "output": f"{parameters['output']}-{{flow_run_id}}", "model": "m"}
    settings = load(flags | {"prompt_file": str(prompt), **parameters["api"], "concurrency": "10"}, {})

    summary = infer_with(settings)

    with get_client(sync_client=True) as client:
        (flow_run,) = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
    shown = flow_run.parameters
    assert (summary.totals.ok, summary.output) == (100, f"{parameters['output']}-{flow_run.id}")
    assert {name: shown[name] for name in flags} == flags
    assert (shown["prompt_file"], shown["batch"]["concurrency"]) == (str(prompt), 10)
    assert shown["api"]["base_url"] == parameters["api"]["base_url"]
