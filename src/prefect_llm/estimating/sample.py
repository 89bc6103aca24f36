"""A random sample of the requests, really asked: a run of its own, whose answers the whole run can take by reuse."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from prefect_llm.documents import Snapshot, stage_sample
from prefect_llm.estimating.population import Kind, Population, by_chunk, population_of
from prefect_llm.estimating.preview import PREVIEWED_CHARACTERS, questions
from prefect_llm.prompts import Prompt
from prefect_llm.report import Summary
from prefect_llm.run.opening import reopen_run, writable_output
from prefect_llm.run.options import RunOptions
from prefect_llm.run.reference import RunReference
from prefect_llm.run.spec import RunSpec
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import Manifest, RunDirectory, acquired, check_owner, check_same_spec, release
from prefect_llm.system.folders import Folder
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import InvalidInput, run_error
from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import Provider
from prefect_llm.values.tally import TOKEN_COLUMNS

SAMPLES = ".samples"
"""Beside the runs, but hidden: a sample is not a run."""

Ask = Callable[[RunReference, Provider], Summary]
"""Carries a run out, as `run.threads.infer_pending` does."""


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """`size` requests drawn by `seed`, asked as a run in the directory `output` within `budget`."""

    size: int
    output: str
    seed: int = 0
    budget: RunBudget | None = None
    ask: Ask = infer_pending


@dataclass(frozen=True, slots=True)
class Answered:
    """One request of a sample. `usage` is what it took, `None` where that is not known; it has failed if not `ok`.

    `model` is the one that answered, `latency_s` the last attempt's.
    """

    id: str
    bytes: int
    kind: Kind
    ok: bool
    usage: Usage | None
    model: str | None
    latency_s: float
    started_at: datetime | None
    finished_at: datetime | None
    content: str


@dataclass(frozen=True, slots=True)
class Sample:
    """The answers of a sample in the order of the input, and what the run in `output` came to.

    `questions` are what the first of them were asked.
    """

    answers: list[Answered]
    summary: Summary
    output: str
    seed: int
    questions: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Requests that brought no answer."""
        return sum(not each.ok for each in self.answers)

    @property
    def cost(self) -> Decimal | None:
        """What was billed for it, and what may have been; `None` where that is not known."""
        billed, possibly_billed = self.summary.totals.cost, self.summary.cost_uncertain
        return None if billed is None or possibly_billed is None else billed + possibly_billed

    @property
    def busy_s(self) -> float:
        """From its first request to its last answer."""
        started = [each.started_at for each in self.answers if each.started_at is not None]
        finished = [each.finished_at for each in self.answers if each.finished_at is not None]
        return (max(finished) - min(started)).total_seconds() if started and finished else 0.0

    @property
    def usages(self) -> list[Usage] | None:
        """What each request took, a failed one nothing; `None` where an answer came without a count of tokens."""
        if any(each.ok and each.usage is None for each in self.answers):
            return None
        return [each.usage or Usage(0, 0, 0) for each in self.answers]

    @property
    def discarded_share(self) -> float:
        """Tokens of discarded answers for each token of the rows."""
        totals = self.summary.totals
        used, discarded = totals.tokens.total, totals.chunk_stats.discarded.tokens.total
        return discarded / used if used else 0.0


def sample_directory(output: str) -> str:
    """Where the sample of the run in `output` lies."""
    above, _, name = output.rstrip("/").rpartition("/")
    return f"{above}/{SAMPLES}/{name}" if above or output.startswith("/") else f"{SAMPLES}/{name}"


