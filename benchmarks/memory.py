"""A million documents: peak memory against 10,000, rows per second, and how soon a killed run asks again.

No latency, 200 in flight. The large run is killed with SIGKILL when all but 1,000 of its documents were asked, begun
again by the same command, and read back. `python benchmarks/memory.py ROWS` takes another number for the large run.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import in_own_process
from runs import PROMPT, write_documents
from simulated import COMMAND, SimulatedProvider, simulated_provider
from tables import Table, heading, verdict
from workload import MODEL

from prefect_llm import read_results

SMALL, LARGE = 10_000, 1_000_000
LEFT = 1_000
TEXT = "A short text, as memory is not for the texts' length. " * 4
MAXRSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10
POLL_S = 0.02


def main() -> None:
    """A row each, and the verdicts."""
    large = int(sys.argv[1]) if len(sys.argv) > 1 else LARGE
    heading("A million documents", __doc__)
    table = Table("what", "documents", "peak MB", "wall s", "documents/s")
    with simulated_provider("--latency", "0", "--output-tokens", "20") as provider:
        small_mb = whole_run(provider, table)
        large_mb, resumed_mb, asks_after_s = killed_run(provider, large + LEFT, table)
    verdict(f"MB more for {large:,} documents", large_mb - small_mb, at_most=64)
    verdict("peak MB", max(large_mb, resumed_mb), at_most=400)
    verdict(f"s until a run with {large:,} rows asks again", asks_after_s, at_most=30)


def whole_run(provider: SimulatedProvider, table: Table) -> float:
    """The small run; its peak megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        command = command_for(provider, folder, SMALL)
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            peak_mb = peak_of(process)
        row(table, "run", SMALL, peak_mb, time.perf_counter() - started)
    return peak_mb


def killed_run(provider: SimulatedProvider, count: int, table: Table) -> tuple[float, float, float]:
    """The large run, killed near its end, resumed, read back: its two peaks in MB, seconds until it asked again."""
    with tempfile.TemporaryDirectory() as folder:
        command = command_for(provider, folder, count)
        provider.reset()
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            wait_for_requests(provider, count - LEFT, process)
            process.kill()
            killed_mb = peak_of(process)
        row(table, "run, then killed", count - LEFT, killed_mb, time.perf_counter() - started)
        provider.reset()
        started = time.perf_counter()
        with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as process:
            wait_for_requests(provider, 1, process)
            asks_after_s = time.perf_counter() - started
            assert process.stdout is not None
            summary = json.loads(process.stdout.read().splitlines()[-1])
            resumed_mb = peak_of(process)
        row(table, "resumed", summary["requests"], resumed_mb, time.perf_counter() - started)
        if summary["ok"] != count:
            raise RuntimeError(f"{summary['ok']:,} of {count:,} documents were answered")
        read = in_own_process(__file__, "read", f"{folder}/answers")
        row(table, "read_results(...).to_batches()", int(read["rows"]), read["peak_mb"], read["wall_s"])
    return killed_mb, resumed_mb, asks_after_s


def command_for(provider: SimulatedProvider, folder: str, count: int) -> Sequence[str]:
    """The run of so many documents, written in a process of their own: a parent's memory counts as its child's."""
    source = in_own_process(__file__, "write", folder, count)["source"]
    command = [str(COMMAND), "run", source, "--output", f"{folder}/answers", "--base-url", provider.url]
    return [*command, "--model", MODEL, "--prompt", PROMPT, "--concurrency", "200", "--quiet"]


def wait_for_requests(provider: SimulatedProvider, count: int, process: subprocess.Popen[Any]) -> None:
    """Until so many have come, or the process has ended."""
    while int(provider.stats()["requests"]) < count and process.poll() is None:
        time.sleep(POLL_S)


def peak_of(process: subprocess.Popen[Any]) -> float:
    """Its peak megabytes once it has ended."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / MAXRSS_PER_MB


def row(table: Table, what: str, count: int, peak_mb: float, wall_s: float) -> None:
    """One row of the table."""
    table.row(what, f"{count:,}", f"{peak_mb:.0f}", f"{wall_s:.1f}", f"{count / wall_s:,.0f}")


def written(folder: str, count: str) -> None:
    """In a process of its own: write the documents, and print where as JSON."""
    print(json.dumps({"source": write_documents(Path(folder), int(count), TEXT)}))


def read(directory: str) -> None:
    """In a process of its own: read every row, and print how it went as JSON."""
    started = time.perf_counter()
    rows = sum(batch.num_rows for batch in read_results(directory).to_batches())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MAXRSS_PER_MB
    print(json.dumps({"rows": rows, "peak_mb": peak_mb, "wall_s": time.perf_counter() - started}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", folder, count]:
            written(folder, count)
        case ["read", directory]:
            read(directory)
        case _:
            main()
