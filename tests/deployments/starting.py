"""Flow runs of the deployment `manual`: started, waited for and retried as the UI does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.dataset as ds
from prefect.client.schemas.objects import FlowRun
from prefect.states import AwaitingRetry
from tests.prefect_server import PrefectServer, eventually

from prefect_llm import batch_inference

RUN_S = 120.0
CANCEL_S = 60.0

Parameters = dict[str, Any]


def pid_of_the_owner(output: Path) -> int:
    (lease,) = (output / "_run" / "lease").iterdir()
    pid: int = json.loads(lease.read_text())["process"]["pid"]
    return pid


def retry(server: PrefectServer, flow_run_id: UUID) -> None:
    """As the button in the UI does."""
    with server.client() as client:
        client.set_flow_run_state(flow_run_id, AwaitingRetry(), force=True)


def ids_of(output: Path) -> list[str]:
    ids: list[str] = ds.dataset(output / "results").to_table(["id"])["id"].to_pylist()
    return ids


def contents_of(output: Path) -> dict[str, bytes]:
    """Every file of the run."""
    return {str(path): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def start(server: PrefectServer, parameters: Parameters) -> UUID:
    with server.client() as client:
        manual = client.read_deployment_by_name(f"{batch_inference.name}/manual")
        return client.create_flow_run_from_deployment(manual.id, parameters=parameters).id


def ended(server: PrefectServer, flow_run_id: UUID, log: Path, timeout_s: float = RUN_S) -> FlowRun:
    """The flow run in its final state; the worker's log is in the error if there is none in time."""
    try:
        return eventually(lambda: server.flow_run(flow_run_id), is_final, timeout_s)
    except TimeoutError as error:
        raise TimeoutError(f"{error}; the worker said: {log.read_text()[-4000:]}") from error


def is_final(flow_run: FlowRun) -> bool:
    """Whether it has ended."""
    return flow_run.state is not None and flow_run.state.is_final()
