"""A finished run's failed rows, asked again: their chunks' parts are replaced, each at once.

As with `run`: `open_redrive` once, `redrive_chunk` per chunk from any thread or process, `finish_run` once.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace

import pyarrow as pa

from prefect_llm.asking import AskedChunk, output_array
from prefect_llm.documents import Snapshot, read_chunk
from prefect_llm.errors import InvalidInput, Superseded
from prefect_llm.opening import guarded
from prefect_llm.prompts import Prompt
from prefect_llm.records import ErrorKind, Provider
from prefect_llm.report import Summary
from prefect_llm.run import FLUSH_INTERVAL_S, LANE, Plan, Run, infer_side_by_side, plan_of, schema_of
from prefect_llm.store import (
    FAILED_BY,
    ChunkFigures,
    RunDirectory,
    Work,
    acquired,
    check_owner,
    claim,
    failed_places,
    figures_in_journal,
    figures_in_part,
    flushed,
    is_latest,
    open_journal,
    remove_journals,
    replaced,
    result_table,
    sum_figures,
    thrown_away,
)


@dataclass(frozen=True, slots=True)
class Redrive:
    """Which rows are asked again, and of which model; `None` is every kind of failure, and the run's own model."""

    run: Run
    kinds: frozenset[ErrorKind] | None = None
    model: str | None = None


def open_redrive(
    output: str,
    *,
    kinds: Collection[ErrorKind] | None = None,
    model: str | None = None,
    stop_error_share: float = 0.5,
    flush_interval_s: float = FLUSH_INTERVAL_S,
) -> Redrive:
    """Find the chunks of the run at `output` that have failed rows of these kinds. Asks nothing.

    Raises `InvalidInput` where there is no run, one that is not finished, or one whose snapshot was removed.
    """
    directory = RunDirectory.open(output)
    manifest = directory.check_run()
    snapshot, complete = Snapshot.from_json(manifest.snapshot), directory.complete_chunks()
    if len(complete) < snapshot.chunks:
        raise InvalidInput(
            f"{output} has {snapshot.chunks - len(complete):,} of {snapshot.chunks:,} chunks still to be asked: "
            "finish the run first, by its own command or prefect-llm resume"
        )
    failed = {chunk: len(failed_places(directory.read_chunk(chunk, FAILED_BY), kinds)) for chunk in sorted(complete)}
    pending = tuple(chunk for chunk, count in failed.items() if count)
    with acquired(directory.folder) as epoch:
        run = Run(
            url=directory.folder.url,
            run_id=manifest.run_id,
            rows=snapshot.rows,
            pending_rows=sum(failed.values()),
            chunk_rows=snapshot.chunk_rows,
            pending=pending,
            invocation=uuid.uuid4().hex,
            stop_error_share=stop_error_share,
            flush_interval_s=flush_interval_s,
            epoch=epoch,
        )
    return Redrive(guarded(run), None if kinds is None else frozenset(kinds), model)


def redrive_chunk(redrive: Redrive, chunk: int, provider: Provider) -> ChunkFigures:
    """Ask the failed rows of one chunk again and replace its part. Blocks until the part is durable.

    Returns what this attempt did; raises as `infer_chunk` does. What fails again stays failed, with its new error.
    """
    run, live = redrive.run, redrive.run.live
    if live.stop.error is not None:
        raise live.stop.error
    plan = plan_of(run)
    folder, prompt = plan.directory.folder, _prompt(redrive, plan)
    part = plan.directory.read_chunk(chunk, schema_of(plan).names)
    places = failed_places(part, redrive.kinds)
    staged = read_chunk(folder, plan.snapshot, chunk)
    attempt, done = claim(folder, chunk, run.epoch, Work.REDRIVE)
    # a failure in a journal may be that of a redrive that was killed after it had replaced the part
    done = [entry for entry in done if entry.place in places and entry.row.outcome.ok]
    asked = AskedChunk(staged, provider, prompt, live, done, only=places, dedup=plan.spec.asks_once)
    started = time.monotonic()
    try:
        with flushed(open_journal(folder, chunk, attempt, Work.REDRIVE), run.flush_interval_s) as journal:
            asked.ask(journal.append, keep_raw=plan.spec.keep_raw)
    except Exception:
        live.take_back([entry.row.outcome for entry in asked.entries()])  # counted again by whoever goes on
        raise
    seconds = time.monotonic() - started
    check_owner(folder, run.epoch)
    if not is_latest(folder, chunk, attempt, Work.REDRIVE):
        raise Superseded(f"chunk {chunk} was taken over by a later redrive, which finishes it: nothing is left to do")
    figures = (figures_in_part(part), thrown_away(part, places), figures_in_journal(asked.entries(), seconds))
    plan.directory.commit_part(
        chunk, replaced(part, _rows(redrive, plan, asked, places), places), sum_figures(figures)
    )
    remove_journals(folder, [chunk], Work.REDRIVE)
    return figures_in_journal(asked.new_entries(), seconds)


def redrive_pending(redrive: Redrive, provider: Provider) -> Summary:
    """Ask every failed row again, chunks side by side in threads of this process, then finish the run."""
    return infer_side_by_side(redrive.run, provider, lambda chunk: redrive_chunk(redrive, chunk, provider))


def _prompt(redrive: Redrive, plan: Plan) -> Prompt:
    if redrive.model is None:
        return plan.prompt
    return Prompt(replace(plan.spec.prompt, model=redrive.model))


def _rows(redrive: Redrive, plan: Plan, asked: AskedChunk, places: list[int]) -> pa.Table:
    rows = [entry.row for entry in asked.entries()]
    return result_table(
        rows,
        schema=schema_of(plan),
        run_id=redrive.run.run_id,
        lane=LANE,
        kept=asked.staged.kept.take(places),
        output=output_array(plan.prompt, rows),
    )
