"""A finished run's failed rows, asked again: their chunks' parts are replaced, each at once.

As with `run`: `open_redrive` once, `redrive_chunk` per chunk from any thread or process, `finish_run` once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import pyarrow as pa

from prefect_llm.budget.account import RunBudget
from prefect_llm.documents import Snapshot, read_chunk
from prefect_llm.prompts import Prompt
from prefect_llm.report import Summary
from prefect_llm.run.chunk import (
    FLUSH_INTERVAL_S,
    RunPlan,
    RunReference,
    carry_out_attempt,
    member_of,
    money_of,
    plan_of,
    schema_of,
)
from prefect_llm.run.chunk_requests import ChunkRequests
from prefect_llm.run.opening import run_over, watch_ownership, writable_output
from prefect_llm.run.rendering import render_requests
from prefect_llm.run.threads import run_in_threads
from prefect_llm.store import (
    FAILED_BY,
    ChunkStats,
    JournalKind,
    RunDirectory,
    acquired,
    claim,
    discarded_rows,
    failed_rows,
    replaced,
    stats_in,
    sum_stats,
)
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider


@dataclass(frozen=True, slots=True)
class Redrive:
    """Which rows are asked again, and of which model; `None` is every kind of failure, and the run's own model."""

    run: RunReference
    kinds: frozenset[ErrorKind] | None = None
    model: str | None = None


def open_redrive(
    output: str,
    *,
    kinds: Collection[ErrorKind] | None = None,
    model: str | None = None,
    stop_error_share: float = 0.5,
    flush_interval_s: float = FLUSH_INTERVAL_S,
    budget: RunBudget | None = None,
) -> Redrive:
    """Find the chunks of the run at `output` that have failed rows of these kinds. Asks nothing.

    Raises `InvalidInput` where there is no run, one that is not finished, or one whose snapshot was removed.
    """
    with writable_output(output):
        directory = RunDirectory.open(output)
        manifest = directory.check_run()
        snapshot, complete = Snapshot.from_json(manifest.snapshot), directory.complete_chunks()
        if len(complete) < snapshot.chunks:
            raise InvalidInput(
                f"{output} has {snapshot.chunks - len(complete):,} of {snapshot.chunks:,} chunks still to be asked: "
                "finish the run first, by its own command or prefect-llm resume"
            )
        failed = {
            chunk: len(failed_rows(directory.read_chunk(chunk, FAILED_BY), kinds)) for chunk in sorted(complete)
        }
        pending = {chunk: count for chunk, count in failed.items() if count}
        with acquired(directory.folder) as epoch:
            run = run_over(directory, manifest, pending, epoch, to="be redriven", budget=budget)
    run = watch_ownership(replace(run, stop_error_share=stop_error_share, flush_interval_s=flush_interval_s))
    return Redrive(run, None if kinds is None else frozenset(kinds), model)


def redrive_chunk(redrive: Redrive, chunk: int, provider: Provider) -> ChunkStats:
    """Ask the failed rows of one chunk again and replace its part. Blocks until the part is durable.

    Returns what this attempt did; raises as `infer_chunk` does. What fails again stays failed, with its new error.
    """
    run, live = redrive.run, redrive.run.live
    if live.stop.error is not None:
        raise live.stop.error
    plan = plan_of(run)
    folder, prompt = plan.directory.folder, _prompt(redrive, plan)
    part = plan.directory.read_chunk(chunk, schema_of(plan).names)
    places = failed_rows(part, redrive.kinds)
    staged = read_chunk(folder, plan.snapshot, chunk)
    attempt, done = claim(folder, chunk, run.epoch, JournalKind.REDRIVE)
    # a failure in a journal may be that of a redrive that was killed after it had replaced the part
    done = [entry for entry in done if entry.row_index in places and entry.row.outcome.ok]
    requests = render_requests(staged, prompt, set(places) - {entry.row_index for entry in done}, provider.api)
    member = member_of(run, plan, chunk)

    def part_of(rows: pa.Table, figures: ChunkStats) -> tuple[pa.Table, ChunkStats]:
        before = stats_in(part.schema, f"chunk {chunk} of {run.url}")
        return replaced(part, rows, places), sum_stats((before, discarded_rows(part, places), figures))

    with money_of(run) as spending:
        asked = ChunkRequests(
            staged, requests, provider, prompt, live, done, only=places, member=member, spending=spending
        )
        return carry_out_attempt(run, plan, chunk, asked, attempt, JournalKind.REDRIVE, part_of)


def redrive_pending(redrive: Redrive, provider: Provider) -> Summary:
    """Ask every failed row again, chunks side by side in threads of this process, then finish the run."""
    return run_in_threads(redrive.run, provider, lambda chunk: redrive_chunk(redrive, chunk, provider))


def _prompt(redrive: Redrive, plan: RunPlan) -> Prompt:
    if redrive.model is None:
        return plan.prompt
    return Prompt(replace(plan.spec.prompt, model=redrive.model))
