"""Wall efficiency with 1,000 in flight: 0.5 s an answer, 20,000 documents, from first request to last durable row.

Ideal time is documents / concurrency x latency. Bare pyreqwest and the engine run in processes of their own; the core
run reads Parquet and writes Parquet; the flow does so under a Prefect server that is started for it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import peers
from engines import engine
from measuring import in_own_process, measure
from runs import core_run, flow_run, prefect_server, write_documents
from simulated import ANSWER_OF_1_KB, SimulatedProvider, simulated_provider
from tables import Table, heading, verdict

LATENCY_S = 0.5
CONCURRENCY = 1_000
DOCUMENTS = 20_000
IDEAL_S = DOCUMENTS / CONCURRENCY * LATENCY_S


def main() -> None:
    """A row each, and the two ratios."""
    heading("Wall efficiency at 1,000 in flight", __doc__)
    table = Table("what", "wall s", "efficiency")
    found: dict[str, float] = {}
    with simulated_provider("--latency", str(LATENCY_S), *ANSWER_OF_1_KB) as provider, prefect_server() as server:
        for name in ("pyreqwest alone", "engine", "core run", "flow"):
            provider.reset()
            row = in_own_process(__file__, name, provider.url, environ=server.environ if name == "flow" else None)
            found[name] = IDEAL_S / row["wall_s"]
            table.row(name, f"{row['wall_s']:.1f}", f"{found[name]:.3f}")
    verdict("engine / pyreqwest alone", found["engine"] / found["pyreqwest alone"], at_least=0.95)
    verdict("flow / engine", found["flow"] / found["engine"], at_least=0.90)


def measured(name: str, url: str) -> None:
    """In the row's own process: print its wall seconds as JSON."""
    if name in ("core run", "flow"):
        print(json.dumps({"wall_s": _durable_after_s(name, SimulatedProvider(url))}))
        return
    ask = engine if name == "engine" else peers.pyreqwest
    print(json.dumps(measure(lambda count: ask(url, count, CONCURRENCY), DOCUMENTS, warm_up=CONCURRENCY)))


def _durable_after_s(name: str, provider: SimulatedProvider) -> float:
    """Seconds from the first request, as the provider saw it, until the last part was written."""
    with tempfile.TemporaryDirectory() as folder:
        source = write_documents(Path(folder), DOCUMENTS)
        run = core_run if name == "core run" else flow_run
        run(source, f"{folder}/answers", provider.url, concurrency=CONCURRENCY)
        last = max(part.stat().st_mtime for part in Path(folder, "answers/results").iterdir())
        return last - (time.time() - float(provider.stats()["seconds_since_first"]))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured(*sys.argv[1:])
    else:
        main()
