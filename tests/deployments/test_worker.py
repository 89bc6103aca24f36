"""Runs of the deployment `manual`, started through the API and carried out by a worker process."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from prefect.states import AwaitingRetry, Cancelling
from tests.deployments.conftest import KEY
from tests.deployments.starting import (
    CANCEL_S,
    RUN_S,
    Parameters,
    contents_of,
    ended,
    ids_of,
    is_final,
    pid_of_the_owner,
    retry,
    start,
)
from tests.prefect_server import PrefectServer, eventually
from tests.run.running import make_old_and_from_elsewhere
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider

ARTIFACTS = [f"llm-{name}" for name in ("chunks", "cost", "figures", "progress", "report", "results")]


def test_a_run_from_the_form_completes_and_its_results_are_readable(
    parameters: Parameters, worker: Path, deployed: PrefectServer, tmp_path: Path
) -> None:
    flow_run_id = start(deployed, parameters)
    flow_run = ended(deployed, flow_run_id, worker)
    assert flow_run.state_name == "Completed", worker.read_text()
    rows = ds.dataset(tmp_path / str(flow_run_id) / "results").to_table(["id", "content"]).to_pylist()
    assert [row["id"] for row in rows] == [f"d{number}" for number in range(100)]
    assert rows[7]["content"] == "echo: Say: doc-7 hello"
    artifacts = eventually(lambda: deployed.artifacts(flow_run_id), lambda seen: len(seen) == 6)
    assert sorted(map(str, artifacts)) == ARTIFACTS
    assert deployed.rows_with(KEY) == []
    assert KEY not in worker.read_text()


def test_a_relative_output_is_refused_where_prefect_would_remove_it(
    parameters: Parameters, worker: Path, deployed: PrefectServer, scripted_server: ScriptedServer
) -> None:
    """A worker gives each run a directory of its own, and removes it."""
    refused = ended(deployed, start(deployed, parameters | {"output": "answers"}), worker)
    assert refused.state_name == "Refused", worker.read_text()
    assert refused.state is not None
    assert "give an absolute path" in str(refused.state.message)
    assert scripted_server.stats().requests == 0


def test_a_saved_block_picked_in_the_form_is_asked(
    parameters: Parameters, worker: Path, deployed: PrefectServer, scripted_server: ScriptedServer
) -> None:
    """The form sends a reference to the block's document."""
    base_url = parameters.pop("api")["base_url"]
    settings: dict[str, Any] = {"base_url": base_url, "api_key": "sk-of-the-block", "model": "block-model"}
    document_id = LLMProvider(**settings).save("picked", overwrite=True)
    scripted_server.expect_key("sk-of-the-block")
    parameters |= {"provider": {"$ref": {"block_document_id": str(document_id)}}, "model": ""}
    flow_run_id = start(deployed, parameters)
    assert ended(deployed, flow_run_id, worker).state_name == "Completed", worker.read_text()
    assert {received.body["model"] for received in scripted_server.log()} == {"block-model"}
    assert deployed.rows_with("sk-of-the-block") == []


