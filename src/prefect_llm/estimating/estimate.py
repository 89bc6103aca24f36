"""The estimate of a run: its documents are rendered and counted; only with a sample is anything asked."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from prefect_llm.documents import Snapshot, open_source, stage
from prefect_llm.estimating.costing import Line, lines_of
from prefect_llm.estimating.intervals import LEAST_SAMPLE, Interval, total_of
from prefect_llm.estimating.population import Population, population_of
from prefect_llm.estimating.sample import Sample, SampleOptions, ask_sample
from prefect_llm.estimating.timing import seconds_of
from prefect_llm.prompts import Prompt
from prefect_llm.reuse.earlier_runs import EarlierRuns, previous_runs
from prefect_llm.run.context import context_of
from prefect_llm.run.opening import check_varies
from prefect_llm.run.reference import RunReference
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import PREVIOUS, RunDirectory
from prefect_llm.system.folders import Folder, open_folder
from prefect_llm.values.errors import InvalidInput, TooManyFailures
from prefect_llm.values.formatting import plain_if_known
from prefect_llm.values.provider import Provider

_MONEY_STEP = Decimal("1E-6")


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """What a sample was, and where its answers lie: `output` is the directory to reuse."""

    requests: int
    failed: int
    seed: int
    output: str
    cost: Decimal | None
    """Billed for it, and what may have been; `None` where that is not known."""
    preview: tuple[tuple[str, str, str], ...]
    """Ids, and the beginnings of what was asked and answered, of the first ones in the order of the input."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take. Without a sample the intervals are bounds, with one they hold the truth at 95%.

    `documents` are those still without a result; `requests` would be sent, for `unaskable` documents make none,
    `repeated` share another's and `reused` have an answer of an earlier run. `others` of the requests hold more than
    text, whose tokens are not counted. `lines` begin with the run's own model. `seconds` is `None` where nothing
    bounds the time. `is_measured` says that tokens and costs are a sample's; an endpoint may count none.
    """

    documents: int
    unaskable: int
    repeated: int
    reused: int
    requests: int
    others: int
    input_tokens: Interval
    output_tokens: Interval
    seconds: Interval | None
    lines: tuple[Line, ...]
    is_measured: bool = False
    sample: SampleSummary | None = None

    @property
    def most_cost(self) -> Decimal | None:
        """The upper end of the own model's cost online; `None` where there is none."""
        high = self.lines[0].cost.high if self.lines[0].cost is not None else None
        return None if high is None else Decimal(high).quantize(_MONEY_STEP)

    def to_json(self) -> dict[str, Any]:
        """The object of `--json`; money is a string, without an exponent."""
        return {
            "documents": self.documents,
            "unaskable": self.unaskable,
            "repeated": self.repeated,
            "reused": self.reused,
            "requests": self.requests,
            "other_than_text": self.others,
            "basis": "sample" if self.is_measured else "bounds",
            "input_tokens": _counts(self.input_tokens),
            "output_tokens": _counts(self.output_tokens),
            "seconds": None if self.seconds is None else _rounded(self.seconds),
            "costs": [
                {
                    "model": line.model,
                    "lane": line.lane,
                    "cost": None if line.cost is None else _amounts(line.cost),
                    "currency": line.currency,
                    "price": line.price,
                }
                for line in self.lines
            ],
            "sample": None
            if self.sample is None
            else {
                "requests": self.sample.requests,
                "failed": self.sample.failed,
                "seed": self.sample.seed,
                "output": self.sample.output,
                "cost": plain_if_known(self.sample.cost),
            },
        }


def estimate_input(
    input: str | pa.Table,
    spec: RunSpec,
    provider: Provider,
    *,
    reuse: str | None = None,
    siblings: str | None = None,
    output: str | None = None,
    sample: SampleOptions | None = None,
    models: Sequence[str] = (),
) -> Estimate:
    """The estimate of the run that `open_run` would begin, staged in a temporary folder that is removed again.

    What the run in `output` has already answered counts as reused. Raises `InvalidInput` as `open_run` does, and
    with a `sample` the `RunError` that stopped it.
    """
    answered = _answered(spec, reuse, siblings, output)
    prompt, source = Prompt(spec.prompt), open_source(input)
    with tempfile.TemporaryDirectory(prefix="llm-estimate-") as temporary:
        folder = open_folder(temporary)
        snapshot = stage(source, spec.staging(prompt), folder)
        check_varies(prompt, spec, snapshot.rows)
        population = population_of(folder, snapshot, range(snapshot.chunks), prompt, spec, provider, answered)
        return _estimate(folder, snapshot, population, spec, provider, sample, models)


