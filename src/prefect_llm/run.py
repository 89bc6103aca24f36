"""The one composition of the rooms: staged documents -> requests -> outcomes -> rows -> parts -> summary.

The command line and the Prefect tasks call these same functions: `open_run` once, `infer_chunk` per pending
chunk from any thread or process, `finish_run` once.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import pyarrow as pa

from prefect_llm.documents import Snapshot, Source, StagedChunk, open_source, read_chunk, stage
from prefect_llm.engine import engine_for
from prefect_llm.errors import BadDocument, Interrupted, InvalidInput, RunError, TooManyFailedRows
from prefect_llm.live import Live, live_run
from prefect_llm.pricing import cost, price_for
from prefect_llm.prompts import Prompt, to_output_array
from prefect_llm.records import Failure, Outcome, Provider, Request
from prefect_llm.report import Summary, fold, to_markdown
from prefect_llm.spec import RunSpec
from prefect_llm.store import (
    ChunkFigures,
    Manifest,
    ResultRow,
    RunDirectory,
    State,
    Stopped,
    add_money,
    check_same_spec,
    figures_of,
    result_schema,
    result_table,
    sum_figures,
)

LANE = "online"
MOST_CHUNKS_AT_ONCE = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """An opened run, small enough to hand to every chunk task.

    `url` is its directory, `pending` the chunks without a part, `invocation` this attempt at the run: chunks of
    one invocation share figures and stop together.
    """

    url: str
    run_id: str
    rows: int
    pending_rows: int
    chunk_rows: int
    pending: tuple[int, ...]
    invocation: str
    stop_error_share: float = 0.5

    @property
    def live(self) -> Live:
        """The run's figures and stop signal in this process."""
        return live_run(self.invocation, self.pending_rows, self.stop_error_share)


def open_run(input: str | pa.Table, output: str, spec: RunSpec, *, stop_error_share: float = 0.5) -> Run:
    """Check everything, stage the input, or reopen the run that `output` holds. Asks nothing.

    Raises `InvalidInput` for an input, a spec or a directory that will not do.
    """
    try:
        return _open_run(input, RunDirectory.open(output), spec, stop_error_share)
    except OSError as error:
        reason = " ".join(str(error.strerror or error).split())
        raise InvalidInput(
            f"the output {output} cannot be used ({reason}): give a directory that this process may write to"
        ) from error


def _open_run(input: str | pa.Table, directory: RunDirectory, spec: RunSpec, stop_error_share: float) -> Run:
    manifest = directory.check_ours()
    prompt = Prompt(spec.prompt)
    if manifest is None:
        manifest = _create(directory, open_source(input), spec, prompt)
    else:
        check_same_spec(manifest, spec.to_json(), where=directory.url)
        _compare_source(input, manifest)
    snapshot = Snapshot.from_json(manifest.snapshot)
    directory.write_schema_part(_schema(spec, prompt, snapshot))
    done = directory.complete_chunks()
    pending = tuple(chunk for chunk in range(snapshot.chunks) if chunk not in done)
    return Run(
        url=directory.folder.url,
        run_id=manifest.run_id,
        rows=snapshot.rows,
        pending_rows=sum(_chunk_length(snapshot, chunk) for chunk in pending),
        chunk_rows=snapshot.chunk_rows,
        pending=pending,
        invocation=uuid.uuid4().hex,
        stop_error_share=stop_error_share,
    )


def _create(directory: RunDirectory, source: Source, spec: RunSpec, prompt: Prompt) -> Manifest:
    snapshot = stage(source, spec.staging(prompt), directory.folder)
    manifest = Manifest.new(uuid.uuid4().hex, spec.to_json(), snapshot.to_json())
    directory.create(manifest)
    return manifest


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


