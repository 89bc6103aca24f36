"""The Prefect server is stopped for two minutes while a run is under way, and started again.

2,400 documents by a saved block, 16 in flight, answers after 1 s, chunks of 100: a run of 150 s. Once the server is
back before the run ends; once the run ends while it is away, and the same flow is called again afterwards. What the
run ends as, what Prefect knows of it, rows that are missing, and requests that were asked twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pyarrow.dataset as ds
from runs import started_prefect, write_documents
from simulated import SimulatedProvider, simulated_provider
from tables import Table, heading, verdict

DOCUMENTS, CHUNK_ROWS, CONCURRENCY, LATENCY_S = 2_400, 100, 16, 1.0
AWAY_S = 120.0
PORT = 4_931
SCRIPT = f"""
import sys
from prefect_llm import LLMProvider, batch_inference
source, output, url = sys.argv[1:]
LLMProvider(base_url=url).save("block", overwrite=True)
batch_inference(
    input=source, output=output, provider="block", model="m", prompt="{{{{ text }}}} {{{{ id }}}}",
    batch={{"chunk_rows": {CHUNK_ROWS}, "concurrency": {CONCURRENCY}}},
)
"""


def main() -> None:
    heading("Two minutes without Prefect", __doc__)
    table = Table(
        "server away", "1st exit", "state then", "2nd exit", "states", "rows missing", "asked twice", "run s"
    )
    with simulated_provider("--latency", str(LATENCY_S)) as provider:
        for name, after_s in (("in the middle of the run", 15.0), ("at the end of the run", 110.0)):
            lost, twice = _case(table, name, after_s, provider)
            verdict(f"{name}: rows missing", lost, at_most=0)
            verdict(f"{name}: requests asked twice", twice, at_most=0)


def _case(table: Table, name: str, after_s: float, provider: SimulatedProvider) -> tuple[int, int]:
    provider.reset()
    with tempfile.TemporaryDirectory() as folder:
        home = f"{folder}/prefect"
        arguments = [write_documents(Path(folder), DOCUMENTS), f"{folder}/run", provider.url]
        command = [sys.executable, "-c", SCRIPT, *arguments]
        log = os.open(f"{folder}/log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        with started_prefect(home, PORT) as server:
            process = subprocess.Popen(command, env=dict(server.environ), stdout=log, stderr=log)
            provider.wait_until(after_s)
        began = time.monotonic()
        time.sleep(AWAY_S)
        with started_prefect(home, PORT) as server:
            first = process.wait()
            took_s = after_s + time.monotonic() - began
            then = _states()
            second = 0 if first == 0 else subprocess.call(command, env=dict(server.environ), stdout=log, stderr=log)
            states = _states()
        os.close(log)
        if second:
            print(Path(folder, "log").read_text()[-3_000:])
        ids = Counter(ds.dataset(f"{folder}/run/results").to_table(["id"])["id"].to_pylist())
    twice = int(provider.stats()["requests"]) - DOCUMENTS
    lost = DOCUMENTS - len(ids)
    shown = (first, _text(then), second, _text(states), lost, twice, f"{took_s:.0f}")
    table.row(name, *shown)
    return lost, twice


def _states() -> Counter[str]:
    found: list[dict[str, Any]] = httpx.post(
        f"http://127.0.0.1:{PORT}/api/flow_runs/filter", json={}, trust_env=False
    ).json()
    return Counter(each["state_name"] for each in found)


def _text(states: Counter[str]) -> str:
    return ", ".join(f"{number} {state}" for state, number in states.items()) or "none"


if __name__ == "__main__":
    main()