def estimate_run(
    run: RunReference, provider: Provider, *, sample: SampleOptions | None = None, models: Sequence[str] = ()
) -> Estimate:
    """The estimate of what an opened run has yet to do, over its own snapshot; raises as `estimate_input` does."""
    plan = context_of(run).plan
    folder, answered = plan.directory.folder, EarlierRuns((run.url, *run.reuse), plan.spec.kept_of_answers)
    population = population_of(folder, plan.snapshot, run.pending, plan.prompt, plan.spec, provider, answered)
    return _estimate(folder, plan.snapshot, population, plan.spec, provider, sample, models)


def _answered(spec: RunSpec, reuse: str | None, siblings: str | None, output: str | None) -> EarlierRuns:
    """The runs whose answers would be taken."""
    if reuse == PREVIOUS:
        urls = () if siblings is None else previous_runs(siblings, None)
    else:
        urls = () if reuse is None else (RunDirectory.open(reuse).url,)
    if output is not None and RunDirectory.open(output).manifest() is not None:
        urls = (RunDirectory.open(output).url, *urls)
    earlier = EarlierRuns(urls, spec.kept_of_answers)
    return earlier.read()


def _estimate(
    folder: Folder,
    snapshot: Snapshot,
    population: Population,
    spec: RunSpec,
    provider: Provider,
    options: SampleOptions | None,
    models: Sequence[str],
) -> Estimate:
    lines_of(population, None, provider, spec.prompt.model, models)  # what it refuses is refused before the sample
    taken = None
    if options is not None and population.requests:
        if options.size < min(LEAST_SAMPLE, population.requests):
            raise InvalidInput(f"sample: {options.size} requests say too little: give {LEAST_SAMPLE} or more")
        taken = ask_sample(folder, snapshot, population, spec, provider, options)
        if taken.failed == len(taken.answers):
            raise TooManyFailures(f"all {taken.failed} requests of the sample failed: {taken.answers[0].content}")

    inputs, outputs = _tokens(population, taken)
    return Estimate(
        documents=population.documents,
        unaskable=population.not_sent.unaskable,
        repeated=population.not_sent.repeated,
        reused=population.not_sent.reused,
        requests=population.requests,
        others=population.others,
        input_tokens=inputs,
        output_tokens=outputs,
        seconds=seconds_of(population, taken, provider.limits, inputs, outputs),
        lines=tuple(lines_of(population, taken, provider, spec.prompt.model, models)),
        is_measured=taken is not None and taken.usages is not None,
        sample=None if taken is None else _summary_of(taken),
    )


def _tokens(population: Population, sample: Sample | None) -> tuple[Interval, Interval]:
    usages = None if sample is None else sample.usages
    if sample is None or usages is None:
        return population.input_tokens, population.output_tokens
    sizes, factor = [float(each.bytes) for each in sample.answers], 1 + sample.discarded_share
    inputs = total_of(population.sizes, sizes, [float(usage.input_tokens or 0) for usage in usages])
    outputs = total_of(population.sizes, sizes, [float(usage.output_tokens or 0) for usage in usages])
    return inputs.scaled(factor), outputs.scaled(factor)


def _summary_of(sample: Sample) -> SampleSummary:
    pairs = zip(sample.answers, sample.questions, strict=False)  # words are kept of the first ones only
    preview = tuple((each.id, asked, each.content) for each, asked in pairs)
    return SampleSummary(len(sample.answers), sample.failed, sample.seed, sample.output, sample.cost, preview)


def _counts(interval: Interval) -> dict[str, int | None]:
    return {name: None if value is None else round(value) for name, value in _ends(interval).items()}


def _rounded(interval: Interval) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 1) for name, value in _ends(interval).items()}


def _amounts(interval: Interval) -> dict[str, str | None]:
    return {name: None if value is None else _money_text(value) for name, value in _ends(interval).items()}


def _money_text(amount: float) -> str:
    return format(Decimal(amount).quantize(_MONEY_STEP), "f")


def _ends(interval: Interval) -> dict[str, float | None]:
    return {"low": interval.low, "expected": interval.expected, "high": interval.high}
