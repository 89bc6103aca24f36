"""Opens a run: checks it, owns it, stages or reopens it, finds earlier answers, all before anything is asked."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from prefect_llm.budget.kept_limits import persist_limits
from prefect_llm.budget.sources import GrantSources
from prefect_llm.documents import Snapshot, Source, Staging, absent_chunks, open_source, same_documents, stage
from prefect_llm.lanes.lanes import lane_named
from prefect_llm.prompts import Prompt
from prefect_llm.report import fold
from prefect_llm.reuse.earlier_runs import NO_EARLIER_RUNS, EarlierRuns
from prefect_llm.run.context import close_context, context_of, open_context
from prefect_llm.run.earlier_answers import find_earlier_runs, named_runs
from prefect_llm.run.options import RunOptions
from prefect_llm.run.plan import RunPlan
from prefect_llm.run.reference import RunReference
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import (
    PREVIOUS,
    Manifest,
    RunDirectory,
    acquired,
    check_owner,
    check_same_spec,
    remove_journals,
    when_lease_ends,
)
from prefect_llm.system.folders import open_folder
from prefect_llm.values.budget import RunBudget
from prefect_llm.values.errors import InputAbsent, InvalidInput, Superseded, reason_of
from prefect_llm.values.money import add_money

DEFAULTS = RunOptions()

logger = logging.getLogger(__name__)


def open_run(input: str | pa.Table, output: str, spec: RunSpec, *, options: RunOptions = DEFAULTS) -> RunReference:
    """Check everything, stage the input, or reopen the run that `output` holds. Asks nothing.

    With `reuse="previous"` the earlier runs are looked up once and recorded, so that resuming this run uses the same.
    This process owns the run's directory until `finish_run` or `release_run`. Raises `InvalidInput` for an input, a
    spec or a directory that cannot be used, or that another process owns.
    """
    lane_named(options.lane)
    named = _named_runs(options, spec)
    if options.reuse == PREVIOUS and options.siblings is None:
        raise InvalidInput('reuse: "previous" needs siblings, the directory below which the runs lie')

    with writable_output(output):
        # everything that can be refused without owning the directory comes first: nothing is written to it then
        directory = RunDirectory.open(output)
        manifest = directory.check_ours()
        prompt = Prompt(spec.prompt)
        source = _checked_source(input, manifest, spec, prompt, directory)

        with acquired(directory.folder) as epoch:
            if source is not None:
                manifest = _create(directory, source, spec, prompt, epoch)
            assert manifest is not None
            run, earlier = _open(directory, manifest, epoch, options), NO_EARLIER_RUNS
            if options.reuse is not None:
                earlier = find_earlier_runs(run, manifest, named, options.siblings)
    return start(run, earlier)


def reopen_run(output: str, *, options: RunOptions = DEFAULTS) -> RunReference:
    """Reopen the run in `output` under its own spec and over its snapshot; the source is not read.

    The process owns the directory as after `open_run`. Without `reuse`, and with "previous", the run reuses the
    earlier runs it has recorded. Raises `InvalidInput` for a directory that holds no run, or that another process
    owns.
    """
    lane_named(options.lane)
    with writable_output(output):
        directory = RunDirectory.open(output)
        manifest = directory.check_run()
        spec = RunSpec.from_json(manifest.spec)
        check_same_spec(manifest, spec.to_json(), where=directory.url)
        named = _named_runs(options, spec)
        if options.reuse == PREVIOUS and manifest.reuse is None:
            raise InvalidInput(f"reuse: {directory.url} was begun without it: give the directory of an earlier run")

        with acquired(directory.folder) as epoch:
            run = _open(directory, manifest, epoch, options)
            earlier = find_earlier_runs(run, manifest, named)
    return start(run, earlier)


def reference_to(
    directory: RunDirectory,
    manifest: Manifest,
    pending: Mapping[int, int],
    epoch: int,
    options: RunOptions,
    *,
    purpose: str,
) -> RunReference:
    """A reference to the run with these chunks to ask; `pending` maps each to its number of rows to ask.

    Raises `InvalidInput` if their documents are gone (`purpose` is what the message calls impossible then), if the
    run had a budget and has none now, or if the budget cannot tell what was spent so far.
    """
    snapshot = Snapshot.from_json(manifest.snapshot)
    if pending and (gone := absent_chunks(directory.folder, tuple(pending))):
        raise InvalidInput(
            f"{directory.url} cannot {purpose}: the documents of {len(gone):,} of its {snapshot.chunks:,} chunks "
            "were removed from _run/input (prefect-llm clean does that); its results stay, ask the others in a new "
            "output"
        )

    if options.budget is not None:
        _count_earlier_spend(directory, snapshot.rows, options.budget, manifest)
    if pending:
        persist_limits(directory, manifest, options.budget, epoch)
        _warn_of_delta_log(directory)
    return RunReference(
        url=directory.folder.url,
        run_id=manifest.run_id,
        rows=snapshot.rows,
        pending_rows=sum(pending.values()),
        chunk_rows=snapshot.chunk_rows,
        pending=tuple(pending),
        invocation=uuid.uuid4().hex,
        stop_error_share=options.stop_error_share,
        flush_interval_s=options.flush_interval_s,
        epoch=epoch,
        budget=options.budget,
        lane=options.lane,
    )


def start(run: RunReference, earlier: EarlierRuns = NO_EARLIER_RUNS) -> RunReference:
    """Open the run's context, with the runs whose answers it takes; returns its reference.

    The run stops once another process has taken its directory over: it would only pay. The context is closed when the
    lease ends, for the run may be finished by another process.
    """
    run = replace(run, reuse=earlier.urls)
    open_context(run).adopt(earlier)

    def end(superseded: Superseded | None) -> None:
        if superseded is not None:
            context_of(run).stop.set(superseded)
        close_context(run)

    when_lease_ends(open_folder(run.url), run.epoch, end)
    return run


@contextmanager
def writable_output(output: str) -> Iterator[None]:
    """Raise `InvalidInput` in place of an `OSError`: the directory cannot be read or written."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(
            f"the output {output} cannot be used ({reason_of(error.strerror or error)}): "
            "give a directory that this process may write to"
        ) from error


