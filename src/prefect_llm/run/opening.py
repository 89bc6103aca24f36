"""Opens a run: everything is checked, the input staged and the directory owned before anything is asked."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from prefect_llm.budget.account import RunBudget
from prefect_llm.budget.grants import GrantLog
from prefect_llm.budget.kept_limits import persist_limits
from prefect_llm.documents import Snapshot, Source, absent_chunks, open_source, stage
from prefect_llm.prompts import Prompt
from prefect_llm.report import fold
from prefect_llm.reuse.earlier_runs import check_answers, previous_runs, still_there
from prefect_llm.run.chunk import FLUSH_INTERVAL_S, RunPlan, RunReference, schema_of
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import (
    PREVIOUS,
    Manifest,
    RunDirectory,
    acquired,
    check_owner,
    check_same_spec,
    remove_journals,
    when_superseded,
)
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import InvalidInput, reason_of

logger = logging.getLogger(__name__)


def open_run(
    input: str | pa.Table,
    output: str,
    spec: RunSpec,
    *,
    stop_error_share: float = 0.5,
    flush_interval_s: float = FLUSH_INTERVAL_S,
    reuse: str | None = None,
    siblings: str | None = None,
    budget: RunBudget | None = None,
) -> RunReference:
    """Check everything, stage the input, or reopen the run that `output` holds. Asks nothing.

    `reuse` is the directory of an earlier run, whose answers to the same requests are taken; "previous" stands for
    those before this one below the directory `siblings` (`reusing.previous_runs`), looked for once: they are written
    down for whoever resumes the run. `budget` is what may be spent (`run_budget` makes it). This process owns the
    run's directory then, until `finish_run` or `release_run`.
    Raises `InvalidInput` for an input, a spec or a directory that will not do, or that another process owns.
    """
    _check_reuse(reuse, spec)
    if reuse == PREVIOUS and siblings is None:
        raise InvalidInput('reuse: "previous" needs siblings, the directory below which the runs lie')
    with writable_output(output):
        run = _open_run(input, RunDirectory.open(output), spec, reuse, siblings, budget)
    return watch_ownership(replace(run, stop_error_share=stop_error_share, flush_interval_s=flush_interval_s))


def reopen_run(
    output: str,
    *,
    stop_error_share: float = 0.5,
    flush_interval_s: float = FLUSH_INTERVAL_S,
    reuse: str | None = None,
    budget: RunBudget | None = None,
) -> RunReference:
    """Reopen the run in `output` under its own spec and over its snapshot; the source is not looked at.

    This process owns the directory as after `open_run`. Without `reuse`, and with "previous", it takes the answers of
    the runs that it took them of before. Raises `InvalidInput` for a directory that holds no run, or
    that another process owns.
    """
    with writable_output(output):
        directory = RunDirectory.open(output)
        manifest = directory.check_run()
        spec = RunSpec.from_json(manifest.spec)
        check_same_spec(manifest, spec.to_json(), where=directory.url)
        _check_reuse(reuse, spec)
        if reuse == PREVIOUS and manifest.reuse is None:
            raise InvalidInput(f"reuse: {directory.url} was begun without it: give the directory of an earlier run")
        with acquired(directory.folder) as epoch:
            run = _opened(directory, manifest, spec, Prompt(spec.prompt), epoch, budget)
            run = replace(run, reuse=_reused_in(run, directory, manifest, spec, reuse or PREVIOUS, None))
    return watch_ownership(replace(run, stop_error_share=stop_error_share, flush_interval_s=flush_interval_s))


def model_of(output: str) -> str:
    """The model that the run in `output` asks; `InvalidInput` where there is no run."""
    return RunSpec.from_json(RunDirectory.open(output).check_run().spec).prompt.model


def is_unfinished(output: str) -> bool:
    """Whether the run in `output` has chunks left to ask; `InvalidInput` where there is no run."""
    with writable_output(output):
        directory = RunDirectory.open(output)
        manifest = directory.check_run()
        return len(directory.complete_chunks()) < manifest.chunks


def watch_ownership(run: RunReference) -> RunReference:
    """The run, which stops once another process has taken its directory over: it would only pay."""
    when_superseded(open_folder(run.url), run.epoch, lambda error: run.live.stop.set(error))
    return run


@contextmanager
def writable_output(output: str) -> Iterator[None]:
    """A directory that cannot be read or written is refused."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(
            f"the output {output} cannot be used ({reason_of(error.strerror or error)}): "
            "give a directory that this process may write to"
        ) from error


def _check_reuse(reuse: str | None, spec: RunSpec) -> None:
    if reuse not in (None, PREVIOUS):
        check_answers([reuse], keep_raw=spec.keep_raw)


def _open_run(
    input: str | pa.Table,
    directory: RunDirectory,
    spec: RunSpec,
    reuse: str | None,
    siblings: str | None,
    budget: RunBudget | None,
) -> RunReference:
    """Whatever can be refused without owning the directory is, so that nothing is written there."""
    manifest = directory.check_ours()
    prompt = Prompt(spec.prompt)
    source = None
    if manifest is None:
        source = open_source(input)
    else:
        check_same_spec(manifest, spec.to_json(), where=directory.url)
        _compare_source(input, manifest)
    with acquired(directory.folder) as epoch:
        if source is not None:
            manifest = _create(directory, source, spec, prompt, epoch)
        assert manifest is not None
        run = _opened(directory, manifest, spec, prompt, epoch, budget)
        if reuse is not None:
            run = replace(run, reuse=_reused_in(run, directory, manifest, spec, reuse, siblings))
        return run


