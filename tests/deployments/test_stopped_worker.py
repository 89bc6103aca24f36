"""SIGTERM to a worker, or to a flow's own process: the run writes, says so, and the next worker continues it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.objects import StateType
from tests.deployments.conftest import deployed_on, working
from tests.deployments.starting import CANCEL_S, RUN_S, Parameters, ended, ids_of, pid_of_the_owner
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

POOL = "workers-that-are-stopped"
STOP_S = 40.0
HANGING = {f"doc-{row}": steps.hang() for row in range(90, 100)}


@pytest.fixture
def deployment(deployed: PrefectServer) -> Iterator[UUID]:
    """On a pool whose workers are this test's alone."""
    with deployed_on(deployed, POOL, "prefect-llm") as deployment:
        yield deployment


def test_a_stopped_worker_s_run_writes_says_so_and_is_continued_by_the_next_worker(
    deployed: PrefectServer,
    deployment: UUID,
    parameters: Parameters,
    scripted_server: ScriptedServer,
    tmp_path: Path,
) -> None:
    scripted_server.script(HANGING)
    flow_run_id = start(deployed, deployment, parameters, tmp_path)
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with working(deployed, POOL, first) as worker:
        scripted_server.wait_for(requests=100, answered=90, in_flight=10, timeout_s=RUN_S)
        stop(worker)
    rescheduled = deployed.flow_run(flow_run_id)
    assert (rescheduled.state_type, rescheduled.state_name) == (StateType.SCHEDULED, "AwaitingRetry"), (
        first.read_text()
    )
    assert rescheduled.state is not None
    assert "Finished rows are kept" in str(rescheduled.state.message)
    assert StateType.CRASHED not in states_of(deployed, flow_run_id)

    scripted_server.reset()
    with working(deployed, POOL, second):
        completed = ended(deployed, flow_run_id, second)
    assert (completed.state_name, completed.run_count) == ("Completed", 2), second.read_text()
    assert scripted_server.stats().by_document == dict.fromkeys(HANGING, 1)
    assert ids_of(tmp_path / "run") == [f"d{number}" for number in range(100)]


def test_a_flow_s_own_process_that_gets_sigterm_is_started_again_by_the_same_worker(
    deployed: PrefectServer,
    deployment: UUID,
    parameters: Parameters,
    scripted_server: ScriptedServer,
    tmp_path: Path,
) -> None:
    scripted_server.script({row: [steps.hang(), steps.ok()] for row in HANGING})
    flow_run_id = start(deployed, deployment, parameters, tmp_path)
    log = tmp_path / "log"
    with working(deployed, POOL, log):
        scripted_server.wait_for(requests=100, answered=90, in_flight=10, timeout_s=RUN_S)
        os.kill(pid_of_the_owner(tmp_path / "run"), signal.SIGTERM)
        completed = eventually(
            lambda: deployed.flow_run(flow_run_id), lambda run: run.state_name == "Completed", RUN_S
        )
    assert completed.run_count == 2, log.read_text()
    assert StateType.CRASHED not in states_of(deployed, flow_run_id)
    assert set(scripted_server.stats().by_document.values()) == {1, 2}
    assert ids_of(tmp_path / "run") == [f"d{number}" for number in range(100)]


def test_a_run_that_has_hardly_begun_is_rescheduled_too(
    deployed: PrefectServer, deployment: UUID, parameters: Parameters, tmp_path: Path
) -> None:
    """Prefect then calls it Crashed before the worker does: its process ends without a word."""
    flow_run_id = start(deployed, deployment, parameters, tmp_path)
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with working(deployed, POOL, first) as worker:
        eventually(
            lambda: deployed.flow_run(flow_run_id),
            lambda run: run.state_type == StateType.PENDING and run.infrastructure_pid is not None,
            CANCEL_S,
        )
        stop(worker)
    assert deployed.flow_run(flow_run_id).state_name == "AwaitingRetry", first.read_text()

    with working(deployed, POOL, second):
        assert ended(deployed, flow_run_id, second).state_name == "Completed", second.read_text()
    assert ids_of(tmp_path / "run") == [f"d{number}" for number in range(100)]


def start(server: PrefectServer, deployment: UUID, parameters: Parameters, folder: Path) -> UUID:
    parameters |= {"output": str(folder / "run"), "batch": {"chunk_rows": 30, "concurrency": 20}}
    with server.client() as client:
        return client.create_flow_run_from_deployment(deployment, parameters=parameters).id


def stop(worker: subprocess.Popen[bytes]) -> None:
    """As a service manager or a container engine does."""
    worker.terminate()
    assert worker.wait(timeout=STOP_S) == 0


def states_of(server: PrefectServer, flow_run_id: UUID) -> list[StateType]:
    """Every state that the run has had."""
    with server.client() as client:
        return [state.type for state in client.read_flow_run_states(flow_run_id)]
