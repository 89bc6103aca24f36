"""Each deployment of prefect.yaml, and those of serve.py, carried out once; only paths are other than written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.dataset as ds
import pytest
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.states import Scheduled
from pydantic import SecretStr
from tests.conftest import WriteDocuments
from tests.deployments.conftest import COMMAND_S, DEPLOYMENTS, WITH_SIGINT, flow_of, prefect
from tests.deployments.starting import RUN_S, ended
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm import LLMProvider, ModelPrice, batch_inference


@pytest.fixture(autouse=True)
def production(deployed: PrefectServer, scripted_server: ScriptedServer) -> None:
    """The block that the deployments ask."""
    scripted_server.script_all(steps.ok("yes", usage=steps.tokens(10, 20)))
    price = ModelPrice(input=Decimal(2), output=Decimal(8), date="2026-11-01")
    block = LLMProvider(base_url=scripted_server.base_url, api_key=SecretStr("sk-1"), model="m", prices={"m": price})
    block.save("production", overwrite=True)


def test_nightly_asks_new_rows_only(
    worker: Path,
    deployed: PrefectServer,
    scripted_server: ScriptedServer,
    write_documents: WriteDocuments,
    tmp_path: Path,
) -> None:
    output = f"{tmp_path}/answers/{{scheduled:%Y-%m-%d}}"
    for night, rows in ((3, 20), (2, 25)):
        at = datetime.now(UTC) - timedelta(days=night)
        flow_run_id = start(deployed, "nightly", {"input": write_documents(rows), "output": output}, at)
        assert ended(deployed, flow_run_id, worker).state_name == "Completed", worker.read_text()
        assert answers(tmp_path / "answers" / f"{at:%Y-%m-%d}") == ["yes"] * rows
    assert scripted_server.stats().requests == 25


def test_hourly_stops_at_its_budget_and_the_next_hour_goes_on_from_what_was_paid(
    worker: Path,
    deployed: PrefectServer,
    scripted_server: ScriptedServer,
    write_documents: WriteDocuments,
    tmp_path: Path,
) -> None:
    parameters = {"input": write_documents(20), "output": f"{tmp_path}/hourly/{{scheduled:%Y-%m-%dT%H}}"}
    with deployed.client() as client:
        written = client.read_deployment_by_name(f"{batch_inference.name}/hourly").parameters
    small = {"batch": written["batch"] | {"max_cost": 0.0025}}
    two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
    stopped = ended(deployed, start(deployed, "hourly", parameters | small, two_hours_ago), worker)
    assert stopped.state_name == "BudgetExceeded", worker.read_text()
    paid = scripted_server.stats().requests
    assert 0 < paid < 20

    next_hour = two_hours_ago + timedelta(hours=1)
    completed = ended(deployed, start(deployed, "hourly", parameters, next_hour), worker)
    assert completed.state_name == "Completed", worker.read_text()
    assert scripted_server.stats().requests == 20
    assert answers(tmp_path / "hourly" / f"{next_hour:%Y-%m-%dT%H}") == ["yes"] * 20


def test_an_event_starts_a_run_over_the_files_that_it_names(
    worker: Path, deployed: PrefectServer, write_documents: WriteDocuments, tmp_path: Path
) -> None:
    output = tmp_path / "answers"
    payload = f'{{"input": "{write_documents(7)}", "output": "{output}"}}'
    prefect(
        "event", "emit", "documents.arrived", "--resource-id", "llm.documents", "--payload", payload, server=deployed
    )  # fmt: skip
    (flow_run,) = eventually(lambda: runs_of(deployed, "on-new-files"), bool, COMMAND_S)
    assert ended(deployed, flow_run.id, worker).state_name == "Completed", worker.read_text()
    assert answers(output) == ["yes"] * 7


def test_redrive_asks_the_failed_rows_of_a_run_again(
    worker: Path,
    deployed: PrefectServer,
    scripted_server: ScriptedServer,
    write_documents: WriteDocuments,
    tmp_path: Path,
) -> None:
    output = str(tmp_path / "answers")
    scripted_server.script_all(steps.error(400, "no"))
    batch = {"max_error_share": 1, "stop_error_share": 1}
    failing = {"input": write_documents(5), "output": output, "provider": "production", "batch": batch}
    first = start(deployed, "manual", failing | {"prompt": "{{ text }}"})
    assert ended(deployed, first, worker).state_name == "Completed", worker.read_text()
    assert answers(tmp_path / "answers") == [None] * 5

    scripted_server.script_all(steps.ok("yes", usage=steps.tokens(10, 20)))
    again = start(deployed, "redrive", {"output": output, "only": ["rejected"]})
    assert ended(deployed, again, worker).state_name == "Completed", worker.read_text()
    assert answers(tmp_path / "answers") == ["yes"] * 5


def test_estimate_says_what_a_night_would_cost_and_asks_nothing(
    worker: Path, deployed: PrefectServer, scripted_server: ScriptedServer, write_documents: WriteDocuments
) -> None:
    estimated = ended(deployed, start(deployed, "estimate", {"input": write_documents(20)}), worker)
    assert estimated.state_name == "Completed", worker.read_text()
    assert scripted_server.stats().requests == 0
    with deployed.client() as client:
        only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[estimated.id]))
        (artifact,) = client.read_artifacts(artifact_filter=only)
    assert artifact.key == "llm-estimate"
    assert "20 documents" in str(artifact.data)


@contextmanager
def serving(server: PrefectServer, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """deployments/serve.py as a process, which writes its log there, once its deployments are registered."""
    environ = server.environ | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    command = [*WITH_SIGINT, sys.executable, str(DEPLOYMENTS / "serve.py")]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=log.parent, env=environ, stdout=file, stderr=subprocess.STDOUT)
        try:
            eventually(lambda: (is_there(server, "served"), is_there(server, "served-nightly")), all, COMMAND_S)
            yield process
        finally:
            process.terminate()
            process.wait(timeout=COMMAND_S)


def test_serve_carries_out_runs_without_a_pool_and_continues_them_after_a_restart(
    deployed: PrefectServer, scripted_server: ScriptedServer, write_documents: WriteDocuments, tmp_path: Path
) -> None:
    scripted_server.script({"doc-8": steps.hang()})
    output, first, second = tmp_path / "answers", tmp_path / "first.log", tmp_path / "second.log"
    parameters = {
        "input": write_documents(9),
        "output": str(output),
        "provider": "production",
        "prompt": "{{ text }}",
    }
    with serving(deployed, first) as process:
        flow_run_id = start(deployed, "served", parameters)
        scripted_server.wait_for(requests=9, answered=8, in_flight=1, timeout_s=RUN_S)
        process.terminate()
        process.wait(timeout=COMMAND_S)
    stopped = deployed.flow_run(flow_run_id)
    assert stopped.state_name == "AwaitingRetry", first.read_text()
    with deployed.client() as client:
        assert not client.read_deployment_by_name(f"{batch_inference.name}/served-nightly").paused

    scripted_server.script({"doc-8": steps.ok("yes")})
    with serving(deployed, second):
        assert ended(deployed, flow_run_id, second).state_name == "Completed", second.read_text()
    assert answers(output) == ["yes"] * 9
    assert scripted_server.stats().requests == 10


def start(server: PrefectServer, name: str, parameters: dict[str, Any], at: datetime | None = None) -> UUID:
    """As the schedule does: at that time, which may be past."""
    with server.client() as client:
        deployment = client.read_deployment_by_name(f"{flow_of(name).name}/{name}")
        state: State[Any] = Scheduled(scheduled_time=at or datetime.now(UTC))
        return client.create_flow_run_from_deployment(deployment.id, parameters=parameters, state=state).id


def runs_of(server: PrefectServer, name: str) -> list[FlowRun]:
    with server.client() as client:
        deployment = client.read_deployment_by_name(f"{batch_inference.name}/{name}")
        only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
        return client.read_flow_runs(deployment_filter=only)


def is_there(server: PrefectServer, name: str) -> bool:
    with server.client() as client:
        try:
            client.read_deployment_by_name(f"{batch_inference.name}/{name}")
        except ObjectNotFound:
            return False
    return True


def answers(output: Path) -> list[str]:
    contents: list[str] = ds.dataset(output / "results").to_table(["content"])["content"].to_pylist()
    return contents
