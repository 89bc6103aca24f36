"""A flow on a local Dask cluster of several processes against the same flow on threads of one process.

Concurrency of 200 at 0.5 s an answer, then a quota of 6,000 requests a minute that is enforced by the second, each
held over all processes through a Prefect server. Seconds are from the first request to the last durable row;
efficiency is ideal time over real. The cluster's start is not in it; on a machine with
few cores the processes share them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring import in_own_process
from runs import PROMPT, prefect_server, write_documents
from simulated import SimulatedProvider, simulated_provider
from tables import Table, heading, verdict
from workload import MAX_OUTPUT_TOKENS, MODEL

PROCESSES = (1, 2, 4)
LATENCY_S, CONCURRENCY, DOCUMENTS = 0.5, 200, 8_000
PER_MINUTE, UNDER_QUOTA = 6_000, 2_000
CASES = {
    "concurrency": (("--latency", str(LATENCY_S)), DOCUMENTS, DOCUMENTS / CONCURRENCY * LATENCY_S),
    "quota": (
        ("--latency", "0.5", "--requests-per-minute", str(PER_MINUTE), "--burst", "1"),
        UNDER_QUOTA,
        UNDER_QUOTA / PER_MINUTE * 60.0,
    ),
}


def main() -> None:
    """A row for each limit and number of processes."""
    heading("Over several processes", __doc__)
    table = Table("limit, processes", "documents", "wall s", "efficiency", "429s")
    efficiency: dict[tuple[str, int], float] = {}
    throttled = 0
    for case, (options, documents, ideal_s) in CASES.items():
        with simulated_provider(*options) as provider, prefect_server() as server:
            for processes in PROCESSES:
                provider.reset()
                arguments = (case, str(processes), str(documents), provider.url)
                wall_s = in_own_process(__file__, *arguments, environ=server.environ)["wall_s"]
                refused = int(provider.stats()["throttled"])
                throttled += refused
                efficiency[case, processes] = ideal_s / wall_s
                name = f"{case}, {processes} {'process' if processes == 1 else 'processes of Dask'}"
                table.row(name, f"{documents:,}", f"{wall_s:.1f}", f"{ideal_s / wall_s:.3f}", refused)
    for case in CASES:
        verdict(f"{case}: 2 processes / 1", efficiency[case, 2] / efficiency[case, 1], at_least=0.9)
    verdict("429s", throttled, at_most=0)


def measured(case: str, processes: int, documents: int, url: str) -> None:
    """In the row's own process: print its wall seconds as JSON."""
    from prefect_llm import batch_inference
    from prefect_llm.settings import ApiOptions, BatchOptions

    limit: dict[str, Any] = (
        {"concurrency": CONCURRENCY} if case == "concurrency" else {"requests_per_minute": PER_MINUTE}
    )
    flow = batch_inference
    if processes > 1:
        from prefect_dask import DaskTaskRunner

        cluster = {"n_workers": processes, "threads_per_worker": 2, "dashboard_address": None}
        flow = batch_inference.with_options(task_runner=DaskTaskRunner(cluster_kwargs=cluster))
    with tempfile.TemporaryDirectory() as folder:
        flow(
            input=write_documents(Path(folder), documents),
            output=f"{folder}/answers",
            model=MODEL,
            prompt=PROMPT,
            api=ApiOptions(base_url=url, max_output_tokens=MAX_OUTPUT_TOKENS),
            batch=BatchOptions(**limit, chunk_rows=500, share_limits=True),
        )
        last = max(part.stat().st_mtime for part in Path(folder, "answers/results").iterdir())
        print(json.dumps({"wall_s": last - SimulatedProvider(url).first_request_at()}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main()
