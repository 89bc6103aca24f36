"""A process that is told to end, or killed, while chunks are under way: the same parameters finish the run."""

from __future__ import annotations

import contextvars
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect._flow_run_suspension import mark_flow_run_suspension_requested
from prefect.exceptions import Pause
from prefect.states import Suspended
from tests.flows.running import Parameters, deployed, rows_of, run, taken_up
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.flows.execution import SUSPENDED
from prefect_llm.store import RunDirectory

SCRIPTS = {
    "called": "import json, sys; from prefect_llm import batch_inference; batch_inference(**json.loads(sys.argv[1]))",
    "awaited": """
import asyncio, json, sys
from prefect import flow
from prefect_llm import batch_inference, in_thread

@flow
async def nightly(parameters):
    await in_thread(batch_inference, **parameters)

asyncio.run(nightly(json.loads(sys.argv[1])))
""",
}
MOST_S = 20.0
"""Prefect kills a cancelled process after 30 s; 5 s of it are the grace of requests in flight."""


@pytest.mark.parametrize(
    ("number", "script"),
    [
        *((number, "called") for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)),
        *((number, "awaited") for number in (signal.SIGTERM, signal.SIGINT)),
    ],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_the_same_parameters_finish_an_interrupted_run(
    number: signal.Signals,
    script: str,
    parameters: Parameters,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    tmp_path: Path,
) -> None:
    scripted_server.script({f"doc-{row}": steps.hang() for row in range(90, 100)})
    parameters["batch"] = {"chunk_rows": 30, "concurrency": 20}
    finished = [tmp_path / "run" / "results" / f"part-0000{chunk}.parquet" for chunk in range(3)]
    (tmp_path / "script.py").write_text(SCRIPTS[script])
    command = [sys.executable, str(tmp_path / "script.py"), json.dumps(parameters)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=prefect_server.environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            scripted_server.wait_for(requests=100, answered=90, in_flight=10, timeout_s=60)
            eventually(lambda: [part.exists() for part in finished], all)
            sent_at = time.monotonic()
            process.send_signal(number)
            assert process.wait(timeout=MOST_S) != 0
        finally:
            process.kill()
            process.wait()
    said = (tmp_path / "log").read_text()
    assert len(rows_of(tmp_path / "run")) == 90, said
    if number != signal.SIGKILL:
        manifest = json.loads((tmp_path / "run" / "_run" / "manifest.json").read_text())
        assert (manifest["state"], manifest["stopped"]["kind"]) == ("interrupted", "Interrupted"), said
        assert manifest["totals"]["ok"] == 90
        assert time.monotonic() - sent_at < MOST_S

    scripted_server.reset()
    summary = run(parameters)
    assert (summary.state, summary.totals.ok) == ("completed", 100)
    assert scripted_server.stats().requests == 10
    assert [row["id"] for row in rows_of(tmp_path / "run")] == [f"d{row}" for row in range(100)]


def test_a_run_that_is_suspended_says_so_and_is_resumed_by_a_worker(
    parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer
) -> None:
    scripted_server.script({"doc-0": [steps.hang(), steps.ok()]})
    parameters["batch"] = {"chunk_rows": 10, "concurrency": 1}
    flow_run = deployed(prefect_server, parameters)
    with ThreadPoolExecutor(1) as threads:
        ended = threads.submit(contextvars.copy_context().run, taken_up, flow_run, parameters)
        scripted_server.wait_for(in_flight=1, timeout_s=60)
        with prefect_server.client() as client:
            client.set_flow_run_state(flow_run.id, Suspended())
        mark_flow_run_suspension_requested(flow_run.id, Suspended())  # which Prefect looks for every 10 s
        scripted_server.release()
        with pytest.raises(Pause):
            ended.result(timeout=60)

    manifest = RunDirectory.open(parameters["output"]).manifest()
    assert manifest is not None
    assert manifest.stopped is not None
    assert (manifest.state, manifest.stopped.message) == ("interrupted", SUSPENDED)
    prefect_server.settled()
    said = "\n".join(each.message for each in prefect_server.logs(flow_run.id))
    assert "another chunk failed" not in said

    asked = scripted_server.stats().requests
    with prefect_server.client() as client:
        client.resume_flow_run(flow_run.id)
    assert taken_up(flow_run, parameters).is_completed()
    assert asked < 100 == scripted_server.stats().requests
    assert [row["id"] for row in rows_of(parameters["output"])] == [f"d{row}" for row in range(100)]
