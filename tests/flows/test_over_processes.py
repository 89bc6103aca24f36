"""The flow over several processes: by Dask, Ray and Prefect's own process pool, chosen with `with_options`."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from prefect.task_runners import ProcessPoolTaskRunner
from tests.flows.running import Parameters, flow_run_id, rows_of, run
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.simulation.simulating import started

from prefect_llm import Summary, batch_inference, redrive_failures
from prefect_llm.budget.grants import GrantLog
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import AccountExhausted, BudgetExceeded, LimitReached

PROCESSES = 2
MOST_S = 25.0
SCRIPT = """
import importlib, json, sys
from prefect_llm import batch_inference
module, name, address, parameters = sys.argv[1:]
task_runner = getattr(importlib.import_module(module), name)(address=address)
batch_inference.with_options(task_runner=task_runner)(**json.loads(parameters))
"""
SAME_COLUMNS = ("id", "status", "content", "input_tokens", "output_tokens", "cost", "error_kind")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One of two processes, which several flow runs use; `busy` says how many chunk tasks it carries out."""

    runner: type[Any]
    address: str
    chunks_at_once: int
    busy: Callable[[], int]

    def task_runner(self) -> Any:
        return self.runner(address=self.address)


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.fixture(scope="module")
def dask(prefect_server: PrefectServer) -> Iterator[Cluster]:
    """Two processes of two threads."""
    needs("prefect_dask")
    from distributed import Client, LocalCluster
    from prefect_dask import DaskTaskRunner

    def busy() -> int:
        with Client(cluster, set_as_default=False) as client:
            return sum(client.run(lambda dask_worker: len(dask_worker.active_threads)).values())

    with closing(LocalCluster(n_workers=PROCESSES, threads_per_worker=2, dashboard_address=None)) as cluster:
        yield Cluster(DaskTaskRunner, cluster.scheduler_address, PROCESSES * 2, busy)


@pytest.fixture(scope="module")
def ray(prefect_server: PrefectServer) -> Iterator[Cluster]:
    """Two processes, each of which does one thing at a time. Nothing is reported, and nothing kept at home."""
    needs("prefect_ray")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    import ray
    from prefect_ray import RayTaskRunner

    def busy() -> int:
        return PROCESSES - int(ray.available_resources().get("CPU", 0))

    folder = tempfile.mkdtemp(prefix="ray-")  # pytest's are too long for the sockets in it
    started = ray.init(num_cpus=PROCESSES, include_dashboard=False, log_to_driver=False, _temp_dir=folder)
    try:
        yield Cluster(RayTaskRunner, started.address_info["address"], PROCESSES, busy)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", params=["dask", "ray"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return cast(Cluster, request.getfixturevalue(request.param))


@pytest.fixture(params=["dask", "ray", "process pool"])
def task_runner(request: pytest.FixtureRequest) -> Any:
    if request.param == "process pool":
        return ProcessPoolTaskRunner(max_workers=PROCESSES)
    return request.getfixturevalue(request.param).task_runner()


def slots_taken(prefect_server: PrefectServer) -> int:
    """What processes hold of limits that runs of a plain endpoint share."""
    with prefect_server.client() as client:
        limits = client.read_global_concurrency_limits(limit=100, offset=0)
    return sum(limit.active_slots for limit in limits if limit.name.startswith("llm-127.0.0.1-"))


def same(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in SAME_COLUMNS) for row in rows]


