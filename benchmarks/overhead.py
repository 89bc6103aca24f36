"""CPU that a whole run adds to its engine for 1,000 documents: 0.2 s an answer, 100 in flight, two sizes.

The slope between the sizes is the price of 1,000 documents, what is left the constant. The core run adds staging,
templates, fingerprints, rows and Parquet; the flow adds Prefect, whose server runs in a process of its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from engines import engine
from measuring import in_own_process, measure
from runs import core_run, flow_run, prefect_server, write_documents
from simulated import ANSWER_OF_1_KB, simulated_provider
from tables import Table, heading, verdict

CONCURRENCY = 100
SMALL, LARGE = 4_000, 24_000


def main() -> None:
    """A row each, and the slopes over the engine's."""
    heading("CPU that Prefect, staging and Parquet add", __doc__)
    table = Table("what", f"{SMALL:,}: CPU s", f"{LARGE:,}: CPU s", "slope per 1,000", "constant s")
    slopes: dict[str, float] = {}
    with simulated_provider("--latency", "0.2", *ANSWER_OF_1_KB) as provider, prefect_server() as environ:
        for name in ("engine", "core run", "flow"):
            small, large = (
                in_own_process(__file__, name, provider.url, size, environ=environ if name == "flow" else None)[
                    "cpu_s"
                ]
                for size in (SMALL, LARGE)
            )
            slopes[name] = (large - small) / (LARGE - SMALL) * 1_000
            constant_s = small - slopes[name] * SMALL / 1_000
            table.row(name, f"{small:.2f}", f"{large:.2f}", f"{slopes[name]:.3f}", f"{constant_s:.2f}")
    verdict("core run - engine, CPU s per 1,000", slopes["core run"] - slopes["engine"], at_most=0.10)
    verdict("flow - engine, CPU s per 1,000", slopes["flow"] - slopes["engine"], at_most=0.10)


def measured(name: str, url: str, size: str) -> None:
    """In the row's own process: print its CPU seconds as JSON."""
    ask = _ask_engine if name == "engine" else _run(core_run if name == "core run" else flow_run)
    print(json.dumps(measure(lambda count: ask(url, count), int(size), warm_up=100)))


def _ask_engine(url: str, count: int) -> int:
    return engine(url, count, CONCURRENCY)


def _run(run: Callable[..., int]) -> Callable[[str, int], int]:
    def ask(url: str, count: int) -> int:
        with tempfile.TemporaryDirectory() as folder:
            return run(write_documents(Path(folder), count), f"{folder}/answers", url, concurrency=CONCURRENCY)

    return ask


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured(*sys.argv[1:])
    else:
        main()
