"""How often an estimate's 95% interval covers the truth: `python benchmarks/estimate.py`.

First 100 real runs against the simulated provider: 400 documents of lognormal sizes with lognormal answers that the
output limit cuts, 60 of them asked by `estimate`, then the run over all, which takes the sample's answers. The truth
is what the two were billed together. Then the arithmetic alone, over 100 populations of 2,000 documents for each kind
of answers and size of sample: how many intervals of 100 cover the truth, and their mean width in shares of it.
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa
from simulated import simulated_provider
from tables import Table, heading, verdict

from prefect_llm import read_results
from prefect_llm.engine import close_engines
from prefect_llm.estimating import SampleOptions, estimate_input
from prefect_llm.estimating.intervals import Sizes, total_of
from prefect_llm.prompts import PromptSpec
from prefect_llm.run.opening import open_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.spec import RunSpec
from prefect_llm.run.threads import infer_pending
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Limits, Provider

RUNS = 100
WANTED = 93
DOCUMENTS = 400
SAMPLE = 60
LIMIT = 512
OPTIONS = ("--latency", "lognormal:0.01,0.5", "--output-tokens", "lognormal:80,1", "--seed", "7")
PRICE = Price(Decimal("0.4"), Decimal("1.6"))
POPULATION = 2_000
SIZES = (30, 60, 120, 240)
COUNTED_DOCUMENTS = 100_000

Answers = Callable[[random.Random, float], float]
"""Output tokens of an answer to that many input tokens."""

KINDS: dict[str, Answers] = {
    "alike": lambda draw, _: draw.lognormvariate(4.1, 0.3),
    "lognormal, cut at 1,024": lambda draw, _: min(draw.lognormvariate(4.4, 1.0), 1_024),
    "heavy tail, cut at 4,096": lambda draw, _: min(draw.lognormvariate(4.4, 1.4), 4_096),
    "in proportion to the input": lambda draw, size: 0.2 * size * draw.lognormvariate(0, 0.6),
    "6% thirty times as long": lambda draw, _: 900.0 if draw.random() < 0.06 else draw.uniform(20, 40),
}


def main() -> None:
    """Print the tables and the verdicts."""
    heading("Estimates", __doc__)
    real_runs()
    arithmetic()
    counting()


def real_runs() -> None:
    """Estimate, run, compare."""
    covered = {"cost": 0, "output tokens": 0}
    width = 0.0
    with simulated_provider(*OPTIONS) as simulated, tempfile.TemporaryDirectory() as folder:
        provider = Provider(simulated.url, limits=Limits(64), prices={"*": PRICE})
        for number in range(RUNS):
            cost, tokens, width_now = one_run(number, provider, folder)
            covered["cost"] += cost
            covered["output tokens"] += tokens
            width += width_now / RUNS
    close_engines()
    for what, count in covered.items():
        verdict(f"of {RUNS} real runs those whose {what} the interval covers", count, at_least=WANTED)
    print(f"- mean width of the cost's interval: {width:.0%} of the truth\n", flush=True)


def one_run(number: int, provider: Provider, folder: str) -> tuple[bool, bool, float]:
    """Whether the intervals of cost and output tokens cover the truth, and how wide that of the cost is."""
    draw = random.Random(number)
    texts = [f"{number} {row} " + "word " * int(draw.lognormvariate(4, 1)) for row in range(DOCUMENTS)]
    table = pa.table({"id": [str(row) for row in range(DOCUMENTS)], "text": texts})
    spec = RunSpec(prompt=PromptSpec(model="m", template="{{ text }}", max_output_tokens=LIMIT))
    sample = SampleOptions(SAMPLE, f"{folder}/{number}-sample", seed=number)
    found = estimate_input(table, spec, provider, sample=sample)
    summary = infer_pending(
        open_run(table, f"{folder}/{number}", spec, options=RunOptions(reuse=sample.output)), provider
    )
    cost, tokens, asked = found.lines[0].cost, found.output_tokens, found.sample
    assert cost is not None
    assert cost.high is not None
    assert tokens.high is not None
    assert asked is not None
    assert asked.cost is not None
    billed = float(summary.totals.known_cost + asked.cost)
    output = summary.totals.tokens.output_tokens + output_tokens_in(asked.output)
    return (
        cost.low <= billed <= cost.high,
        tokens.low <= output <= tokens.high,
        (cost.high - cost.low) / billed,
    )


def output_tokens_in(directory: str) -> int:
    """The output tokens of the run there."""
    return sum(read_results(directory).to_table(["output_tokens"])["output_tokens"].to_pylist())


def arithmetic() -> None:
    """The estimator over populations that it draws from."""
    table, counts = Table("answers", *(f"sample of {size}" for size in SIZES)), list[int]()
    for name, answers in KINDS.items():
        cells = []
        for size in SIZES:
            covered, width = coverage(answers, size)
            cells.append(f"{covered} ({width:.0%})")
            if size >= SAMPLE:
                counts.append(covered)
        table.row(name, *cells)
    print()
    verdict(f"of {RUNS}, the mean from a sample of {SAMPLE} on", sum(counts) / len(counts), at_least=WANTED)


def coverage(answers: Answers, size: int) -> tuple[int, float]:
    """How many of the intervals cover the population's cost, and their mean width."""
    draw = random.Random(size)
    covered, width = 0, 0.0
    for _ in range(RUNS):
        sizes = [min(draw.lognormvariate(6.5, 1.0), 60_000) for _ in range(POPULATION)]
        inputs = [each / 4 * draw.lognormvariate(0, 0.08) + 12 for each in sizes]
        costs = [0.4 * each + 1.6 * answers(draw, each) for each in inputs]
        chosen = draw.sample(range(POPULATION), size)
        found = total_of(
            Sizes(POPULATION, math.fsum(sizes)), [sizes[one] for one in chosen], [costs[one] for one in chosen]
        )
        truth = math.fsum(costs)
        assert found.high is not None
        covered += found.low <= truth <= found.high
        width += (found.high - found.low) / truth / RUNS
    return covered, width


def counting() -> None:
    """How long it takes to count documents without asking."""
    table = pa.table({"text": [f"{row} " + "word " * 200 for row in range(COUNTED_DOCUMENTS)]})
    spec = RunSpec(prompt=PromptSpec(model="m", template="Say: {{ text }}", max_output_tokens=LIMIT))
    started = time.monotonic()
    estimate_input(table, spec, Provider("http://127.0.0.1:9/v1", prices={"*": PRICE}))
    seconds = time.monotonic() - started
    print(f"\n{COUNTED_DOCUMENTS:,} documents of 1 KB counted without asking in {seconds:.1f} s.", flush=True)


if __name__ == "__main__":
    main()
