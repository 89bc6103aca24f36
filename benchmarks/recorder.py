"""600 empty task runs: how many a second a Prefect server writes down, and the CPU that takes it.

`python benchmarks/recorder.py postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE [REDIS_HOST:PORT]` adds rows for
Postgres, and for Postgres with Redis (needs prefect-redis). Batches are those of deployments/docker/compose.yaml.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.request import ProxyHandler, Request, build_opener

from runs import PrefectServer, prefect_server
from tables import Table, heading

TASK_RUNS = 600
SETTLES_S, LOOK_S, GIVEN_UP_AFTER_S = 10.0, 0.25, 300.0
RECORDER = "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER"
BATCHES = {f"{RECORDER}_BATCH_SIZE": "100", f"{RECORDER}_READ_BATCH_SIZE": "100", f"{RECORDER}_FLUSH_INTERVAL": "1"}


def main() -> None:
    """A row for each kind of server."""
    heading("Task runs written down", __doc__)
    table = Table("server", "task runs a second", "its CPU s")
    for name, settings in servers(*sys.argv[1:]):
        with prefect_server(settings) as server:
            time.sleep(SETTLES_S)
            cpu_before_s = server.cpu_s()
            seconds = written_after_s(server)
            table.row(name, f"{TASK_RUNS / seconds:.0f}", f"{server.cpu_s() - cpu_before_s:.1f}")


def servers(postgres: str = "", redis: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    """What each is called, and its settings."""
    yield "SQLite", {}
    yield "SQLite, batches", BATCHES
    if postgres:
        on_postgres = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres}
        yield "Postgres, batches", on_postgres | BATCHES
        if redis:
            host, port = redis.split(":")
            on_both = on_postgres | {
                "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
                "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
                "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
                "PREFECT_REDIS_MESSAGING_HOST": host,
                "PREFECT_REDIS_MESSAGING_PORT": port,
            }
            yield "Postgres and Redis", on_both
            yield "Postgres and Redis, batches", on_both | BATCHES


def written_after_s(server: PrefectServer) -> float:
    """Seconds from the first task's start until the server knows that all have completed."""
    command = [sys.executable, __file__, "--run"]
    began = time.monotonic()
    with subprocess.Popen(command, env=server.environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        began_at, flow_run_id = json.loads(process.stdout.read())
    completed = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    wanted = json.dumps({"flow_runs": {"id": {"any_": [flow_run_id]}}} | completed).encode()
    count = Request(
        f"{server.environ['PREFECT_API_URL']}/task_runs/count", wanted, {"Content-Type": "application/json"}
    )
    direct = build_opener(ProxyHandler({}))
    while time.monotonic() - began < GIVEN_UP_AFTER_S:
        with direct.open(count, timeout=60) as answer:
            if int(answer.read()) == TASK_RUNS:
                return time.time() - float(began_at)
        time.sleep(LOOK_S)
    raise RuntimeError(f"{TASK_RUNS} task runs were not written down in {GIVEN_UP_AFTER_S:.0f} s")


def run_tasks() -> None:
    """In a process of its own: run them, and print when that began and in which flow run, as JSON."""
    from prefect import flow, task
    from prefect.runtime import flow_run
    from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

    @task
    def nothing(number: int) -> None:
        """One of many."""

    runner = cast(TaskRunner[Any], ThreadPoolTaskRunner(max_workers=8))

    @flow(task_runner=runner)
    def many() -> tuple[float, str]:
        began_at = time.time()
        for future in nothing.map(range(TASK_RUNS)):
            future.wait()
        return began_at, str(flow_run.id)

    print(json.dumps(many()))


if __name__ == "__main__":
    if sys.argv[1:] == ["--run"]:
        run_tasks()
    else:
        main()
