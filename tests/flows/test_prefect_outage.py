"""The Prefect server goes away while a run is under way: the run goes on, and pays for nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import WriteDocuments
from tests.flows.running import rows_of
from tests.prefect_server import OwnServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port

SCRIPT = """
import json, sys
from prefect_llm import LLMProvider, batch_inference
LLMProvider(base_url=sys.argv[2]).save("block")
batch_inference(**json.loads(sys.argv[1]))
"""
RUN_S = 240.0


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    server = OwnServer(tmp_path_factory.mktemp("own-prefect"), free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_a_run_goes_on_while_the_server_is_away_and_ends_as_if_nothing_had_been(
    own_server: OwnServer, scripted_server: ScriptedServer, write_documents: WriteDocuments, tmp_path: Path
) -> None:
    """Chunks begin and end meanwhile, with a saved block that no server can be asked for.

    One document keeps the run until the server is back; more of them could hold every slot, for chunks come in any
    order.
    """
    scripted_server.script_all(steps.hang())
    parameters = {
        "input": write_documents(100),
        "output": str(tmp_path / "run"),
        "provider": "block",
        "model": "m",
        "prompt": "Say: {{ text }}",
        "batch": {"chunk_rows": 10, "concurrency": 10, "share_limits": False},
        "monitoring": {"stats_interval_seconds": 0.5},
    }
    command = [sys.executable, "-c", SCRIPT, json.dumps(parameters), scripted_server.base_url]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=own_server.environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            scripted_server.wait_for(in_flight=10, timeout_s=RUN_S)
            own_server.stop()
            scripted_server.script({"*": steps.ok(), "doc-99": steps.hang()})
            scripted_server.release()
            parts = tmp_path / "run" / "results"
            eventually(lambda: len(list(parts.glob("part-0*"))), lambda seen: seen == 9, RUN_S)
            own_server.start()
            scripted_server.wait_for(in_flight=1)
            scripted_server.release()
            status = process.wait(timeout=RUN_S)
        finally:
            process.kill()
            process.wait()
    said = (tmp_path / "log").read_text()
    assert status == 0, said
    assert set(scripted_server.stats().by_document.values()) == {1}, said
    assert [row["id"] for row in rows_of(tmp_path / "run")] == [f"d{row}" for row in range(100)]
    (flow_run,) = own_server.flow_runs()
    assert flow_run.state_name == "Completed", said
