"""The Prefect server is away or ill for two minutes while a run is under way.

2,400 documents by a saved block, 16 in flight, answers after 1 s, chunks of 100: a run of 150 s. The server is
stopped and started again; or a gateway before it answers 503: before a chunk begins, in the middle of the run, or at
its end; or every call takes 2 s. Then eight flows of 200 tasks each (2,000 documents, chunks of 10, answers after
0.3 s) at one server on SQLite, which answers 503 where its database is locked. What runs end as, what Prefect knows
of them, rows that are missing, and requests that were asked twice. A run that failed is called again. Spoilt are the
calls that got 5xx.

`python benchmarks/prefect_outage.py NAME ...` runs only the cases whose names hold one of the words.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pyarrow.dataset as ds
from runs import started_prefect, write_documents
from simulated import SimulatedProvider, simulated_provider
from tables import Table, heading, verdict

GATEWAY = Path(__file__).resolve().parents[1] / "tests" / "gateways" / "prefect_gateway.py"
AWAY_S = 120.0
SLOW_S = 2.0
FLOWS = 8
RUN_S = 1_800.0
SAVE = """
import sys
from prefect_llm import LLMProvider
LLMProvider(base_url=sys.argv[1]).save("block", overwrite=True)
"""
RUN = """
import json, sys
from prefect_llm import batch_inference
source, output, batch = sys.argv[1:]
batch_inference(
    input=source, output=output, provider="block", model="m", prompt="{{ text }} {{ id }} " + output,
    batch=json.loads(batch),
)
"""
LONG_RUN: dict[str, Any] = {"chunk_rows": 100, "concurrency": 16}
MANY_TASKS: dict[str, Any] = {"chunk_rows": 10, "concurrency": 16, "share_limits": False}


@dataclass(slots=True)
class Stage:
    """A server, the gateway before it, a provider, and runs at both."""

    folder: str
    provider: SimulatedProvider
    server_port: int = field(default_factory=lambda: _free_port())
    port: int = field(default_factory=lambda: _free_port())

    def run(self, number: int, documents: int, batch: Mapping[str, Any]) -> list[str]:
        """The command of a run."""
        output = f"{self.folder}/run-{number}"
        source = write_documents(Path(self.folder), documents)
        return [sys.executable, "-c", RUN, source, output, json.dumps(batch)]

    def save_block(self, environ: Mapping[str, str]) -> None:
        """The block that runs ask by."""
        command = [sys.executable, "-c", SAVE, self.provider.url]
        if self.begin(command, environ).wait():
            raise RuntimeError("the block could not be saved")

    def begin(self, command: list[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start it; what it says goes into a file."""
        log = os.open(f"{self.folder}/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        used = dict(environ) | {"PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api"}
        try:
            return subprocess.Popen(command, env=used, stdout=log, stderr=log)
        finally:
            os.close(log)

    @contextmanager
    def gateway(self) -> Iterator[None]:
        """The gateway, while the block runs."""
        command = [sys.executable, str(GATEWAY), str(self.port), str(self.server_port)]
        with subprocess.Popen(command) as process:
            try:
                yield
            finally:
                process.kill()

    def ill(self, **illness: Any) -> None:
        """The gateway spoils calls from now on, as `prefect_gateway.Illness` says; without any, no more."""
        httpx.post(f"http://127.0.0.1:{self.port}/-/ill", json=illness, trust_env=False).raise_for_status()

    def seen(self, what: str) -> int:
        """How many calls the gateway has spoilt, or has seen the server fail at (`faults`)."""
        return len(httpx.get(f"http://127.0.0.1:{self.port}/-/{what}", trust_env=False).json())

    def states(self) -> Counter[str]:
        """The flow runs that the server knows, by their state's name."""
        found: list[dict[str, Any]] = httpx.post(
            f"http://127.0.0.1:{self.server_port}/api/flow_runs/filter", json={}, trust_env=False
        ).json()
        return Counter(each["state_name"] for each in found)

    def documents(self) -> int:
        """The documents that have a row in any of the runs."""
        parts = Path(self.folder).glob("run-*/results")
        return sum(len(set(ds.dataset(each).to_table(["id"])["id"].to_pylist())) for each in parts)


Trouble = Callable[[Stage], None]
"""Waits for its moment, makes the server ill, and well again."""


def away(after_s: float) -> Trouble:
    """503 for two minutes, and cut websockets, so long after the first request."""

    def trouble(stage: Stage) -> None:
        stage.provider.wait_until(after_s)
        stage.ill(status=503)
        time.sleep(AWAY_S)
        stage.ill()

    return trouble


def slow(stage: Stage) -> None:
    """Every call takes 2 s from the first request on."""
    stage.provider.wait_until(0)
    stage.ill(delay_s=SLOW_S)


CASES: dict[str, Trouble | float] = {
    "stopped in the middle of the run": 15.0,
    "stopped at the end of the run": 110.0,
    "503 before a chunk begins": away(2.0),
    "503 in the middle of the run": away(60.0),
    "503 at the end of the run": away(140.0),
    "2 s a call": slow,
}
"""A number: the server is stopped so many seconds after the first request."""
LOCKED = "eight flows of 200 tasks on SQLite"


def main() -> None:
    """Every case that is wanted, one after the other."""
    wanted = sys.argv[1:] or [""]
    heading("Two minutes without Prefect", __doc__)
    columns = "spoilt", "1st exits", "states then", "2nd exits", "states", "rows missing", "asked twice", "run s"
    table = Table("the server", *columns)
    for name in (*CASES, LOCKED):
        if not any(word in name for word in wanted):
            continue
        latency_s = 0.3 if name == LOCKED else 1.0
        with simulated_provider("--latency", str(latency_s)) as provider, tempfile.TemporaryDirectory() as folder:
            case = _many if name == LOCKED else _one
            lost, twice = case(table, name, Stage(folder, provider))
        verdict(f"{name}: rows missing", lost, at_most=0)
        verdict(f"{name}: requests asked twice", twice, at_most=0)


def _one(table: Table, name: str, stage: Stage) -> tuple[int, int]:
    trouble, command = CASES[name], stage.run(0, 2_400, LONG_RUN)
    home, began = f"{stage.folder}/prefect", time.monotonic()
    with stage.gateway():
        with started_prefect(home, stage.server_port) as server:
            stage.save_block(server.environ)
            began = time.monotonic()
            process = stage.begin(command, server.environ)
            if not isinstance(trouble, float):
                trouble(stage)
                return _ended(table, name, stage, [(command, process)], server.environ, began)
            stage.provider.wait_until(trouble)
        time.sleep(AWAY_S)
        with started_prefect(home, stage.server_port) as server:
            return _ended(table, name, stage, [(command, process)], server.environ, began)


def _many(table: Table, name: str, stage: Stage) -> tuple[int, int]:
    with stage.gateway(), started_prefect(f"{stage.folder}/prefect", stage.server_port) as server:
        stage.save_block(server.environ)
        began = time.monotonic()
        commands = [stage.run(number, 2_000, MANY_TASKS) for number in range(FLOWS)]
        runs = [(command, stage.begin(command, server.environ)) for command in commands]
        return _ended(table, name, stage, runs, server.environ, began)


def _ended(
    table: Table,
    name: str,
    stage: Stage,
    runs: list[tuple[list[str], subprocess.Popen[bytes]]],
    environ: Mapping[str, str],
    began: float,
) -> tuple[int, int]:
    """Wait for the runs, call those again that failed, and show what came of all."""
    first = [process.wait(RUN_S) for _, process in runs]
    took_s, then = time.monotonic() - began, stage.states()
    failed = [command for (command, _), status in zip(runs, first, strict=True) if status]
    spoilt = stage.seen("spoilt") + stage.seen("faults")
    stage.ill()
    second = [stage.begin(command, environ).wait(RUN_S) for command in failed]
    if failed:
        print(Path(stage.folder, "log").read_text()[-3_000:], file=sys.stderr)

    expected = 2_400 if len(runs) == 1 else 2_000 * len(runs)
    lost, twice = expected - stage.documents(), int(stage.provider.stats()["requests"]) - expected
    exits = [_text(Counter(map(str, each))) for each in (first, second)]
    states = [_text(each) for each in (then, stage.states())]
    table.row(name, spoilt, exits[0], states[0], exits[1], states[1], lost, twice, f"{took_s:.0f}")
    return lost, twice


def _text(counted: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counted.items()) or "none"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
