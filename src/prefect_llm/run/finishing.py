"""Ends a run: folds its rows once into summary, manifest and reports, and releases its directory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal

from prefect_llm.progress.shared_stop import forget_stops
from prefect_llm.report import Summary, Totals, may_be_redriven
from prefect_llm.run.context import close_context, context_of
from prefect_llm.run.earlier_answers import not_taken_words
from prefect_llm.run.reference import RunReference
from prefect_llm.run.reports import figures_of_run, with_words, write_page, write_texts
from prefect_llm.store import FAILED, ChunkStats, RunDirectory, State, Stopped, current_epoch, release
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import Interrupted, InvalidInput, RunError, TooManyFailedRows, UnexpectedError

logger = logging.getLogger(__name__)


def finish_run(run: RunReference, chunk_stats: Sequence[ChunkStats] = (), stopped: RunError | None = None) -> Summary:
    """Fold the directory's rows into the summary, write manifest and reports, and release the directory.

    `chunk_stats` are what `infer_chunk` returned, `stopped` is what it raised. If a later owner has taken the
    directory over, nothing is written.
    """
    directory = RunDirectory.open(run.url)
    manifest = directory.manifest()
    if manifest is None:
        raise InvalidInput(f"{run.url} no longer holds a run: its manifest is gone")

    manifest = manifest.changed(lost=manifest.lost + context_of(run).tracker.lost)
    folded = figures_of_run(directory, manifest, run.rows)
    totals = folded.totals
    counters, progress = sum(chunk_stats, ChunkStats()).requests, context_of(run).tracker.progress

    summary = Summary(
        totals=totals,
        cost_uncertain=_possibly_billed(run, totals),
        state=_state(stopped),
        stopped=Stopped(stopped.kind, stopped.message) if stopped is not None else None,
        output=run.url,
        # the larger of two counts: a stopped chunk returns no stats, and `progress` lacks other processes' chunks
        requests=max(progress.requests.sent, counters.sent),
        retries=max(progress.requests.retries, counters.retries),
        throttled=max(progress.requests.throttled, counters.throttled),
        seconds=round(progress.seconds, 3),  # as in the manifest, so that a report made again says the same
    )
    summary = with_words(summary, folded, manifest, directory, answers_shown=run.answers_shown)

    if current_epoch(directory.folder) <= run.epoch:
        write_texts(directory, manifest, summary, folded)
        directory.write_manifest(
            manifest.changed(state=summary.state, stopped=summary.stopped, totals=summary.to_json())
        )
        if run.spread:
            forget_stops(directory.folder)
        # after the manifest: a page that cannot be drawn leaves a finished run
        write_page(directory, manifest, summary, folded)

    if left := context_of(run).answers_not_taken:
        logger.warning("%s", not_taken_words(left))
    release_run(run)
    return summary


def _possibly_billed(run: RunReference, totals: Totals) -> Decimal | None:
    """What may have been billed beyond the known cost; with a budget, what was granted and no row accounts for."""
    account = context_of(run).account
    if account is None:
        return totals.chunk_stats.possibly_billed
    return max(account.granted - totals.known_cost, Decimal(0))


def release_run(run: RunReference) -> None:
    """Close the run and release its directory to other processes, without finishing it."""
    close_context(run)
    release(open_folder(run.url), run.epoch)


def _state(stopped: RunError | None) -> State:
    if stopped is None:
        return "completed"
    if isinstance(stopped, UnexpectedError):
        return "failed"
    return "interrupted" if isinstance(stopped, Interrupted) else "stopped"


def check_failed_share(summary: Summary, allowed: float) -> None:
    """Raise `TooManyFailedRows` if a larger share of a finished run's rows has failed than is allowed."""
    totals = summary.totals
    if summary.state != "completed" or not totals.rows or totals.failed / totals.rows <= allowed:
        return
    output = summary.output.rstrip("/")
    raise TooManyFailedRows(
        f"{totals.failed:,} of {totals.rows:,} documents failed, more than max_error_share allows ({allowed:.0%}); "
        f"see {output}/{FAILED}: {may_be_redriven(totals)}"
    )
