"""How a run's end shows: the state's name and sentence in Prefect, the error's type in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import WriteDocuments
from tests.flows.running import Parameters, flow_run_id, rows_of, run, state_of
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm import InvalidInput, Summary, TooManyFailedRows
from prefect_llm.values.errors import AuthenticationFailed, ModelNotFound, TooManyFailures


def test_a_wrong_key_stops_the_run_under_its_own_name(
    parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    scripted_server.expect_key("another")
    state = state_of(parameters)
    known = prefect_server.flow_run(flow_run_id(state)).state
    assert known is not None
    assert (known.type.value, known.name) == ("FAILED", "AuthenticationFailed")
    assert known.message is not None
    assert "127.0.0.1" in known.message
    assert "\n" not in known.message
    assert rows_of(tmp_path / "run") == []
    artifacts = prefect_server.artifacts(flow_run_id(state))
    assert "100 pending" in str(artifacts["llm-report"].data)
    progress = artifacts["llm-progress"]
    assert progress.data == 0.0
    assert str(progress.description).startswith("0 of 100 documents, ")


def test_called_from_python_the_error_has_its_type_and_the_summary(
    parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    scripted_server.expect_key("another")
    with pytest.raises(AuthenticationFailed) as stopped:
        run(parameters)
    assert isinstance(stopped.value.summary, Summary)
    assert stopped.value.summary.state == "stopped"
    assert stopped.value.summary.totals.pending == 100


def test_a_wrong_key_costs_at_most_the_requests_in_flight(
    parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    scripted_server.expect_key("another")
    scripted_server.delay(0.05)
    parameters["batch"] = {"chunk_rows": 2, "concurrency": 10}
    assert state_of(parameters).name == "AuthenticationFailed"
    assert 1 <= scripted_server.stats().requests <= 10


def test_a_stopped_run_starts_no_more_chunks(
    parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer
) -> None:
    scripted_server.know_models("another")
    parameters["batch"] = {"chunk_rows": 2, "concurrency": 10}
    state = state_of(parameters)
    assert isinstance(state.result(raise_on_failure=False), ModelNotFound)
    task_runs = eventually(
        lambda: prefect_server.task_runs(flow_run_id(state)),
        lambda seen: any(each.name.startswith("finish-run") and each.state_name == "Completed" for each in seen),
    )
    chunks = [each for each in task_runs if each.name.startswith("infer-chunk")]
    assert 1 <= len(chunks) <= 6  # 10 places at 2 documents a chunk, and one more


def test_too_many_failed_rows_fail_the_run_with_complete_results(
    parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    scripted_server.script({f"doc-{number}": steps.status(400) for number in range(6)})
    state = state_of(parameters)
    assert (state.type.value, state.name) == ("FAILED", "TooManyFailedRows")
    assert str(state.message).startswith("6 of 100 documents failed, more than max_error_share allows (5%); see ")
    assert isinstance(state.result(raise_on_failure=False), TooManyFailedRows)
    assert len(rows_of(tmp_path / "run")) == 100


def test_as_many_failed_rows_as_are_allowed_complete_the_run(
    parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    scripted_server.script({f"doc-{number}": steps.status(400) for number in range(6)})
    parameters["batch"] |= {"max_error_share": 0.06}
    state = state_of(parameters)
    assert state.name == "Completed"
    assert state.result().totals.failed == 6


def test_a_run_that_mostly_fails_stops_early(
    parameters: Parameters, scripted_server: ScriptedServer, write_documents: WriteDocuments
) -> None:
    scripted_server.script_all(steps.error(400, "flagged", code="content_filter"))
    parameters |= {
        "input": write_documents(300),
        "batch": {"chunk_rows": 300, "concurrency": 4, "stop_error_share": 0.2},
    }
    with pytest.raises(TooManyFailures, match="more than stop_error_share allows"):
        run(parameters)
    assert 100 <= scripted_server.stats().requests < 300


def test_what_is_refused_asks_nothing_and_is_named_refused(
    parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    parameters["prompt"] = "Say: {{ texts }}"
    state = state_of(parameters)
    known = prefect_server.flow_run(flow_run_id(state)).state
    assert known is not None
    assert (known.type.value, known.name) == ("FAILED", "Refused")
    assert known.message is not None
    assert "texts" in known.message
    assert isinstance(state.result(raise_on_failure=False), InvalidInput)
    assert scripted_server.stats().requests == 0
    assert not (tmp_path / "run" / "results").exists()


def test_a_budget_that_is_used_up_stops_the_run_and_a_larger_one_completes_it(
    parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    scripted_server.script_all(steps.ok(usage=steps.tokens(10, 20)))
    parameters["api"] |= {"max_output_tokens": 20, "price_input": 1, "price_output": 1}
    parameters["batch"] |= {"max_cost": "0.0015"}
    stopped = state_of(parameters)
    assert (stopped.type.value, stopped.name) == ("FAILED", "BudgetExceeded")
    asked = scripted_server.stats().requests
    assert 45 <= asked <= 50
    parameters["batch"] |= {"max_cost": "1"}
    completed = state_of(parameters)
    assert (completed.name, str(completed.result().totals.cost)) == ("Completed", "0.003000000000")
    assert scripted_server.stats().requests == 100


def test_a_budget_without_a_price_is_refused(parameters: Parameters, scripted_server: ScriptedServer) -> None:
    parameters["api"] |= {"max_output_tokens": 20}
    parameters["batch"] |= {"max_cost": "1"}
    state = state_of(parameters)
    assert state.name == "Refused"
    assert "known price" in str(state.message)
    assert scripted_server.stats().requests == 0
