"""Ends runs before they are done, in this process: as a signal does, and as what is found after a kill."""

from __future__ import annotations

from prefect_llm.documents import read_chunk
from prefect_llm.report import Summary
from prefect_llm.run.context import context_of
from prefect_llm.run.reference import RunReference
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import claim, open_journal
from prefect_llm.store.journal import JournalEntry
from prefect_llm.store.rows import ResultRow
from prefect_llm.values.errors import Interrupted
from prefect_llm.values.outcome import Completion, Outcome
from prefect_llm.values.provider import Provider


def stop_after(run: RunReference, provider: Provider, requests: int) -> Summary:
    """Infer until so many requests have left, then stop as a signal does."""
    context = context_of(run)
    tracker = context.tracker
    sent = tracker.sent

    def counted(attempt: int) -> None:
        sent(attempt)
        if tracker.progress.requests.sent >= requests:
            context.stop.set(Interrupted("enough"))

    tracker.sent = counted  # type: ignore[method-assign]
    if not requests:
        context.stop.set(Interrupted("at once"))
    return infer_pending(run, provider)


def abandon_after(run: RunReference, provider: Provider, rows: int) -> list[int]:
    """Leave what a killed process leaves: a claim of the first pending chunk and some rows.

    Returns the documents they are of. They are written down without having been asked.
    """
    if not run.pending:
        return []
    chunk, plan = run.pending[0], context_of(run).plan
    folder = plan.directory.folder
    attempt, done = claim(folder, chunk, run.epoch)
    staged, done_indexes = read_chunk(folder, plan.snapshot, chunk), {entry.row_index for entry in done}
    row_indexes = [row_index for row_index in range(len(staged.ids)) if row_index not in done_indexes][:rows]
    journal = open_journal(folder, chunk, attempt)
    for row_index in row_indexes:
        request = plan.prompt.request(row_index, staged.ids[row_index], staged.fields(row_index))
        answered = Outcome(Completion("written down"), attempts=1)
        row = ResultRow(staged.ids[row_index], request.fingerprint, "m", answered, None, None, provider=provider.name)
        journal.append(JournalEntry(row_index, row))
    return [chunk * run.chunk_rows + row_index for row_index in row_indexes]