def test_retrying_a_stopped_run_in_the_ui_resumes_it_in_its_own_directory(
    parameters: Parameters, worker: Path, deployed: PrefectServer, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    parameters["batch"] = {"chunk_rows": 30, "concurrency": 20}
    scripted_server.script({"doc-99": steps.status(402)})
    flow_run_id = start(deployed, parameters)
    stopped = ended(deployed, flow_run_id, worker)
    assert (stopped.state_name, stopped.run_count) == ("AccountExhausted", 1), worker.read_text()
    asked_before = scripted_server.stats().requests

    scripted_server.script({"doc-99": steps.ok()})
    with deployed.client() as client:
        client.set_flow_run_state(flow_run_id, AwaitingRetry(), force=True)
    completed = ended(deployed, flow_run_id, worker)
    assert (completed.state_name, completed.run_count) == ("Completed", 2), worker.read_text()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [str(flow_run_id)]
    assert ds.dataset(tmp_path / str(flow_run_id) / "results").count_rows() == 100
    assert scripted_server.stats().requests - asked_before <= 40


def test_cancelling_in_the_ui_stops_the_run_and_the_same_output_finishes_it(
    parameters: Parameters, worker: Path, deployed: PrefectServer, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    parameters |= {"output": str(tmp_path / "run"), "batch": {"chunk_rows": 30, "concurrency": 20}}
    scripted_server.script({f"doc-{row}": steps.hang() for row in range(90, 100)})
    flow_run_id = start(deployed, parameters)
    scripted_server.wait_for(requests=100, answered=90, in_flight=10, timeout_s=RUN_S)
    parts = [tmp_path / "run" / "results" / f"part-0000{chunk}.parquet" for chunk in range(3)]
    eventually(lambda: [part.exists() for part in parts], all)
    with deployed.client() as client:
        client.set_flow_run_state(flow_run_id, Cancelling())
    assert ended(deployed, flow_run_id, worker, CANCEL_S).state_name == "Cancelled", worker.read_text()
    manifest = json.loads((tmp_path / "run" / "_run" / "manifest.json").read_text())
    assert (manifest["state"], manifest["totals"]["ok"]) == ("interrupted", 90)

    scripted_server.reset()
    again = start(deployed, parameters | {"api": parameters["api"] | {"timeout": 60}})
    assert ended(deployed, again, worker).state_name == "Completed", worker.read_text()
    assert scripted_server.stats().requests == 10
    assert ds.dataset(tmp_path / "run" / "results").count_rows() == 100


def test_of_two_runs_on_one_directory_one_is_refused_and_its_retry_finishes_what_the_killed_one_began(
    parameters: Parameters, worker: Path, deployed: PrefectServer, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    parameters |= {"output": str(tmp_path / "run")}
    scripted_server.script_all(steps.hang())
    both = {start(deployed, parameters), start(deployed, parameters)}
    scripted_server.wait_for(in_flight=10, timeout_s=RUN_S)
    (refused,) = eventually(lambda: [each for each in both if is_final(deployed.flow_run(each))], bool, RUN_S)
    assert deployed.flow_run(refused).state_name == "Refused", worker.read_text()
    (owner,) = both - {refused}
    os.kill(pid_of_the_owner(tmp_path / "run"), signal.SIGKILL)
    assert ended(deployed, owner, worker).state_name == "Crashed", worker.read_text()
    assert scripted_server.stats().requests == 10

    scripted_server.reset()
    retry(deployed, refused)
    assert ended(deployed, refused, worker).state_name == "Completed", worker.read_text()
    assert ids_of(tmp_path / "run") == [f"d{number}" for number in range(100)]
    assert set(scripted_server.stats().by_document.values()) == {1}


def test_a_retry_finishes_the_run_of_a_process_that_is_only_paused_and_that_changes_nothing_when_it_wakes_up(
    parameters: Parameters, worker: Path, deployed: PrefectServer, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    """The lease is made that of a silent process on another host: beside a paused one a retry is refused."""
    parameters |= {"output": str(tmp_path / "run")}
    scripted_server.script_all(steps.hang(steps.ok("late")))
    flow_run_id = start(deployed, parameters)
    scripted_server.wait_for(in_flight=10, timeout_s=RUN_S)
    paused = pid_of_the_owner(tmp_path / "run")
    os.kill(paused, signal.SIGSTOP)
    try:
        (lease,) = (tmp_path / "run" / "_run" / "lease").iterdir()
        make_old_and_from_elsewhere(lease)
        scripted_server.script_all(steps.ok("of the retry"))
        retry(deployed, flow_run_id)
        completed = ended(deployed, flow_run_id, worker)
        assert (completed.state_name, completed.run_count) == ("Completed", 2), worker.read_text()
        before = contents_of(tmp_path / "run")
        scripted_server.release()
    finally:
        os.kill(paused, signal.SIGCONT)
    eventually(lambda: Path(f"/proc/{paused}").exists(), lambda there: not there, CANCEL_S)
    assert contents_of(tmp_path / "run") == before
    assert ids_of(tmp_path / "run") == [f"d{number}" for number in range(100)]
    contents = ds.dataset(tmp_path / "run" / "results").to_table(["content"])["content"].unique().to_pylist()
    assert contents == ["of the retry"]
    assert "was taken over by another process" in worker.read_text()
    assert deployed.flow_run(flow_run_id).state_name == "Completed", worker.read_text()
