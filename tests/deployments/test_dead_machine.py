"""A machine that is gone: worker and flow process killed at once, and nobody left to tell the server."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.objects import StateType
from tests.cli.commanding import call
from tests.deployments.conftest import deployed_on, working
from tests.deployments.starting import RUN_S, Parameters, ended, ids_of, pid_of_the_owner, retry
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

POOL = "machines-that-die"
SHORTEST_S = 60
"""Two heartbeats, which Prefect sends every 30 s at most."""


@pytest.fixture
def watched(deployed: PrefectServer, tmp_path: Path) -> Iterator[PrefectServer]:
    """The server with the automations, which wait for a heartbeat as short as may be."""
    created = call("automations", "create", "--zombie-after", str(SHORTEST_S), cwd=tmp_path, environ=deployed.environ)
    assert created.status == 0, created.err
    yield deployed
    with deployed.client() as client:
        for each in client.read_automations():
            if each.name.startswith("prefect-llm: "):  # a deployment's trigger is one, too
                client.delete_automation(each.id)


@pytest.fixture
def deployment(deployed: PrefectServer) -> Iterator[UUID]:
    """On a pool whose workers are this test's alone."""
    with deployed_on(deployed, POOL, "process") as deployment:
        yield deployment


def test_a_run_whose_machine_is_gone_is_counted_as_crashed_and_its_retry_pays_only_for_what_was_in_flight(
    watched: PrefectServer,
    deployment: UUID,
    parameters: Parameters,
    scripted_server: ScriptedServer,
    tmp_path: Path,
) -> None:
    scripted_server.script({f"doc-{row}": steps.hang() for row in range(90, 100)})
    parameters |= {"output": str(tmp_path / "run"), "batch": {"chunk_rows": 30, "concurrency": 20}}
    with watched.client() as client:
        flow_run_id = client.create_flow_run_from_deployment(deployment, parameters=parameters).id
    with working(watched, POOL, tmp_path / "first.log") as machine:
        scripted_server.wait_for(requests=100, answered=90, in_flight=10, timeout_s=RUN_S)
        parts = [tmp_path / "run" / "results" / f"part-0000{chunk}.parquet" for chunk in range(3)]
        eventually(lambda: [part.exists() for part in parts], all)
        machine.kill()
        machine.wait()
        os.kill(pid_of_the_owner(tmp_path / "run"), signal.SIGKILL)
    assert watched.flow_run(flow_run_id).state_type == StateType.RUNNING

    with working(watched, POOL, tmp_path / "second.log"):
        crashed = ended(watched, flow_run_id, tmp_path / "second.log")
        assert crashed.state_type == StateType.CRASHED
        assert crashed.state is not None
        assert "retry the run" in str(crashed.state.message)
        scripted_server.reset()
        retry(watched, flow_run_id)
        completed = ended(watched, flow_run_id, tmp_path / "second.log")
    assert (completed.state_name, completed.run_count) == ("Completed", 2), (tmp_path / "second.log").read_text()
    assert scripted_server.stats().by_document == {f"doc-{row}": 1 for row in range(90, 100)}
    assert ids_of(tmp_path / "run") == [f"d{number}" for number in range(100)]
    assert json.loads((tmp_path / "run" / "_run" / "manifest.json").read_text())["totals"]["ok"] == 100
