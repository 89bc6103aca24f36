"""Whole runs as the benchmarks carry them out: Parquet in, Parquet out, with or without Prefect."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pyarrow as pa
import pyarrow.parquet as pq
from workload import MAX_OUTPUT_TOKENS, MODEL, TEXT

PROMPT = "Summarise document {{ id }}: {{ text }}"
SERVER_STARTS_WITHIN_S = 180
BATCH_ROWS = 50_000


def write_documents(folder: Path, count: int, text: str = TEXT) -> str:
    """A Parquet file of documents with ids and texts; its path."""
    path = folder / f"documents-{count}.parquet"
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, count, BATCH_ROWS):
            ids = [str(row) for row in range(first, min(first + BATCH_ROWS, count))]
            writer.write_table(pa.table({"id": ids, "text": [text] * len(ids)}, schema=schema))
    return str(path)


def core_run(source: str, output: str, url: str, *, concurrency: int) -> int:
    """As `prefect-llm run` without Prefect; how many were answered."""
    from prefect_llm.engine import close_engines
    from prefect_llm.prompts import PromptSpec
    from prefect_llm.run.opening import open_run
    from prefect_llm.run.spec import RunSpec
    from prefect_llm.run.threads import infer_pending
    from prefect_llm.values.provider import Limits, Provider

    spec = RunSpec(prompt=PromptSpec(model=MODEL, template=PROMPT, max_output_tokens=MAX_OUTPUT_TOKENS))
    summary = infer_pending(open_run(source, output, spec), Provider(url, limits=Limits(concurrency)))
    close_engines()
    return summary.totals.ok


def flow_run(source: str, output: str, url: str, *, concurrency: int) -> int:
    """The flow `batch_inference`; how many were answered."""
    from prefect_llm import batch_inference
    from prefect_llm.settings import ApiOptions, BatchOptions

    summary = batch_inference(
        input=source,
        output=output,
        model=MODEL,
        prompt=PROMPT,
        api=ApiOptions(base_url=url, max_output_tokens=MAX_OUTPUT_TOKENS),
        batch=BatchOptions(concurrency=concurrency),
    )
    return summary.totals.ok


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """The running server's process, and the environment with which other processes use it."""

    environ: Mapping[str, str]
    pid: int

    def cpu_s(self) -> float:
        """User and system seconds so far; not a number where the system has no /proc."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return math.nan
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def prefect_server(settings: Mapping[str, str] | None = None) -> Iterator[PrefectServer]:
    """A Prefect server on a fresh database, unless its settings name another."""
    port = 4_200 + os.getpid() % 1_000
    with tempfile.TemporaryDirectory() as home, started_prefect(home, port, settings) as server:
        yield server


@contextmanager
def started_prefect(home: str, port: int, settings: Mapping[str, str] | None = None) -> Iterator[PrefectServer]:
    """The server whose database is in `home`, while the block runs; it can be started again there."""
    url = f"http://127.0.0.1:{port}/api"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environ |= {"PREFECT_HOME": home, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--port", str(port), "--no-ui"]
    of_the_server = environ | dict(settings or {})
    with subprocess.Popen(command, env=of_the_server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(f"{url}/health")
            used = environ | {"PREFECT_API_URL": url, "PREFECT_LOGGING_LEVEL": "WARNING"}
            yield PrefectServer(used, server.pid)
        finally:
            server.terminate()


def _wait_for(url: str) -> None:
    direct = build_opener(ProxyHandler({}))
    until = time.monotonic() + SERVER_STARTS_WITHIN_S
    while time.monotonic() < until:
        try:
            with direct.open(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError("the Prefect server did not start")
