"""2,000 documents, 64 in flight, killed with SIGKILL at random instants and begun again: what is lost or paid twice.

`python benchmarks/chaos.py KILLS SEED` takes another number of kills than 50, and a seed to repeat their instants.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
from runs import PROMPT, write_documents
from simulated import COMMAND, SimulatedProvider, simulated_provider
from tables import Table, heading, verdict
from workload import MODEL

from prefect_llm.store import RunDirectory

DOCUMENTS, CHUNK_ROWS, CONCURRENCY, KILLS = 2_000, 100, 64, 50
LATENCY_S, POLL_S = 0.2, 0.005
QUANTILES = (0.0, 0.5, 0.9, 1.0)


@dataclass(slots=True)
class Survived:
    """What became of one run: requests that each kill made vain, unreadable results, and the rows at its end."""

    paid_twice: list[int] = field(default_factory=list)
    unreadable: int = 0
    requests: int = 0
    wall_s: float = 0.0
    ids: list[str] = field(default_factory=list)


def main() -> None:
    """One run, its kills and the verdicts."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    heading("Chaos", __doc__)
    with simulated_provider("--latency", str(LATENCY_S), "--output-tokens", "20") as provider:
        survived = survive(provider, kills, random.Random(seed))
    table = Table("of the kills", "paid twice, at most")
    for quantile in QUANTILES:
        table.row(f"{quantile:.0%}", at(survived.paid_twice, quantile))
    total = survived.requests - DOCUMENTS
    print(f"\nSeed {seed}: {total:,} of {survived.requests:,} requests paid twice, in {survived.wall_s:.0f} s.\n")
    counts = Counter(survived.ids)
    verdict("documents without a row", DOCUMENTS - len(counts), at_most=0)
    verdict("rows too many", len(survived.ids) - len(counts), at_most=0)
    verdict("rows out of order", survived.ids != [str(n) for n in range(DOCUMENTS)], at_most=0)
    verdict("kills after which results/ could not be read", survived.unreadable, at_most=0)
    verdict("requests paid twice by the worst kill", max(survived.paid_twice, default=0), at_most=CONCURRENCY)
    verdict("requests paid twice per kill", total / max(kills, 1), at_most=CONCURRENCY)


def survive(provider: SimulatedProvider, kills: int, chance: random.Random) -> Survived:
    """Kill the run so often, each time a random while after a random number of further requests; let it end then."""
    survived = Survived()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source, output = write_documents(Path(folder), DOCUMENTS, "A short text."), Path(folder, "answers")
        command = [str(COMMAND), "run", source, "--output", str(output), "--base-url", provider.url, "--model", MODEL]
        command += ["--prompt", PROMPT, "--concurrency", str(CONCURRENCY), "--chunk-rows", str(CHUNK_ROWS), "--quiet"]
        for kill in range(kills):
            share = 2 * (DOCUMENTS - rows_kept(output)) // (kills - kill + 1)
            kill_one(command, provider, chance.randint(0, share), chance.uniform(0, LATENCY_S))
            vain = requests_of(provider) - rows_kept(output)
            survived.paid_twice.append(vain - sum(survived.paid_twice))
            survived.unreadable += ids_in(output) is None
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        survived.requests, survived.wall_s = requests_of(provider), time.monotonic() - began
        survived.ids = ids_in(output) or []
    return survived


def kill_one(command: list[str], provider: SimulatedProvider, requests: int, then_s: float) -> None:
    """Start it, and kill it that long after so many requests, wherever it is."""
    goal = requests_of(provider) + requests
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while requests_of(provider) < goal and process.poll() is None:
            time.sleep(POLL_S)
        time.sleep(then_s)
        process.kill()


def requests_of(provider: SimulatedProvider) -> int:
    """How many have reached the provider."""
    return int(provider.stats()["requests"])


def rows_kept(output: Path) -> int:
    """Rows that the next start will not ask for: those of parts, and those of journals."""
    directory = RunDirectory.open(str(output))
    tables = [*directory.scan(["id"]), *directory.scan_journals(["id"])]
    return sum(int(table.num_rows) for table in tables)


def ids_in(output: Path) -> list[str] | None:
    """The ids in `results/`, none before there is one; `None` if it cannot be read."""
    results = output / "results"
    if not results.exists():
        return []
    try:
        ids: list[str] = pyarrow.dataset.dataset(results).to_table(["id"])["id"].to_pylist()
    except (pa.ArrowException, OSError):
        return None
    return ids


def at(figures: list[int], quantile: float) -> int:
    """So large at most are this share of the figures."""
    return sorted(figures)[round(quantile * (len(figures) - 1))] if figures else 0


if __name__ == "__main__":
    main()