def ask_sample(
    folder: Folder,
    snapshot: Snapshot,
    population: Population,
    spec: RunSpec,
    provider: Provider,
    options: SampleOptions,
) -> Sample:
    """Ask a random sample of the population, staged in `folder`; one that was asked before is read only.

    Raises the `RunError` that stopped it, and `InvalidInput` where `output` holds something else.
    """
    named = f"{snapshot.source_fingerprint}:{options.size}:{options.seed}"
    with writable_output(options.output):
        directory = RunDirectory.open(options.output)
        manifest = directory.check_ours()
        if manifest is None:
            manifest = _create_sample(directory, folder, snapshot, population, spec, options, named)
        elif manifest.snapshot["source_fingerprint"] != named:
            raise InvalidInput(
                f"{directory.url} holds another sample, of other documents, size or seed: remove it, or give another "
                "output"
            )
        check_same_spec(manifest, spec.to_json(), where=directory.url)

    summary = options.ask(reopen_run(options.output, options=RunOptions(budget=options.budget)), provider)
    if summary.stopped is not None:
        raise run_error(summary.stopped.kind, summary.stopped.message)

    taken = Snapshot.from_json(manifest.snapshot)
    prompt = Prompt(spec.prompt)
    members = population_of(directory.folder, taken, range(taken.chunks), prompt, spec, provider)
    asked = questions(directory.folder, taken, prompt, members)
    return Sample(_answers(directory, members), summary, directory.url, options.seed, asked)


def with_sample_answers(run: RunReference, sample: str, cost: Decimal | None = None) -> RunReference:
    """The run as one that reuses the answers of the sample in that directory first, also when it is resumed.

    `cost` is what the sample cost: it counts in what this run may cost. Raises `Superseded` where the run's directory
    has been taken over.
    """
    directory = RunDirectory.open(run.url)
    manifest = directory.check_run()
    check_owner(directory.folder, run.epoch)
    reuse = tuple(dict.fromkeys((sample, *run.reuse)))
    directory.write_manifest(manifest.changed(reuse=reuse))

    budget = run.budget
    if budget is not None and budget.max_cost is not None and cost is not None:
        budget = replace(budget, max_cost=max(budget.max_cost - cost, Decimal(0)))
    return replace(run, reuse=reuse, budget=budget)


def _create_sample(
    directory: RunDirectory,
    folder: Folder,
    snapshot: Snapshot,
    population: Population,
    spec: RunSpec,
    options: SampleOptions,
    named: str,
) -> Manifest:
    size = min(options.size, population.requests)
    chosen = sorted(random.Random(options.seed).sample(range(population.requests), size))

    with acquired(directory.folder) as epoch:
        rows = by_chunk(population, chosen)
        staged = stage_sample(folder, snapshot, rows, named=named, target=directory.folder)
        check_owner(directory.folder, epoch)
        manifest = Manifest.new(uuid.uuid4().hex, spec.to_json(), staged.to_json())
        directory.create(manifest)
    release(directory.folder, epoch)
    return manifest


def _answers(directory: RunDirectory, members: Population) -> list[Answered]:
    """One for each member: the sample's rows and its requests are in the same order, and none is a repetition."""
    rows = _rows(directory)
    if len(rows) != members.requests:
        raise InvalidInput(f"{directory.url} holds other rows than the sample's: remove it, and sample again")

    return [
        Answered(
            id=row["id"],
            bytes=members.bytes[index],
            kind=members.kinds[members.kind[index]],
            ok=row["status"] == "ok",
            usage=_usage(row),
            model=row["model"],
            latency_s=(row["latency_ms"] or 0.0) / 1000,
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            content=(row["content"] or row["error_message"] or "")[:PREVIEWED_CHARACTERS],
        )
        for index, row in enumerate(rows)
    ]


_COLUMNS = (
    "id", "status", "content", "error_message", "model", *TOKEN_COLUMNS, "latency_ms", "started_at", "finished_at",
)  # fmt: skip


def _rows(directory: RunDirectory) -> list[dict[str, Any]]:
    chunks = sorted(directory.complete_chunks())
    tables = [directory.read_chunk(chunk, _COLUMNS) for chunk in chunks]
    rows: list[dict[str, Any]] = [row for table in tables for row in table.to_pylist()]
    return rows


def _usage(row: dict[str, Any]) -> Usage | None:
    if row["input_tokens"] is None or row["output_tokens"] is None:
        return None
    return Usage(**{name: row[name] for name in TOKEN_COLUMNS})