def test_the_rows_are_those_of_threads_in_one_process(
    task_runner: Any, parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    script: dict[str, steps.Step | list[steps.Step]] = {
        "doc-7": steps.status(400),
        "doc-50": [steps.status(500), steps.ok("second")],
        "*": steps.ok("yes"),
    }
    scripted_server.script(script)
    of_threads = run(parameters)
    scripted_server.reset()
    scripted_server.script(script)
    parameters["output"] = str(tmp_path / "spread")
    summary = batch_inference.with_options(task_runner=task_runner)(**parameters)
    assert isinstance(summary, Summary)
    assert (summary.totals.ok, summary.totals.failed, summary.requests) == (99, 1, 101)
    assert (summary.totals.ok, summary.retries) == (of_threads.totals.ok, of_threads.retries)
    assert same(rows_of(tmp_path / "spread")) == same(rows_of(tmp_path / "run"))
    assert not (tmp_path / "spread" / "_run" / "stops").exists()


def test_progress_counts_what_other_processes_have_answered(
    cluster: Cluster, parameters: Parameters, scripted_server: ScriptedServer, prefect_server: PrefectServer
) -> None:
    scripted_server.script({"doc-7": steps.status(400), "doc-70": steps.status(400)})
    state = batch_inference.with_options(task_runner=cluster.task_runner())(**parameters, return_state=True)
    artifacts = prefect_server.artifacts(flow_run_id(state))
    assert artifacts["llm-progress"].data == 100.0
    assert "100 of 100 documents (2 failed)" in str(artifacts["llm-progress"].description)
    assert "Failed: 2 " in str(artifacts["llm-chunks"].description)


def test_an_error_in_one_process_stops_the_others_and_is_raised_as_it_was(
    cluster: Cluster, parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    """The first chunks fill two processes; all answers of theirs hang but one, and no chunk after them is asked."""
    asked = 10 * cluster.chunks_at_once
    hanging = {f"doc-{row}": steps.hang() for row in range(asked)}
    scripted_server.script(hanging | {f"doc-{asked - 5}": steps.status(402).after(1.0)})
    parameters["batch"] = {"chunk_rows": 10, "concurrency": 200}
    began = time.monotonic()
    with pytest.raises(AccountExhausted, match="402") as raised:
        batch_inference.with_options(task_runner=cluster.task_runner())(**parameters)
    assert time.monotonic() - began < MOST_S
    assert isinstance(raised.value.summary, Summary)
    assert raised.value.summary.state == "stopped"
    assert set(scripted_server.stats().by_document) <= {f"doc-{row}" for row in range(asked)}

    scripted_server.reset()
    summary = cast(Summary, batch_inference.with_options(task_runner=cluster.task_runner())(**parameters))
    assert (summary.state, summary.totals.ok) == ("completed", 100)


def test_a_limit_per_day_in_the_middle_stops_all_processes_and_loses_nothing(
    cluster: Cluster, parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    tomorrow = steps.status(429, {"error": {"message": "tomorrow"}}, headers={"retry-after": "86400"})
    scripted_server.script({f"doc-{row}": tomorrow for row in range(100) if row % 30 >= 20})
    with pytest.raises(LimitReached, match=r"24 h 0 min.*tomorrow") as raised:
        batch_inference.with_options(task_runner=cluster.task_runner())(**parameters)
    summary = raised.value.summary
    assert isinstance(summary, Summary)
    assert (summary.state, summary.totals.failed) == ("stopped", 0)

    scripted_server.reset()
    rest = cast(Summary, batch_inference.with_options(task_runner=cluster.task_runner())(**parameters))
    assert (rest.state, rest.totals.ok) == ("completed", 100)
    assert scripted_server.stats().requests == 100 - summary.totals.ok


def test_limits_are_shared_without_being_told_to(
    cluster: Cluster, parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    scripted_server.delay(0.05)
    parameters["batch"] = {"chunk_rows": 25, "concurrency": 6}
    summary = cast(Summary, batch_inference.with_options(task_runner=cluster.task_runner())(**parameters))
    assert summary.totals.ok == 100
    assert scripted_server.stats().max_in_flight <= 6


def test_no_process_passes_the_budget_and_error_and_event_say_so(
    cluster: Cluster, parameters: Parameters, prefect_server: PrefectServer
) -> None:
    prices = {"price_input": "2", "price_output": "8", "max_output_tokens": 50}
    with started("--latency", "0.02", "--output-tokens", "40") as provider:
        parameters["api"] = {"base_url": provider.base_url, **prices}
        parameters["batch"] = {"chunk_rows": 10, "concurrency": 20, "max_cost": "0.02"}
        flow = batch_inference.with_options(task_runner=cluster.task_runner())
        state = flow(**parameters, return_state=True)
        with pytest.raises(BudgetExceeded, match=r"max_cost \$0.02") as raised:
            state.result()
        stats = provider.stats()
    bill = (int(stats["input_tokens"]) * 2 + int(stats["output_tokens"]) * 8) / Decimal(1_000_000)
    summary = raised.value.summary
    assert isinstance(summary, Summary)
    assert summary.totals.cost is not None
    assert summary.cost_uncertain is not None
    assert Decimal("0.015") < summary.totals.cost <= bill <= summary.totals.cost + summary.cost_uncertain
    assert bill <= Decimal("0.02")
    assert GrantLog(open_folder(parameters["output"]), "USD", "").total() == summary.totals.cost
    told = eventually(
        lambda: [each.payload for each in prefect_server.run_events(flow_run_id(state)) if "budget" in each.event],
        lambda payloads: any(payload["percent"] == 100 for payload in payloads),
    )
    assert Decimal("0.015") < Decimal(told[-1]["spent"]) <= Decimal("0.02")


def test_failed_rows_are_redriven_there_too(
    cluster: Cluster, parameters: Parameters, scripted_server: ScriptedServer
) -> None:
    scripted_server.script({f"doc-{row}": steps.status(400) for row in (5, 45, 95)})
    assert run(parameters).totals.failed == 3
    scripted_server.reset()
    spread = redrive_failures.with_options(task_runner=cluster.task_runner())
    summary = spread(output=parameters["output"], api=parameters["api"])
    assert (summary.totals.ok, summary.requests) == (100, 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
def test_the_chunks_of_a_flow_that_ends_stop_in_a_cluster_that_goes_on(
    number: signal.Signals,
    cluster: Cluster,
    parameters: Parameters,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    tmp_path: Path,
) -> None:
    """Told to end, the flow tells them; of one that was killed they see that another owns the run, or Ray does.

    Until then it has counted the rows of the last chunk, which are written down and in no part.
    """
    scripted_server.script({f"doc-{row}": steps.hang() for row in range(95, 100)})
    parameters["batch"] = {"chunk_rows": 30, "concurrency": 20}
    parameters["monitoring"] = {"stats_interval_seconds": 0.5}
    finished = [tmp_path / "run" / "results" / f"part-0000{chunk}.parquet" for chunk in range(3)]
    names = (cluster.runner.__module__, cluster.runner.__name__)
    command = [sys.executable, "-c", SCRIPT, *names, cluster.address, json.dumps(parameters)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=prefect_server.environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            scripted_server.wait_for(requests=100, answered=95, in_flight=5, timeout_s=60)
            eventually(lambda: [part.exists() for part in finished], all)
            eventually((tmp_path / "log").read_text, lambda said: "95 of 100 documents" in said)
            process.send_signal(number)
            assert process.wait(timeout=MOST_S) != 0
        finally:
            process.kill()
            process.wait()
    said = (tmp_path / "log").read_text()
    if number == signal.SIGTERM:
        manifest = json.loads((tmp_path / "run" / "_run" / "manifest.json").read_text())
        assert (manifest["state"], manifest["totals"]["ok"]) == ("interrupted", 95), said
        eventually(lambda: slots_taken(prefect_server), lambda taken: not taken)  # long before leases end
    else:
        scripted_server.script({f"doc-{row}": steps.ok() for row in range(95, 100)})
        assert run(parameters).totals.ok == 100
    eventually(cluster.busy, lambda busy: not busy, MOST_S)
    if number == signal.SIGTERM:
        scripted_server.reset()
        assert (run(parameters).totals.ok, scripted_server.stats().requests) == (100, 5)
    assert [row["id"] for row in rows_of(tmp_path / "run")] == [f"d{row}" for row in range(100)]
