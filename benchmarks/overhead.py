"""CPU that a whole run adds to its engine for 1,000 documents: 0.2 s an answer, 100 in flight, two sizes.

The slope between the sizes is the price of 1,000 documents, what is left the constant. The core run adds staging,
templates, fingerprints, rows and Parquet; the flow adds Prefect, whose server's own process is a row of its own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from engines import engine
from measuring import in_own_process, measure
from runs import PrefectServer, core_run, flow_run, prefect_server, write_documents
from simulated import ANSWER_OF_1_KB, simulated_provider
from tables import Table, heading, verdict

CONCURRENCY = 100
SMALL, LARGE = 4_000, 24_000
WARM_UP = 100


def main() -> None:
    """A row each, and the slopes over the engine's."""
    heading("CPU that Prefect, staging and Parquet add", __doc__)
    table = Table("what", f"{SMALL:,}: CPU s", f"{LARGE:,}: CPU s", "slope per 1,000", "constant s")
    slopes: dict[str, float] = {}
    constants: dict[str, float] = {}
    with simulated_provider("--latency", "0.2", *ANSWER_OF_1_KB) as provider, prefect_server() as server:
        for name in ("engine", "core run", "flow"):
            small, large = (used_s(name, provider.url, size, server) for size in (SMALL, LARGE))
            for what, few_s, many_s in zip((name, "Prefect's server"), small, large, strict=True):
                if what == name or name == "flow":
                    slopes[what] = (many_s - few_s) / (LARGE - SMALL) * 1_000
                    constants[what] = few_s - slopes[what] * SMALL / 1_000
                    cells = (f"{few_s:.2f}", f"{many_s:.2f}", f"{slopes[what]:.3f}", f"{constants[what]:.2f}")
                    table.row(what, *cells)
    for name in ("core run", "flow"):
        constant_s = constants[name] - constants["engine"]
        what = f"{name} - engine, CPU s per 1,000 (and {constant_s:.1f} s once)"
        verdict(what, slopes[name] - slopes["engine"], at_most=0.10)


def used_s(name: str, url: str, size: int, server: PrefectServer) -> tuple[float, float]:
    """CPU seconds of the row's process and meanwhile of Prefect's server."""
    before_s = server.cpu_s()
    row = in_own_process(__file__, name, url, size, environ=server.environ if name == "flow" else None)
    return float(row["cpu_s"]), server.cpu_s() - before_s


def measured(name: str, url: str, size: str) -> None:
    """In the row's own process: print its CPU seconds as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        sources = {count: write_documents(Path(folder), count) for count in (WARM_UP, int(size))}

        def ask(count: int) -> int:
            if name == "engine":
                return engine(url, count, CONCURRENCY)
            run = core_run if name == "core run" else flow_run
            return run(sources[count], f"{folder}/answers-{count}", url, concurrency=CONCURRENCY)

        print(json.dumps(measure(ask, int(size), warm_up=WARM_UP)))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measured(*sys.argv[1:])
    else:
        main()
