"""The same parameters again: what is done is not asked again, what is not done is."""

from __future__ import annotations

import contextvars
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.states import AwaitingRetry
from tests.conftest import WriteDocuments
from tests.flows.running import Parameters, deployed, flow_run_id, rows_of, run, state_of, taken_up
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm import InvalidInput, infer_chunk


def test_a_finished_run_asks_nothing_again(
    parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    run(parameters)
    before = rows_of(tmp_path / "run")
    scripted_server.reset()
    summary = run(parameters)
    assert scripted_server.stats().requests == 0
    assert (summary.totals.ok, summary.requests) == (100, 0)
    assert rows_of(tmp_path / "run") == before


def test_only_the_chunk_that_is_missing_is_asked(
    parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path, prefect_server: PrefectServer
) -> None:
    run(parameters)
    (tmp_path / "run" / "results" / "part-00001.parquet").unlink()
    scripted_server.reset()
    state = state_of(parameters)
    assert sorted(scripted_server.stats().by_document) == sorted(f"doc-{number}" for number in range(30, 60))
    assert [row["id"] for row in rows_of(tmp_path / "run")] == [f"d{number}" for number in range(100)]
    assert prefect_server.artifacts(flow_run_id(state))["llm-progress"].data == 100.0


def test_a_stopped_run_goes_on_with_another_key(
    parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_WRONG_KEY", "wrong")
    monkeypatch.setenv("TEST_RIGHT_KEY", "right")
    scripted_server.expect_key("right")
    base_url = scripted_server.base_url
    assert state_of(parameters | {"api": {"base_url": base_url, "api_key_env": "TEST_WRONG_KEY"}}).is_failed()
    summary = run(parameters | {"api": {"base_url": base_url, "api_key_env": "TEST_RIGHT_KEY"}})
    assert (summary.state, summary.totals.ok, len(rows_of(tmp_path / "run"))) == ("completed", 100, 100)


def test_a_retry_goes_on_with_the_artifacts_of_the_attempt_before_it(
    parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer
) -> None:
    scripted_server.script({f"doc-{row}": steps.hang() for row in range(60, 100)})
    flow_run = deployed(prefect_server, parameters)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(contextvars.copy_context().run, taken_up, flow_run, parameters)
        scripted_server.wait_for(answered=60, in_flight=10, timeout_s=60)
        scripted_server.expect_key("another")  # the hanging requests are retried, and refused
        scripted_server.release()
        assert first.result(timeout=60).is_failed()
    stopped = prefect_server.artifacts(flow_run.id)["llm-progress"]
    assert " left" not in str(stopped.description)

    scripted_server.reset()
    with prefect_server.client() as client:
        client.set_flow_run_state(flow_run.id, AwaitingRetry(), force=True)
    assert taken_up(flow_run, parameters).is_completed()
    with prefect_server.client() as client:
        ours = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run.id]))
        found = client.read_artifacts(artifact_filter=ours)
    shown = [each for each in found if each.key in ("llm-progress", "llm-chunks")]
    assert sorted(str(each.key) for each in shown) == ["llm-chunks", "llm-progress"]
    progress = next(each for each in shown if each.key == "llm-progress")
    assert (progress.id, progress.data) == (stopped.id, 100.0)
    assert "60 documents before by earlier attempts" in str(progress.description)


def test_another_prompt_in_that_directory_is_refused(parameters: Parameters, scripted_server: ScriptedServer) -> None:
    run(parameters)
    scripted_server.reset()
    with pytest.raises(InvalidInput, match="holds a run with other settings"):
        run(parameters | {"prompt": "Else: {{ text }}"})
    assert scripted_server.stats().requests == 0


def test_a_changed_source_is_logged_while_the_run_goes_on(
    parameters: Parameters,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    write_documents: WriteDocuments,
    tmp_path: Path,
) -> None:
    scripted_server.expect_key("another")
    assert state_of(parameters).is_failed()
    shutil.copy(write_documents(7), parameters["input"])
    scripted_server.expect_key(None)
    state = state_of(parameters)
    assert state.name == "Completed"
    assert len(rows_of(tmp_path / "run")) == 100
    prefect_server.settled()
    warnings = eventually(
        lambda: [log for log in prefect_server.logs(flow_run_id(state)) if "has changed" in log.message], bool
    )
    assert [log.message.rpartition("; ")[2] for log in warnings] == ["the run goes on with its snapshot"]


def test_a_flow_that_extracts_asks_and_loads_succeeds_at_its_second_try(
    parameters: Parameters, scripted_server: ScriptedServer, write_documents: WriteDocuments, tmp_path: Path
) -> None:
    """The first try's load fails; the second extracts the same documents anew, and asks nothing for them."""
    loaded: list[int] = []
    archived = tmp_path / "archived.parquet"

    @task(cache_policy=NO_CACHE)
    def extract() -> str:
        return str(shutil.copyfile(write_documents(40), tmp_path / "extracted.parquet"))

    @task(cache_policy=NO_CACHE)
    def load(source: str, rows: int) -> None:
        Path(source).rename(archived)
        loaded.append(rows)
        if len(loaded) == 1:
            raise ConnectionError("the warehouse is away")

    @flow(retries=1)
    def pipeline() -> None:
        source = extract()
        run(parameters | {"input": source})
        load(source, len(rows_of(tmp_path / "run")))

    pipeline()
    assert (loaded, scripted_server.stats().requests) == ([40, 40], 40)
    assert run(parameters | {"input": str(tmp_path / "extracted.parquet")}).requests == 0


def test_prefect_tries_a_chunk_again_whose_part_could_not_be_written(
    parameters: Parameters,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    write_documents: WriteDocuments,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A directory in the part's place makes the rename fail, for root too, until it is taken away."""
    trying_often = infer_chunk.with_options(retries=100, retry_delay_seconds=0.1)
    monkeypatch.setattr("prefect_llm.flows.batch.infer_chunk", trying_often)
    scripted_server.script_all(steps.hang())
    obstacle = tmp_path / "run" / "results" / "part-00000.parquet"

    def obstruct_two_attempts() -> None:
        scripted_server.wait_for(requests=3, in_flight=3)
        obstacle.mkdir()
        scripted_server.release()
        inflight = tmp_path / "run" / "_run" / "inflight"
        eventually(lambda: list(inflight.glob("chunk-00000-e*-a3.jsonl")), bool)
        obstacle.rmdir()

    with ThreadPoolExecutor(1) as pool:
        obstructing = pool.submit(obstruct_two_attempts)
        state = state_of(parameters | {"input": write_documents(3)})
        obstructing.result()
    assert state.name == "Completed"
    assert [row["id"] for row in rows_of(tmp_path / "run")] == ["d0", "d1", "d2"]
    assert scripted_server.stats().requests == 3  # what was paid for lies in the journal
    progress = prefect_server.artifacts(flow_run_id(state))["llm-progress"]
    assert progress.data == 100.0


def test_a_fault_that_stays_fails_the_run_with_its_own_type(
    parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_llm.flows.batch.infer_chunk", infer_chunk.with_options(retries=0))
    scripted_server.expect_key("another")
    assert state_of(parameters).is_failed()  # staged, and nothing done
    scripted_server.expect_key(None)
    (tmp_path / "run" / "results" / "part-00001.parquet").mkdir()
    state = state_of(parameters)
    assert isinstance(state.result(raise_on_failure=False), IsADirectoryError)
    assert (state.name, state.type.value) == ("Failed", "FAILED")
    (tmp_path / "run" / "results" / "part-00001.parquet").rmdir()
    assert run(parameters).totals.ok == 100
