"""2,000 documents, 64 in flight, killed with SIGKILL and begun again: what is lost, unreadable or paid twice.

Three cases: at random instants on a local disk; inside a random call of the file system there, half way through a
write among them; at random instants with the run on an S3 server. A kill may make those in flight vain, 64; on S3
also what was answered within one flush interval of 0.5 s, at most 192. After each kill pyarrow, DuckDB and Polars
read the results. `python benchmarks/chaos.py KILLS SEED` takes another number of kills than 200, and a seed to repeat
them.
"""

from __future__ import annotations

import math
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from s3 import s3_bucket
from seen import faults_in, ids_in
from simulated import COMMAND, SimulatedProvider, simulated_provider
from tables import Table, heading, verdict

from prefect_llm.store import RunDirectory

DOCUMENTS, CHUNK_ROWS, CONCURRENCY, KILLS, KILLS_OF_A_RUN = 2_000, 100, 64, 200, 10
LATENCY_S, FLUSH_S, POLL_S, SETTLED_S = 0.2, 0.5, 0.005, 0.05
ANSWERED_IN_A_FLUSH = CONCURRENCY * math.ceil(FLUSH_S / LATENCY_S)
"""More the provider cannot answer with so many in flight at this latency, all of them at once included."""
OPENING_S, KILLED_WHILE_OPENING = 1.5, 0.15
QUANTILES = (0.0, 0.5, 0.9, 1.0)

DYING = Path(__file__).resolve().parent.parent / "tests" / "run" / "dying.py"
CALLS = {"write": 300, "content": 40, "part": 6, "replace": 40, "link": 12, "fsync": 60, "unlink": 40}
"""How often at most each is survived: about as often as a tenth of a run calls it."""
HALVES = frozenset({"write", "content", "part"})


@dataclass(frozen=True, slots=True)
class Asking:
    """One run: its source, its directory, and who is asked."""

    source: str
    output: str
    provider: SimulatedProvider

    def requests(self) -> int:
        """How many have reached the provider, from all runs."""
        return int(self.provider.stats()["requests"])

    def command(self) -> list[str]:
        """As a person gives it."""
        given = {"--output": self.output, "--base-url": self.provider.url, "--model": "m", "--prompt": "{{ text }}"}
        given |= {
            "--concurrency": str(CONCURRENCY),
            "--chunk-rows": str(CHUNK_ROWS),
            "--flush-interval": str(FLUSH_S),
        }
        return [str(COMMAND), "run", self.source, "--quiet", *(word for pair in given.items() for word in pair)]

    def dying(self, death: str) -> list[str]:
        """The same run in a process that kills itself."""
        arguments = [self.output, self.source, self.provider.url, str(CHUNK_ROWS), death, str(CONCURRENCY)]
        return [sys.executable, str(DYING), *arguments]


Kill = Callable[[Asking, random.Random], str | None]
"""Goes on with the run until a kill, and says what was under way; `None` where the run ended before it came."""


@dataclass(slots=True)
class Case:
    """Where runs lie, how they are killed, how many requests a kill may make vain; and what became of them."""

    name: str
    place: str
    kill: Kill
    bound: int
    paid_twice: list[int] = field(default_factory=list)
    under_way: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    runs: int = 0
    lost: int = 0
    surplus: int = 0
    wall_s: float = 0.0


def main() -> None:
    """The cases, their distributions and the verdicts."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    heading("Chaos", __doc__)
    table = Table("requests a kill made vain", "kills", "runs", "least", "half", "90%", "most", "mean", "bound", "s")
    with (
        tempfile.TemporaryDirectory() as folder,
        s3_bucket("chaos") as bucket,
        simulated_provider("--latency", str(LATENCY_S), "--output-tokens", "20") as provider,
    ):
        cases = (
            Case("local disk, any instant", f"{folder}/instants", kill_at_an_instant, CONCURRENCY),
            Case("local disk, inside a call", f"{folder}/calls", kill_inside_a_call, CONCURRENCY),
            Case("S3, any instant", bucket, kill_at_an_instant, CONCURRENCY + ANSWERED_IN_A_FLUSH),
        )
        source = write_documents(Path(folder))
        for case, share in zip(cases, (kills - 3 * (kills // 5), 2 * (kills // 5), kills // 5), strict=True):
            survive(case, share, source, provider, random.Random(seed))
            row_of(table, case)
    print(f"\nSeed {seed}.\n")
    for case in cases:
        report(case)


def write_documents(folder: Path) -> str:
    """Ids 0, ... and a text of its own each, so that none is answered by another's request."""
    ids = [str(row) for row in range(DOCUMENTS)]
    pq.write_table(pa.table({"id": ids, "text": [f"Document {each}." for each in ids]}), folder / "documents.parquet")
    return str(folder / "documents.parquet")


