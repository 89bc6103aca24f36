"""Asks a finished run's failed rows again and replaces their chunks' parts, each atomically.

Like a run: `open_redrive` once, `redrive_chunk` per chunk from any thread or process, `finish_run` once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import pyarrow as pa

from prefect_llm.documents import Snapshot, read_chunk
from prefect_llm.prompts import Prompt
from prefect_llm.report import Summary
from prefect_llm.run.chunk import carry_out
from prefect_llm.run.claimed_chunk import ClaimedChunk
from prefect_llm.run.context import RunContext, working_on
from prefect_llm.run.opening import DEFAULTS, reference_to, start, writable_output
from prefect_llm.run.options import RunOptions
from prefect_llm.run.plan import RunPlan
from prefect_llm.run.reference import RunReference
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
)
from prefect_llm.store.tickets import ChunkTickets
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider


@dataclass(frozen=True, slots=True)
class Redrive:
    """Which rows are asked again, and of which model; `None` means every kind of failure, and the run's own model."""

    run: RunReference
    kinds: frozenset[ErrorKind] | None = None
    model: str | None = None


def open_redrive(
    output: str,
    *,
    kinds: Collection[ErrorKind] | None = None,
    model: str | None = None,
    options: RunOptions = DEFAULTS,
) -> Redrive:
    """Find the chunks of the run at `output` that have failed rows of these kinds. Asks nothing.

    Raises `InvalidInput` if there is no run, it is not finished, or its snapshot was removed.
    """
    with writable_output(output):
        directory = RunDirectory.open(output)
        manifest = directory.check_run()
        snapshot, complete = Snapshot.from_json(manifest.snapshot), directory.complete_chunks()
        if len(complete) < snapshot.chunks:
            raise InvalidInput(
                f"{output} has {snapshot.chunks - len(complete):,} of {snapshot.chunks:,} chunks still to be asked: "
                "finish the run first, by a run with this output or prefect-llm resume"
            )

        failed = {
            chunk: len(failed_rows(directory.read_chunk(chunk, FAILED_BY), kinds)) for chunk in sorted(complete)
        }
        pending = {chunk: count for chunk, count in failed.items() if count}

        with acquired(directory.folder) as epoch:
            run = reference_to(directory, manifest, pending, epoch, options, purpose="be redriven")
    return Redrive(start(run), None if kinds is None else frozenset(kinds), model)


def redrive_chunk(redrive: Redrive, chunk: int, provider: Provider) -> ChunkStats:
    """Ask the failed rows of one chunk again and replace its part. Blocks until the part is durable.

    Returns what this attempt did; raises as `infer_chunk` does. A row that fails again gets its new error.
    """
    with working_on(redrive.run) as context:
        context.stop.check()
        return carry_out(context, _work(context, redrive, chunk), provider)


def redrive_pending(redrive: Redrive, provider: Provider) -> Summary:
    """Ask every failed row again, chunks in parallel threads of this process, then finish the run."""
    return run_in_threads(redrive.run, provider, lambda chunk: redrive_chunk(redrive, chunk, provider))


def _work(context: RunContext, redrive: Redrive, chunk: int) -> ClaimedChunk:
    """Claim the chunk's failed rows; their new rows replace them in the part."""
    plan, run = context.plan, context.run
    folder = plan.directory.folder
    part = plan.directory.read_chunk(chunk, plan.schema.names, as_written=True)
    failed = failed_rows(part, redrive.kinds)
    staged = read_chunk(folder, plan.snapshot, chunk)
    attempt, journaled = claim(folder, chunk, run.epoch, JournalKind.REDRIVE)

    def make_part(rows: pa.Table, stats: ChunkStats) -> tuple[pa.Table, ChunkStats]:
        before = stats_in(part.schema, f"chunk {chunk} of {run.url}")
        return replaced(part, rows, failed), before + discarded_rows(part, failed) + stats

    return ClaimedChunk(
        chunk=chunk,
        kind=JournalKind.REDRIVE,
        attempt=attempt,
        staged=staged,
        prompt=_prompt(redrive, plan),
        row_indexes=failed,
        # only answers: a failure may come from a redrive that was killed after it had replaced the part
        done=[entry for entry in journaled if entry.row_index in failed and entry.row.outcome.ok],
        journaled=frozenset(entry.row_index for entry in journaled),
        tickets=ChunkTickets(folder, JournalKind.REDRIVE, chunk),
        make_part=make_part,
    )


def _prompt(redrive: Redrive, plan: RunPlan) -> Prompt:
    if redrive.model is None:
        return plan.prompt
    return Prompt(replace(plan.spec.prompt, model=redrive.model))
