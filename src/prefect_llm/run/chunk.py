"""One chunk of a run: claimed, asked through the run's lane, written as its part.

Command line (`threads.py`) and Prefect tasks call the same functions: `open_run` or `reopen_run` once (`opening.py`),
`infer_chunk` per pending chunk from any thread or process, `finish_run` once (`finishing.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from prefect_llm.budget.account import BudgetAccount
from prefect_llm.documents import read_chunk
from prefect_llm.run.chunk_requests import ChunkRequests, submitted_in
from prefect_llm.run.chunk_rows import ChunkRows, output_array
from prefect_llm.run.claimed_chunk import ClaimedChunk
from prefect_llm.run.context import RunContext, working_on
from prefect_llm.run.earlier_answers import earlier_answers
from prefect_llm.run.plan import RunPlan
from prefect_llm.run.priced_rows import cache_saved
from prefect_llm.run.reference import RunReference
from prefect_llm.run.rendering import render_requests
from prefect_llm.store import (
    ChunkStats,
    JournalKind,
    check_owner,
    claim,
    flushed,
    is_latest,
    open_journal,
    remove_journals,
    result_table,
    stats_in_journal,
)
from prefect_llm.store.tickets import ChunkTickets
from prefect_llm.values.errors import Superseded
from prefect_llm.values.provider import Provider


def infer_chunk(run: RunReference, chunk: int, provider: Provider) -> ChunkStats:
    """Ask every document of one chunk that has no row yet, and write its part. Blocks until the part is durable.

    Returns what this attempt did. Raises the `RunError` that stopped the run; the chunk then stays pending, and its
    journal keeps the rows that have ended. Raises `Superseded` if a later attempt has claimed the chunk, or a later
    owner the directory.
    """
    with working_on(run) as context:
        work = _claim(context, chunk)
        return ChunkStats() if work is None else carry_out(context, work, provider)


def carry_out(context: RunContext, work: ClaimedChunk, provider: Provider) -> ChunkStats:
    """Ask what has no row yet under the attempt's journal, then write the chunk's part.

    Returns and raises as `infer_chunk` does.
    """
    started = time.monotonic()
    rows = ChunkRows(work.staged.ids, work.prompt, context.tracker)
    try:
        asked = _ask(context, work, rows, provider)
        seconds = time.monotonic() - started
        _commit(context, work, rows, seconds)
        asked.committed()
    except Exception:
        context.tracker.take_back([entry.row.outcome for entry in rows.ended()])  # the next attempt counts them again
        raise

    _remove_leftovers(context, work)
    return _stats_of_attempt(context, rows, seconds)


def _claim(context: RunContext, chunk: int) -> ClaimedChunk | None:
    """Claim the chunk for this attempt; `None` if it is complete."""
    context.stop.check()
    plan, run = context.plan, context.run
    folder = plan.directory.folder
    if _is_complete(plan, chunk):
        return None  # an earlier attempt was killed between its last write and its report

    check_owner(folder, run.epoch)
    staged = read_chunk(folder, plan.snapshot, chunk)
    attempt, done = claim(folder, chunk, run.epoch)
    if _is_complete(plan, chunk):
        return None  # completed by another attempt since, whose journal may have been removed before it was read

    return ClaimedChunk(
        chunk=chunk,
        kind=JournalKind.CHUNK,
        attempt=attempt,
        staged=staged,
        prompt=plan.prompt,
        row_indexes=range(len(staged.ids)),
        done=done,
        journaled=frozenset(entry.row_index for entry in done),
        tickets=ChunkTickets(folder, JournalKind.CHUNK, chunk),
    )


def _ask(context: RunContext, work: ClaimedChunk, rows: ChunkRows, provider: Provider) -> ChunkRequests:
    """Restore what is known and ask the rest; on return the journal has every new row, and is flushed."""
    run, plan = context.run, context.plan
    requests = render_requests(work.staged, work.prompt, work.missing, provider.api)
    tickets = work.open_tickets()
    submitted = submitted_in(tickets, requests)
    unsubmitted = {index: requests[index] for index in requests.keys() - submitted}
    reused = earlier_answers(context.earlier_runs, work.staged, unsubmitted, plan.spec, provider)
    for entry in (*work.done, *reused):
        rows.restore(entry)
        requests.pop(entry.row_index, None)

    journal = open_journal(plan.directory.folder, work.chunk, work.attempt, work.kind)
    with (
        _account_in_use(context) as account,
        context.tracker.chunk_running(work.chunk, rows.count),
        flushed(journal, run.flush_interval_s) as flushing,
    ):
        rows.journal_to(flushing.append)
        asked = ChunkRequests(context, work, requests, rows, provider, account, submitted, tickets)
        asked.ask()
    return asked


def _commit(context: RunContext, work: ClaimedChunk, rows: ChunkRows, seconds: float) -> None:
    """Write the part; `Superseded` if a later attempt has claimed the chunk, or a later owner the directory."""
    plan, run = context.plan, context.run
    entries = rows.ended()
    stats = replace(stats_in_journal(entries, seconds), cache_saved=cache_saved(entries))
    part, stats = work.make_part(_table(context, work, rows), stats)

    check_owner(plan.directory.folder, run.epoch)
    if not is_latest(plan.directory.folder, work.chunk, work.attempt, work.kind):
        _is_complete(plan, work.chunk)  # if the later attempt has finished, removes this one's journal too
        raise Superseded(
            f"chunk {work.chunk} was taken over by a later attempt, which finishes it: nothing is left to do"
        )
    plan.directory.commit_part(work.chunk, part, stats)


def _table(context: RunContext, work: ClaimedChunk, rows: ChunkRows) -> pa.Table:
    results = [entry.row for entry in rows.ended()]
    return result_table(
        results,
        schema=context.plan.schema,
        run_id=context.run.run_id,
        kept=work.kept,
        output=output_array(context.plan.prompt, results),
    )


def _remove_leftovers(context: RunContext, work: ClaimedChunk) -> None:
    """Remove journals, and tickets if there are any: the part holds everything."""
    work.tickets.remove()  # first: as long as there is a journal, it tells that they were collected
    remove_journals(context.plan.directory.folder, [work.chunk], work.kind)


def _stats_of_attempt(context: RunContext, rows: ChunkRows, seconds: float) -> ChunkStats:
    """What this attempt did, and the totals of the chunk's rows."""
    ended, new = rows.ended(), rows.new()
    reused = sum(entry.row.reused for entry in ended)
    return replace(
        stats_in_journal(new, seconds),
        reused=reused,
        ended=context.tracker.ended_here(ended, new),
    )


@contextmanager
def _account_in_use(context: RunContext) -> Iterator[BudgetAccount | None]:
    """The run's account while the chunk is worked on; `None` without a budget."""
    if context.account is None:
        yield None
        return
    with context.account.in_use() as account:
        yield account


def _is_complete(plan: RunPlan, chunk: int) -> bool:
    """Whether the chunk has its part. If so, its journals are removed."""
    if chunk not in plan.directory.complete_chunks():
        return False

    remove_journals(plan.directory.folder, [chunk])
    return True