def _schema(spec: RunSpec, prompt: Prompt, snapshot: Snapshot) -> pa.Schema:
    return result_schema(kept=snapshot.kept_schema, output_type=prompt.output_type, keep_raw=spec.keep_raw)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What every chunk of a run needs, read once per process."""

    directory: RunDirectory
    spec: RunSpec
    prompt: Prompt
    snapshot: Snapshot


@lru_cache(maxsize=16)
def _plan(url: str, run_id: str) -> _Plan:
    directory = RunDirectory.open(url)
    manifest = directory.manifest()
    if manifest is None or manifest.run_id != run_id:
        raise InvalidInput(f"{url} no longer holds the run {run_id}: start the flow again")
    spec = RunSpec.from_json(manifest.spec)
    return _Plan(directory, spec, Prompt(spec.prompt), Snapshot.from_json(manifest.snapshot))


def infer_chunk(run: Run, chunk: int, provider: Provider) -> ChunkFigures:
    """Ask every document of one chunk and write its part. Blocks until the part is durable.

    Raises the `RunError` that stopped the run before the chunk's last document had ended; then the chunk has no
    part and stays pending.
    """
    live = run.live
    if live.stop.error is not None:
        raise live.stop.error
    started = time.monotonic()
    plan = _plan(run.url, run.run_id)
    staged = read_chunk(plan.directory.folder, plan.snapshot, chunk)
    asked = _Asked(staged, provider, live)
    engine = engine_for(provider)
    try:
        engine.run(
            asked.requests(plan.prompt),
            asked.take,
            live.stop,
            keep_raw=plan.spec.keep_raw,
            sent=live.sent,
        )
    except RunError:
        if not asked.all_ended:
            raise
    rows = asked.rows()
    table = result_table(
        rows,
        schema=_schema(plan.spec, plan.prompt, plan.snapshot),
        run_id=run.run_id,
        provider=provider.name,
        lane=LANE,
        kept=staged.kept,
        output=_outputs(plan.prompt, rows),
    )
    figures = figures_of(
        [row.outcome for row in rows],
        discarded_cost=_discarded_cost(rows),
        seconds=time.monotonic() - started,
    )
    plan.directory.commit_part(chunk, table, figures)
    return figures


def _outputs(prompt: Prompt, rows: Sequence[ResultRow]) -> pa.Array | None:
    if prompt.output_type is None:
        return None
    completions = (row.outcome.completion for row in rows)
    values = [completion.output if completion is not None else None for completion in completions]
    return to_output_array(values, prompt.output_type)


def _discarded_cost(rows: Sequence[ResultRow]) -> Decimal | None:
    """What billed answers that ended no row cost; unknown as soon as one of them is."""
    total: Decimal | None = Decimal(0)
    for row in rows:
        for usage in row.outcome.discarded:
            total = add_money(total, cost(usage, row.price))
    return total


class _Asked:
    """One chunk on its way: requests out, priced rows in. The engine's thread calls both sides."""

    def __init__(self, staged: StagedChunk, provider: Provider, live: Live) -> None:
        self._staged = staged
        self._provider = provider
        self._live = live
        self._rows: list[ResultRow | None] = [None] * len(staged.ids)

    def requests(self, prompt: Prompt) -> Iterator[Request]:
        """A request per document; a document that makes none gets its failed row at once."""
        for row, document_id in enumerate(self._staged.ids):
            try:
                request = prompt.request(row, document_id, self._staged.fields(row))
            except BadDocument as error:
                now_us = time.time_ns() // 1000
                failure = Failure(error.kind, error.message)
                outcome = Outcome(failure=failure, started_at_us=now_us, finished_at_us=now_us)
                self._keep(row, ResultRow(document_id, None, prompt.parameters.model, outcome, None, None))
                continue
            yield request

    def take(self, request: Request, outcome: Outcome) -> None:
        """Price an outcome and keep its row."""
        model = request.parameters.model
        price = price_for(self._provider, model)
        usage = outcome.completion.usage if outcome.completion is not None else None
        row = ResultRow(request.document_id, request.fingerprint, model, outcome, cost(usage, price), price)
        self._keep(request.row, row)

    def _keep(self, place: int, row: ResultRow) -> None:
        self._rows[place] = row
        self._live.count(row.outcome, row.cost, row.price)

    @property
    def all_ended(self) -> bool:
        """Whether no document is left to ask: what was paid is then kept, whatever stops the run."""
        return None not in self._rows

    def rows(self) -> list[ResultRow]:
        """Every document's row, in the order of the input."""
        return [row for row in self._rows if row is not None]


def finish_run(run: Run, figures: Sequence[ChunkFigures] = (), stopped: RunError | None = None) -> Summary:
    """Fold what lies in the directory into the summary, and write manifest and report.

    `figures` are those that `infer_chunk` returned, `stopped` is what it raised.
    """
    directory = RunDirectory.open(run.url)
    manifest = directory.manifest()
    if manifest is None:
        raise InvalidInput(f"{run.url} no longer holds a run: its manifest is gone")
    counters, live = sum_figures(figures), run.live.figures
    summary = Summary(
        totals=fold(directory, run.rows),
        state=_state(stopped),
        stopped=Stopped(stopped.kind, stopped.message) if stopped is not None else None,
        output=run.url,
        # a stopped chunk returns no figures, and chunks of other processes are not in `live`
        requests=max(live.requests, counters.requests),
        retries=max(live.retries, counters.retries),
        throttled=max(live.throttled, counters.throttled),
        seconds=live.seconds,
    )
    directory.write_report(to_markdown(summary))
    directory.write_manifest(manifest.changed(state=summary.state, stopped=summary.stopped, totals=summary.to_json()))
    return summary


def _state(stopped: RunError | None) -> State:
    if stopped is None:
        return "completed"
    return "interrupted" if isinstance(stopped, Interrupted) else "stopped"


def infer_pending(run: Run, provider: Provider) -> Summary:
    """Infer every pending chunk side by side in threads of this process, then finish the run.

    A `RunError` ends in the summary; anything else is raised after the other chunks were stopped.
    """
    figures: list[ChunkFigures] = []
    stopped = None
    with ThreadPoolExecutor(chunks_at_once(run, provider), thread_name_prefix="llm-chunk") as pool:
        futures = [pool.submit(infer_chunk, run, chunk, provider) for chunk in run.pending]
        try:
            figures.extend(future.result() for future in as_completed(futures))
        except RunError as error:
            stopped = error
        finally:
            if len(figures) < len(futures):
                run.live.stop.set(stopped or Interrupted("another chunk of this run failed"))
                pool.shutdown(cancel_futures=True)
    return finish_run(run, figures, stopped)


def chunks_at_once(run: Run, provider: Provider) -> int:
    """So many chunks that the next one fills the places that a draining one leaves."""
    filling = -(-provider.limits.most_in_flight // run.chunk_rows)
    return min(filling + 1, MOST_CHUNKS_AT_ONCE, max(len(run.pending), 1))


def check_failed_share(summary: Summary, allowed: float) -> None:
    """Raise `TooManyFailedRows` where a finished run has a larger share of failed rows than is allowed."""
    totals = summary.totals
    if summary.state != "completed" or not totals.rows or totals.failed / totals.rows <= allowed:
        return
    raise TooManyFailedRows(
        f"{totals.failed:,} of {totals.rows:,} documents failed, more than max_error_share allows ({allowed:.0%})"
    )
