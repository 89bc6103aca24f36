"""A flow over several processes, by Dask and by Ray, against the same flow on threads of one process.

Each row is one process, with the cluster that it starts, and three runs after a warm-up: 200 in flight at 0.5 s an
answer, a quota of 6,000 requests a minute that is enforced by the second, and a budget for a part of the documents.
Each limit holds over all processes. Seconds are from the first request to the last durable row of the first run, and
the wall ratio is those of one process over the row's; CPU is that of all of the row's processes meanwhile, the
cluster's own included. Rows are compared with those of one process. Four chunks are under way at once: Dask's
processes have two threads each, Ray's do one thing at a time. On a machine with few cores they share them.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from measuring import RowFailed, in_own_process, tree_cpu_s
from runs import PROMPT, prefect_server, write_documents
from simulated import SimulatedProvider, simulated_provider
from tables import Table, heading, unmeasured, verdict
from workload import MAX_OUTPUT_TOKENS, MODEL

ALONE = "1 process"
CLUSTERS = {ALONE: 1, "2 processes of Dask": 2, "4 processes of Ray": 4}
LATENCY = ("--latency", "0.5")
CONCURRENCY, DOCUMENTS, CHUNK_ROWS = 200, 8_000, 500
PER_MINUTE, UNDER_QUOTA = 6_000, 600
PRICES = {"price_input": "2", "price_output": "8"}
MAX_COST, UNDER_BUDGET = Decimal("0.6"), 1_000
WARM_UP = 200


def main() -> None:
    """A row for each cluster."""
    heading("Over several processes", __doc__)
    table = Table(
        "what", "wall s", "wall ratio", "CPU s per 1,000", "most in flight", "other rows", "429s", "bill / budget"
    )
    rows: dict[str, dict[str, Any]] = {}
    quota = ("--requests-per-minute", str(PER_MINUTE), "--burst", "1")
    with (
        simulated_provider(*LATENCY) as plain,
        simulated_provider(*LATENCY, *quota) as limited,
        prefect_server() as server,
    ):
        for name in CLUSTERS:
            try:
                row = in_own_process(__file__, name, plain.url, limited.url, environ=server.environ)
            except RowFailed as error:
                unmeasured(name, str(error))
                continue
            rows[name] = row
            one = rows.get(ALONE, row)
            row["ratio"], row["differ"] = one["wall_s"] / row["wall_s"], row["rows"] != one["rows"]
            cells = (f"{row['wall_s']:.1f}", f"{row['ratio']:.2f}", f"{row['cpu_s'] / DOCUMENTS * 1_000:.2f}")
            differ = "some" if row["differ"] else "none"
            table.row(name, *cells, row["most"], differ, row["throttled"], f"{row['spent']:.3f}")
    for name in [name for name in rows if name != ALONE]:
        verdict(f"{name}: wall ratio", rows[name]["ratio"], at_least=0.9)
    for what, column, most in (
        ("most in flight", "most", CONCURRENCY),
        ("tables with other rows", "differ", 0),
        ("429s", "throttled", 0),
        ("bill / budget", "spent", 1),
    ):
        verdict(what, max(row[column] for row in rows.values()), at_most=most)


def measured(name: str, plain_url: str, limited_url: str) -> None:
    """In the row's own process: print its figures as JSON."""
    plain, limited = SimulatedProvider(plain_url), SimulatedProvider(limited_url)
    with tempfile.TemporaryDirectory() as folder, cluster(name) as task_runner:
        run = runner(Path(folder), task_runner)
        run(plain_url, WARM_UP, chunk_rows=10, concurrency=CONCURRENCY)
        plain.reset()
        cpu_before_s = tree_cpu_s()
        output = run(plain_url, DOCUMENTS, concurrency=CONCURRENCY)
        figures = {"cpu_s": tree_cpu_s() - cpu_before_s, "rows": digest(output)}
        figures["wall_s"] = max(part.stat().st_mtime for part in output.iterdir()) - plain.first_request_at()
        figures["most"] = plain.stats()["max_in_flight"]
        limited.reset()
        run(limited_url, UNDER_QUOTA, requests_per_minute=PER_MINUTE)
        figures["throttled"] = limited.stats()["throttled"]
        plain.reset()
        run(plain_url, UNDER_BUDGET, concurrency=CONCURRENCY, max_cost=str(MAX_COST))
        figures["spent"] = float(bill(plain.stats()) / MAX_COST)
    print(json.dumps(figures))


@contextmanager
def cluster(name: str) -> Iterator[Any]:
    """A task runner on as many processes; `None` for threads of this one."""
    count = CLUSTERS[name]
    if name.endswith("Dask"):
        from distributed import LocalCluster
        from prefect_dask import DaskTaskRunner

        with closing(LocalCluster(n_workers=count, threads_per_worker=2, dashboard_address=None)) as started:
            yield DaskTaskRunner(address=started.scheduler_address)
    elif name.endswith("Ray"):
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
        import ray
        from prefect_ray import RayTaskRunner

        ray.init(num_cpus=count, include_dashboard=False, log_to_driver=False)
        yield RayTaskRunner()
        ray.shutdown()
    else:
        yield None


def runner(folder: Path, task_runner: Any) -> Callable[..., Path]:
    """Carries out one run after the other; each returns where its parts are."""
    from prefect_llm import batch_inference
    from prefect_llm.settings import ApiOptions, BatchOptions
    from prefect_llm.values.errors import BudgetExceeded

    flow = batch_inference if task_runner is None else batch_inference.with_options(task_runner=task_runner)

    def run(url: str, documents: int, *, chunk_rows: int = CHUNK_ROWS, **limits: Any) -> Path:
        output = Path(tempfile.mkdtemp(dir=folder))
        api = {"base_url": url, "max_output_tokens": MAX_OUTPUT_TOKENS, **PRICES}
        try:
            flow(
                input=write_documents(folder, documents),
                output=str(output),
                model=MODEL,
                prompt=PROMPT,
                api=ApiOptions.model_validate(api),
                batch=BatchOptions(**limits, chunk_rows=chunk_rows, share_limits=True),
            )
        except BudgetExceeded:
            if "max_cost" not in limits:
                raise
        return output / "results"

    return run


def digest(results: Path) -> str:
    """The rows' ids, states, answers, tokens and costs, in their order, as one hash."""
    import pyarrow.dataset as ds

    columns = ["id", "status", "content", "input_tokens", "output_tokens", "cost"]
    rows = ds.dataset(results).to_table(columns).to_pylist()
    return hashlib.sha256(repr([tuple(row.values()) for row in rows]).encode()).hexdigest()


def bill(stats: dict[str, Any]) -> Decimal:
    """What the provider has billed, whatever became of its answers."""
    used = zip(("input_tokens", "output_tokens"), PRICES.values(), strict=True)
    return sum((int(stats[tokens]) * Decimal(price) for tokens, price in used), Decimal(0)) / 1_000_000


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured(*sys.argv[1:])
    else:
        main()