def _reused_in(
    run: RunReference, directory: RunDirectory, manifest: Manifest, spec: RunSpec, reuse: str, siblings: str | None
) -> tuple[str, ...]:
    """The directories whose answers the run takes, written down in its manifest before anything is asked."""
    if not run.pending:
        return ()
    if reuse != PREVIOUS:
        urls: tuple[str, ...] = (RunDirectory.open(reuse).url,)
    elif manifest.reuse is not None:
        urls = still_there(manifest.reuse)
        check_answers(urls, keep_raw=spec.keep_raw)
        return urls
    elif siblings is None:
        return ()
    else:
        urls = previous_runs(siblings, manifest.run_id)
        check_answers(urls, keep_raw=spec.keep_raw)
        logger.info(
            "reuse: %s", f"answers of {', '.join(urls)} are taken" if urls else f"no earlier run below {siblings}"
        )
    if urls != manifest.reuse:
        check_owner(directory.folder, run.epoch)
        directory.write_manifest(directory.check_run().changed(reuse=urls))
    return urls


def _opened(
    directory: RunDirectory, manifest: Manifest, spec: RunSpec, prompt: Prompt, epoch: int, budget: RunBudget | None
) -> RunReference:
    snapshot = Snapshot.from_json(manifest.snapshot)
    directory.write_schema_part(schema_of(RunPlan(directory, spec, prompt, snapshot)))
    done = directory.complete_chunks()
    remove_journals(directory.folder, done)
    pending = {chunk: _chunk_length(snapshot, chunk) for chunk in range(snapshot.chunks) if chunk not in done}
    return run_over(directory, manifest, pending, epoch, to="be finished", budget=budget)


def run_over(
    directory: RunDirectory,
    manifest: Manifest,
    pending: Mapping[int, int],
    epoch: int,
    *,
    to: str,
    budget: RunBudget | None,
) -> RunReference:
    """The run of the chunks in `pending`, each with how many of its rows are to be asked.

    Raises `InvalidInput` where their documents are gone, and `to` says what is then impossible; where the run had a
    budget and has none now; or where what it has spent so far is not known to its budget.
    """
    snapshot = Snapshot.from_json(manifest.snapshot)
    if pending and (gone := absent_chunks(directory.folder, tuple(pending))):
        raise InvalidInput(
            f"{directory.url} cannot {to}: the documents of {len(gone):,} of its {snapshot.chunks:,} chunks "
            "were removed from _run/input (prefect-llm clean does that); its results stay, ask the others in a new "
            "--output"
        )
    if budget is not None:
        _prove_spent(directory, snapshot.rows, budget, manifest)
    if pending:
        persist_limits(directory, manifest, budget, epoch)
    return RunReference(
        url=directory.folder.url,
        run_id=manifest.run_id,
        rows=snapshot.rows,
        pending_rows=sum(pending.values()),
        chunk_rows=snapshot.chunk_rows,
        pending=tuple(pending),
        invocation=uuid.uuid4().hex,
        epoch=epoch,
        budget=budget,
    )


def _prove_spent(directory: RunDirectory, rows: int, budget: RunBudget, manifest: Manifest) -> None:
    """Attempts without a budget drew no grants: what their rows cost counts as spent, too."""
    grants, totals = GrantLog(directory.folder, budget.currency, manifest.run_id), fold(directory, rows)
    if totals.unpriced_rows or totals.work.uncertain is None or totals.currency not in (None, budget.currency):
        without = "finish it without max_cost, or " if manifest.budget is None else ""
        raise InvalidInput(
            f"{directory.url} has rows of unknown cost or in another currency, so no budget can hold for it: "
            f"{without}ask in a new output, which takes these answers by reuse"
        )
    grants.prove(totals.known_cost + totals.work.uncertain)
    if (month := budget.month) is not None:
        GrantLog(open_folder(month.folder), budget.currency, manifest.run_id, month.prefix).forget_earlier()


def _create(directory: RunDirectory, source: Source, spec: RunSpec, prompt: Prompt, epoch: int) -> Manifest:
    if directory.manifest() is not None:
        raise InvalidInput(f"another process has just begun a run in {directory.url}: start again to go on with it")
    snapshot = stage(source, spec.staging(prompt), directory.folder)
    check_varies(prompt, spec, snapshot.rows)
    check_owner(directory.folder, epoch)
    manifest = Manifest.new(uuid.uuid4().hex, spec.to_json(), snapshot.to_json())
    directory.create(manifest)
    return manifest


def check_varies(prompt: Prompt, spec: RunSpec, rows: int) -> None:
    """Raise `InvalidInput` where one request would be made of all documents, and its answer given to each."""
    if prompt.constant and spec.asks_once and rows > 1:
        raise InvalidInput(
            f"the prompt uses no field of the documents, so that all {rows:,} would get the same answer: name one, "
            "as {{ text }} (in a prefect.yaml {{ text | trim }}, for Prefect fills in plain braces itself); no_dedup "
            "asks the same for each"
        )


def _compare_source(input: str | pa.Table, manifest: Manifest) -> None:
    """A finished run over another input is refused, an unfinished one goes on with its snapshot."""
    staged = Snapshot.from_json(manifest.snapshot)
    try:
        same = open_source(input).fingerprint() == staged.source_fingerprint
    except InvalidInput:
        if manifest.state == "completed":
            raise
        same = False
    if same:
        return
    if manifest.state == "completed":
        raise InvalidInput(
            f"{staged.source} has changed since this run finished: give a new output directory for the new input"
        )
    logger.warning("%s has changed since it was staged; the run goes on with its snapshot", staged.source)


def _chunk_length(snapshot: Snapshot, chunk: int) -> int:
    return min(snapshot.chunk_rows, snapshot.rows - chunk * snapshot.chunk_rows)
