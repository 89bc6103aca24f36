"""What a run adds to its engine, in CPU seconds per 1,000 documents: `python benchmarks/whole_run.py [ROWS]`.

Staging from Parquet, templates, fingerprints, rows and parts included; start-up and imports left out. Both rows
run one after the other against the same instant server (0.2 s an answer, 1 KB bodies, 100 at once).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from server import cpu_s, instant_server

from prefect_llm.engine import Engine, Stop, close_engines
from prefect_llm.prompts import PromptSpec
from prefect_llm.records import Limits, Parameters, Provider, Request
from prefect_llm.run import infer_pending, open_run
from prefect_llm.spec import RunSpec

DELAY_S = 0.2
CONCURRENCY = 100
TEXT = "x" * 890


def engine_alone(provider: Provider, rows: int) -> None:
    """Requests made beforehand, outcomes dropped."""
    parameters = Parameters("instant", max_output_tokens=200)
    messages = ({"role": "user", "content": f"Summary: {TEXT}"},)
    engine = Engine(provider)
    engine.run((Request(row, str(row), messages, parameters, "") for row in range(rows)), lambda *_: None, Stop())
    engine.close()


def whole_run(provider: Provider, rows: int) -> None:
    """From a Parquet file to the parts and the summary."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "documents.parquet")
        pq.write_table(pa.table({"id": [str(row) for row in range(rows)], "text": [TEXT] * rows}), source)
        spec = RunSpec(prompt=PromptSpec(model="instant", template="Summary: {{ text }}", max_output_tokens=200))
        summary = infer_pending(open_run(str(source), f"{folder}/answers", spec), provider)
        assert summary.totals.ok == rows
        close_engines()


def main() -> None:
    """Measure both and print a row each."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    print(f"{rows:,} documents, {CONCURRENCY} at once, {DELAY_S} s an answer")
    print(f"{'':16}{'CPU s per 1,000':>18}{'wall s':>10}{'wall efficiency':>18}")
    with instant_server(DELAY_S) as url:
        provider = Provider(f"{url}/v1", limits=Limits(concurrency=CONCURRENCY))
        for measured in (engine_alone, whole_run):
            before, started = os.times()[:2], time.perf_counter()
            measured(provider, rows)
            wall_s, used_s = time.perf_counter() - started, cpu_s(before, os.times()[:2])
            efficiency = rows / CONCURRENCY * DELAY_S / wall_s
            print(
                f"{measured.__name__:16}{used_s / rows * 1000:>18.3f}{wall_s:>10.1f}{efficiency:>18.2f}", flush=True
            )


if __name__ == "__main__":
    main()