def model_of(output: str) -> str:
    """The model that the run in `output` asks; `InvalidInput` if there is no run."""
    return RunSpec.from_json(RunDirectory.open(output).check_run().spec).prompt.model


def is_unfinished(output: str) -> bool:
    """Whether the run in `output` has chunks left to ask; `InvalidInput` if there is no run."""
    with writable_output(output):
        directory = RunDirectory.open(output)
        manifest = directory.check_run()
        return len(directory.complete_chunks()) < manifest.chunks


def check_varies(prompt: Prompt, spec: RunSpec, rows: int) -> None:
    """Raise `InvalidInput` if all documents would make the same request and share one answer."""
    if prompt.constant and spec.asks_once and rows > 1:
        raise InvalidInput(
            f"the prompt uses no field of the documents, so that all {rows:,} would get the same answer: name one, "
            "as {{ text }} (in a prefect.yaml {{ text | trim }}, for Prefect fills in plain braces itself); no_dedup "
            "asks the same for each"
        )


def _named_runs(options: RunOptions, spec: RunSpec) -> EarlierRuns | None:
    """The run that `reuse` names by its directory."""
    return None if options.reuse in (None, PREVIOUS) else named_runs(options.reuse, spec)


def _checked_source(
    input: str | pa.Table, manifest: Manifest | None, spec: RunSpec, prompt: Prompt, directory: RunDirectory
) -> Source | None:
    """The input a new run stages; `None` for a run that continues with its snapshot."""
    if manifest is None:
        return open_source(input)

    check_same_spec(manifest, spec.to_json(), where=directory.url)
    _compare_source(input, manifest, spec.staging(prompt), directory)
    return None


def _compare_source(input: str | pa.Table, manifest: Manifest, staging: Staging, directory: RunDirectory) -> None:
    """Refuse other documents for a finished run; an unfinished one continues with its snapshot, with a warning.

    Files that were written again, moved or restored with the same documents are no other input, and a finished run
    needs none.
    """
    snapshot, finished = Snapshot.from_json(manifest.snapshot), manifest.state == "completed"
    try:
        same = same_documents(open_source(input), staging, snapshot, directory.folder)
    except InputAbsent:
        same = finished
    except InvalidInput:
        if finished:
            raise
        same = False

    if same:
        return
    if finished:
        raise InvalidInput(
            f"{snapshot.source} has changed since this run finished: give a new output directory for the new input, "
            f"with reuse {directory.url} to take the answers of what has not changed"
        )
    logger.warning("%s has changed since it was staged; the run goes on with its snapshot", snapshot.source)


def _create(directory: RunDirectory, source: Source, spec: RunSpec, prompt: Prompt, epoch: int) -> Manifest:
    """Stage the documents and write the manifest of a new run."""
    if directory.manifest() is not None:
        raise InvalidInput(f"another process has just begun a run in {directory.url}: start again to go on with it")

    snapshot = stage(source, spec.staging(prompt), directory.folder)
    check_varies(prompt, spec, snapshot.rows)
    check_owner(directory.folder, epoch)
    manifest = Manifest.new(uuid.uuid4().hex, spec.to_json(), snapshot.to_json())
    directory.create(manifest)
    return manifest


def _open(directory: RunDirectory, manifest: Manifest, epoch: int, options: RunOptions) -> RunReference:
    """The run, with the chunks that have no part to ask."""
    plan = RunPlan.of(directory, manifest)
    directory.write_schema_part(plan.schema)
    complete = directory.complete_chunks()
    remove_journals(directory.folder, complete)

    snapshot = plan.snapshot
    pending = {chunk: snapshot.chunk_length(chunk) for chunk in range(snapshot.chunks) if chunk not in complete}
    return reference_to(directory, manifest, pending, epoch, options, purpose="be finished")


def _warn_of_delta_log(directory: RunDirectory) -> None:
    if directory.has_delta_log():
        logger.warning(
            "%s/_delta_log lists the parts as they were when it was made: it is stale once this run has written its "
            "rows, so remove it then and convert again",
            directory.results_url,
        )


def _count_earlier_spend(directory: RunDirectory, rows: int, budget: RunBudget, manifest: Manifest) -> None:
    """Count what earlier attempts without a budget have spent: they drew no grants."""
    totals = fold(directory, rows)
    possibly_billed = add_money(totals.chunk_stats.possibly_billed, manifest.lost.possibly_billed)
    if totals.prices.unpriced or possibly_billed is None or totals.currency not in (None, budget.currency):
        without = "finish it without max_cost, or " if manifest.budget is None else ""
        raise InvalidInput(
            f"{directory.url} has rows of unknown cost or in another currency, so no budget can hold for it: "
            f"{without}ask in a new output, which takes these answers by reuse"
        )

    sources = GrantSources.open(budget, directory.folder.url, manifest.run_id)
    sources.count_earlier_spend(totals.known_cost + possibly_billed)