def survive(case: Case, kills: int, source: str, provider: SimulatedProvider, chance: random.Random) -> None:
    """One run after another, ten kills each, until there were so many."""
    began = time.monotonic()
    while len(case.paid_twice) < kills:
        asking = Asking(source, f"{case.place}/run-{case.runs}", provider)
        provider.reset()
        survive_one(case, asking, min(KILLS_OF_A_RUN, kills - len(case.paid_twice)), chance)
        case.runs += 1
    case.wall_s = time.monotonic() - began


def survive_one(case: Case, asking: Asking, kills: int, chance: random.Random) -> None:
    """A run, its kills and its end."""
    vain = 0
    for _ in range(kills):
        where = case.kill(asking, chance)
        if where is None:
            break
        case.under_way[where] += 1
        time.sleep(SETTLED_S)  # what was sent before the kill is counted
        before, vain = vain, asking.requests() - rows_kept(asking.output)
        case.paid_twice.append(vain - before)
        case.faults += faults_in(asking.output, DOCUMENTS, CHUNK_ROWS)
    end = asking.dying("none:0:before") if case.kill is kill_inside_a_call else asking.command()
    subprocess.run(end, check=True, stdout=subprocess.DEVNULL)
    case.faults += faults_in(asking.output, DOCUMENTS, CHUNK_ROWS)
    rows = Counter(ids_in(asking.output))
    case.lost += sum(not rows[str(row)] for row in range(DOCUMENTS))
    case.surplus += rows.total() - len(rows)
    if asking.requests() - DOCUMENTS != vain:
        case.faults.append(f"{asking.requests() - DOCUMENTS} requests paid twice, {vain} of them by kills")


def kill_at_an_instant(asking: Asking, chance: random.Random) -> str | None:
    """A random while after a random number of further requests; now and then while the run is being opened."""
    share = 2 * (DOCUMENTS - rows_kept(asking.output)) // KILLS_OF_A_RUN
    goal, then_s = asking.requests() + chance.randint(1, max(share, 1)), chance.uniform(0, LATENCY_S)
    if chance.random() < KILLED_WHILE_OPENING:
        goal, then_s = 0, chance.uniform(0, OPENING_S)
    before = asking.requests()
    with subprocess.Popen(asking.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while asking.requests() < goal and process.poll() is None:
            time.sleep(POLL_S)
        time.sleep(then_s)
        process.kill()
    if process.returncode != -signal.SIGKILL:
        return None
    return "asking" if asking.requests() > before else "opening"


def kill_inside_a_call(asking: Asking, chance: random.Random) -> str | None:
    """Before, after or half way through a random one of a random kind."""
    call = chance.choice(sorted(CALLS))
    when = chance.choice(["before", "half", "after"] if call in HALVES else ["before", "after"])
    death = f"{call}:{chance.randint(1, CALLS[call])}:{when}"
    done = subprocess.run(asking.dying(death), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return f"{call} {when}" if done.returncode == -signal.SIGKILL else None


def rows_kept(output: str) -> int:
    """Rows that the next start will not ask for: those of parts, and those of journals."""
    directory = RunDirectory.open(output)
    tables = [*directory.scan(["id"]), *directory.scan_journals(["id"])]
    return sum(int(table.num_rows) for table in tables)


def row_of(table: Table, case: Case) -> None:
    """The distribution of one case."""
    paid = sorted(case.paid_twice)
    quantiles = [paid[round(quantile * (len(paid) - 1))] for quantile in QUANTILES] if paid else [0] * len(QUANTILES)
    mean = sum(paid) / max(len(paid), 1)
    table.row(case.name, len(paid), case.runs, *quantiles, f"{mean:.1f}", case.bound, f"{case.wall_s:.0f}")


def report(case: Case) -> None:
    """What was under way, and the verdicts."""
    ways = ", ".join(f"{count} {way}" for way, count in sorted(case.under_way.items()))
    print(f"\n{case.name}: killed in {ways}.\n")
    verdict("documents without a row", case.lost, at_most=0)
    verdict("rows too many", case.surplus, at_most=0)
    verdict("faults of readers or figures", len(case.faults), at_most=0)
    verdict("requests made vain by the worst kill", max(case.paid_twice, default=0), at_most=case.bound)
    for fault in case.faults:
        print(f"  - {fault}")


if __name__ == "__main__":
    main()
