"""`{scheduled:...}` and `{flow_run_id}` in the output, resolved once per flow run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import flow
from prefect.context import FlowRunContext
from prefect.flow_engine import run_flow_sync
from prefect.states import Scheduled
from tests.conftest import WriteDocuments
from tests.flows.running import Parameters, flow_run_id, run, state_of
from tests.prefect_server import PrefectServer

from prefect_llm import Summary, batch_inference


def test_the_directory_is_named_after_the_scheduled_time_and_the_flow_run(
    parameters: Parameters, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    parameters["output"] = f"{tmp_path}/{{scheduled:%Y-%m-%d}}/{{flow_run_id}}"
    state = state_of(parameters)
    flow_run = prefect_server.flow_run(flow_run_id(state))
    assert flow_run.expected_start_time is not None
    assert state.result().output == f"{tmp_path}/{flow_run.expected_start_time:%Y-%m-%d}/{flow_run.id}"


def test_a_night_is_named_by_the_day_of_the_zone(
    parameters: Parameters, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    half_past_one = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
    parameters["output"] = f"{tmp_path}/{{scheduled:%Y-%m-%d@Europe/Berlin}}"
    with prefect_server.client() as client:
        night = client.create_flow_run(
            batch_inference, parameters=parameters, state=Scheduled(scheduled_time=half_past_one)
        )
    summary = run_flow_sync(batch_inference, flow_run=night, parameters=parameters)
    assert isinstance(summary, Summary)
    assert summary.output == f"{tmp_path}/2026-10-25"


def test_a_run_that_starts_late_keeps_its_own_night(
    parameters: Parameters, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    three_days_ago = datetime.now(UTC) - timedelta(days=3)
    parameters["output"] = f"{tmp_path}/{{scheduled:%Y-%m-%d-%H-%M}}"
    with prefect_server.client() as client:
        late = client.create_flow_run(
            batch_inference, parameters=parameters, state=Scheduled(scheduled_time=three_days_ago)
        )
    summary = run_flow_sync(batch_inference, flow_run=late, parameters=parameters)
    assert isinstance(summary, Summary)
    assert summary.output == f"{tmp_path}/{three_days_ago:%Y-%m-%d-%H-%M}"


def test_inside_another_flow_it_is_that_flow_s_scheduled_time(
    parameters: Parameters, write_documents: WriteDocuments, tmp_path: Path
) -> None:
    parameters |= {"output": f"{tmp_path}/{{scheduled:%H-%M-%S-%f}}", "input": write_documents(3)}
    scheduled: list[datetime] = []

    @flow
    def nightly() -> str:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        assert context.flow_run.expected_start_time is not None
        scheduled.append(context.flow_run.expected_start_time)
        return run(parameters).output

    assert nightly() == f"{tmp_path}/{scheduled[0]:%H-%M-%S-%f}"
