"""Peak memory of the processes that carry chunks out: 80,000 documents of 1 KB in chunks of 10,000, answers of 1 KB.

A flow on threads of its own process, then on Dask workers of four threads (needs `prefect-llm[dask]`), 500 requests
in flight, answers after 0.5 s. `python benchmarks/process_memory.py ROWS` takes another number. Linux only.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from runs import PROMPT, prefect_server, write_documents
from simulated import ANSWER_OF_1_KB, simulated_provider
from tables import Table, heading
from workload import MAX_OUTPUT_TOKENS, MODEL

DOCUMENTS, CHUNK_ROWS, CONCURRENCY, THREADS = 80_000, 10_000, 500, 4
RUNNERS = {"threads": 0, "1 Dask worker": 1, "2 Dask workers": 2}
LOOK_S = 0.2


def main() -> None:
    """A row for each task runner."""
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS
    heading("Memory of a process", __doc__)
    table = Table("task runner", "documents", "flow's process, peak MB", "largest worker, peak MB")
    with (
        tempfile.TemporaryDirectory() as folder,
        simulated_provider("--latency", "0.5", *ANSWER_OF_1_KB) as provider,
        prefect_server() as server,
    ):
        source = write_documents(Path(folder), documents)
        for name, workers in RUNNERS.items():
            command = [sys.executable, __file__, source, f"{folder}/{name}", provider.url, str(workers)]
            with subprocess.Popen(command, env=server.environ, stderr=subprocess.DEVNULL) as process:
                flow_mb, worker_mb = peaks_mb(process)
            if process.returncode:
                raise RuntimeError(f"the flow on {name} ended with exit status {process.returncode}")
            table.row(name, f"{documents:,}", f"{flow_mb:.0f}", f"{worker_mb:.0f}" if workers else "")


def peaks_mb(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """The most that the process, and any one below it, has had in memory."""
    own_mb, below_mb = 0.0, 0.0
    while process.poll() is None:
        with suppress(OSError, StopIteration):
            own_mb = peak_mb(process.pid)
        for pid in below(process.pid):
            with suppress(OSError, StopIteration):
                below_mb = max(below_mb, peak_mb(pid))
        time.sleep(LOOK_S)
    return own_mb, below_mb


def below(pid: int) -> list[int]:
    """The process's children, and theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found + [each for child in found for each in below(child)]


def peak_mb(pid: int) -> float:
    """By the system's account."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def run(source: str, output: str, url: str, workers: int) -> None:
    """In the row's own process: the flow."""
    from prefect_llm import batch_inference
    from prefect_llm.settings import ApiOptions, BatchOptions

    flow = batch_inference
    if workers:
        from prefect_dask import DaskTaskRunner

        cluster = {"n_workers": workers, "threads_per_worker": THREADS, "dashboard_address": None}
        flow = batch_inference.with_options(task_runner=DaskTaskRunner(cluster_kwargs=cluster))
    flow(
        input=source,
        output=output,
        model=MODEL,
        prompt=PROMPT,
        api=ApiOptions(base_url=url, max_output_tokens=MAX_OUTPUT_TOKENS),
        batch=BatchOptions(concurrency=CONCURRENCY, chunk_rows=CHUNK_ROWS),
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case [source, output, url, workers]:
            run(source, output, url, int(workers))
        case _:
            main()
