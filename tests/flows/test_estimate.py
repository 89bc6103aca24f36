"""The flow `estimate_cost` against the session's Prefect server."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.client.schemas.objects import State
from tests.flows.running import Parameters, flow_run_id, run
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server.client import ScriptedServer

from prefect_llm import Estimate, InvalidInput, estimate_cost


def estimated(parameters: Parameters, **more: Any) -> State[Estimate]:
    return estimate_cost(**parameters, **more, return_state=True)


def found_in(state: State[Estimate]) -> Estimate:
    found = state.result()
    assert isinstance(found, Estimate)
    return found


def test_nothing_is_asked_and_the_estimate_is_an_artifact(
    prefect_server: PrefectServer, scripted_server: ScriptedServer, parameters: Parameters
) -> None:
    state = estimated(parameters, models=["openai/gpt-4.1-mini"])
    found = found_in(state)
    assert (found.requests, found.sample) == (100, None)
    assert scripted_server.stats().requests == 0
    artifacts = eventually(lambda: prefect_server.artifacts(flow_run_id(state)), lambda seen: "llm-estimate" in seen)
    assert "openai/gpt-4.1-mini" in str(artifacts["llm-estimate"].data)


def test_a_sample_is_taken_by_the_run(scripted_server: ScriptedServer, parameters: Parameters) -> None:
    found = found_in(estimated(parameters, sample=15, seed=4))
    assert found.sample is not None
    assert scripted_server.stats().requests == 15
    summary = run(parameters | {"batch": parameters["batch"] | {"reuse": found.sample.output}})
    assert (summary.totals.ok, summary.totals.reused) == (100, 15)


def test_a_sample_without_an_output_is_refused(parameters: Parameters) -> None:
    state = estimated({key: value for key, value in parameters.items() if key != "output"}, sample=15)
    assert (state.is_failed(), state.name) == (True, "Refused")
    with pytest.raises(InvalidInput, match="sample's answers"):
        state.result()
