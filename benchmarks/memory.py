"""Peak memory of `prefect-llm run`, 1,000,000 documents against 10,000: no latency, 200 in flight.

`python benchmarks/memory.py ROWS` takes another number of documents for the large run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import in_own_process
from runs import PROMPT, write_documents
from simulated import COMMAND, simulated_provider
from tables import Table, heading, verdict
from workload import MODEL

SMALL, LARGE = 10_000, 1_000_000
TEXT = "A short text, as memory is not for the texts' length. " * 4
MAXRSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10


def main() -> None:
    """A row each, and the difference."""
    large = int(sys.argv[1]) if len(sys.argv) > 1 else LARGE
    heading("Peak memory", __doc__)
    table = Table("documents", "peak MB", "wall s", "documents/s")
    peaks = []
    with simulated_provider("--latency", "0", "--output-tokens", "20") as provider:
        for count in (SMALL, large):
            peak_mb, wall_s = peak_of_run(provider.url, count)
            peaks.append(peak_mb)
            table.row(f"{count:,}", f"{peak_mb:.0f}", f"{wall_s:.0f}", f"{count / wall_s:,.0f}")
    verdict(f"MB more for {large:,} documents", peaks[1] - peaks[0], at_most=64)
    verdict("peak MB", max(peaks), at_most=400)


def peak_of_run(url: str, count: int) -> tuple[float, float]:
    """Megabytes and wall seconds of the command in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        # not in this process: what a child's parent held when it was started counts as the child's peak
        source = in_own_process(__file__, folder, count)["source"]
        command = [str(COMMAND), "run", source, "--output", f"{folder}/answers", "--base-url", url, "--model", MODEL]
        command += ["--prompt", PROMPT, "--concurrency", "200", "--quiet", "--json"]
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - started
        summary = json.loads(told.splitlines()[-1])
        if summary["ok"] != count:
            raise RuntimeError(f"{summary['ok']:,} of {count:,} documents were answered")
        return usage.ru_maxrss / MAXRSS_PER_MB, wall_s


def written(folder: str, count: str) -> None:
    """In a process of its own: write the documents, and print where as JSON."""
    print(json.dumps({"source": write_documents(Path(folder), int(count), TEXT)}))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        written(*sys.argv[1:])
    else:
        main()
