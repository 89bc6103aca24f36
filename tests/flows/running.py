"""Running the flow in this process, and reading what it left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pyarrow.dataset as ds
from prefect import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow_sync
from tests.prefect_server import PrefectServer

from prefect_llm import Summary, batch_inference

Parameters = dict[str, Any]


def run(parameters: Parameters) -> Summary:
    """The flow as a person calls it: the summary, or the error raised."""
    return cast(Summary, batch_inference(**parameters))


def state_of(parameters: Parameters) -> State[Summary]:
    """The final state of the flow run; nothing is raised."""
    return batch_inference(**parameters, return_state=True)


def flow_run_id(state: State[Any]) -> UUID:
    found = state.state_details.flow_run_id
    assert found is not None
    return found


def rows_of(output: str | Path) -> list[dict[str, Any]]:
    """Every result row, in the order of the parts."""
    return cast(list[dict[str, Any]], ds.dataset(f"{output}/results").to_table().to_pylist())


def deployed(server: PrefectServer, parameters: Parameters) -> FlowRun:
    """A flow run of a deployment, which nothing has taken up yet."""
    with server.client() as client:
        flow_id = client.create_flow(batch_inference)
        deployment = client.create_deployment(flow_id, name="approved", entrypoint="nowhere")
        return client.create_flow_run_from_deployment(deployment, parameters=parameters)


def taken_up(flow_run: FlowRun, parameters: Parameters) -> State[Summary]:
    """As a worker's process does."""
    with get_client(sync_client=True) as client:
        now = client.read_flow_run(flow_run.id)
    return cast(
        State[Summary],
        run_flow_sync(batch_inference, flow_run=now, parameters=parameters, return_type="state"),
    )
