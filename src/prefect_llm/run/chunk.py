"""The one composition of the rooms, chunk by chunk: staged documents -> requests -> outcomes -> rows -> part.

The command line (`side_by_side.py`) and the Prefect tasks call these same functions: `open_run` or `reopen_run` once
(`opening.py`), `infer_chunk` per pending chunk from any thread or process, `finish_run` once (`finishing.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache

import pyarrow as pa

from prefect_llm.budget.account import BudgetAccount, RunBudget
from prefect_llm.budget.grants import GrantLog
from prefect_llm.budget.sources import GrantSource, GrantSources
from prefect_llm.documents import Snapshot, read_chunk
from prefect_llm.progress.shared_stop import shared_stop
from prefect_llm.progress.tracker import RunTracker, run_tracker
from prefect_llm.prompts import Prompt
from prefect_llm.reuse.in_flight import ChunkClaims
from prefect_llm.run.chunk_requests import ChunkRequests, output_array
from prefect_llm.run.earlier_answers import earlier_answers
from prefect_llm.run.priced_rows import cache_saved
from prefect_llm.run.rendering import render_requests
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import (
    ChunkAttempt,
    ChunkStats,
    JournalKind,
    RunDirectory,
    check_owner,
    claim,
    flushed,
    is_latest,
    open_journal,
    remove_journals,
    result_schema,
    result_table,
    stats_in_journal,
)
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import InvalidInput, Superseded
from prefect_llm.values.provider import Provider

LANE = "online"
FLUSH_INTERVAL_S = 2.0
"""CONTRACT: what a power cut may lose; on object stores, what a killed process may."""

PartOf = Callable[[pa.Table, ChunkStats], tuple[pa.Table, ChunkStats]]
"""Makes a chunk's part and its figures of the rows that were asked and theirs."""


@dataclass(frozen=True, slots=True)
class RunReference:
    """An opened run, small enough to hand to every chunk task.

    `url` is its directory, `pending` the chunks without a part, `invocation` this attempt at the run: chunks of
    one invocation share figures and stop together, over processes where it is `spread` over them. `epoch` is that of
    the directory's lease: a later one has taken the run over. `reuse` are the directories of earlier runs whose
    answers are taken, first to last.
    """

    url: str
    run_id: str
    rows: int
    pending_rows: int
    chunk_rows: int
    pending: tuple[int, ...]
    invocation: str
    stop_error_share: float = 0.5
    flush_interval_s: float = FLUSH_INTERVAL_S
    epoch: int = 0
    reuse: tuple[str, ...] = ()
    budget: RunBudget | None = None
    spread: bool = False

    def rows_of(self, chunk: int) -> range:
        """The rows of a chunk, from 0."""
        return range(chunk * self.chunk_rows, min((chunk + 1) * self.chunk_rows, self.rows))

    @property
    def live(self) -> RunTracker:
        """The run's figures and stop signal in this process."""
        return run_tracker(self.invocation, self.pending_rows, self.stop_error_share)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What every chunk of a run needs, read once per process."""

    directory: RunDirectory
    spec: RunSpec
    prompt: Prompt
    snapshot: Snapshot


def plan_of(run: RunReference) -> RunPlan:
    """The run's plan; `InvalidInput` where its directory holds another run by now."""
    return _plan(run.url, run.run_id)


@lru_cache(maxsize=16)
def _plan(url: str, run_id: str) -> RunPlan:
    directory = RunDirectory.open(url)
    manifest = directory.manifest()
    if manifest is None or manifest.run_id != run_id:
        raise InvalidInput(f"{url} no longer holds the run {run_id}: start the flow again")
    spec = RunSpec.from_json(manifest.spec)
    return RunPlan(directory, spec, Prompt(spec.prompt), Snapshot.from_json(manifest.snapshot))


def schema_of(plan: RunPlan) -> pa.Schema:
    """The schema of every part of the run."""
    kept, output_type = plan.snapshot.kept_schema, plan.prompt.output_type
    return result_schema(kept=kept, output_type=output_type, keep_raw=plan.spec.keep_raw)


@contextmanager
def stopped_together(run: RunReference) -> Iterator[None]:
    """While the block runs in a process of a spread run, it stops with the others, and they with it."""
    if not run.spread:
        yield
        return
    with shared_stop(open_folder(run.url), run.invocation, run.epoch, run.live.stop):
        yield


def infer_chunk(run: RunReference, chunk: int, provider: Provider) -> ChunkStats:
    """Ask every document of one chunk that has no row yet and write its part. Blocks until the part is durable.

    Returns what this attempt did. Raises the `RunError` that stopped the run; then the chunk stays pending, and its
    journal keeps the rows that have ended. Raises `Superseded` where a later attempt has claimed the chunk, or a
    later owner the directory.
    """
    live = run.live
    if live.stop.error is not None:
        raise live.stop.error
    plan = plan_of(run)
    folder = plan.directory.folder
    if _is_complete(plan, chunk):
        return ChunkStats()  # an earlier attempt was killed between its last write and its report
    check_owner(folder, run.epoch)
    staged = read_chunk(folder, plan.snapshot, chunk)
    attempt, done = claim(folder, chunk, run.epoch)
    if _is_complete(plan, chunk):
        return ChunkStats()  # by another attempt since, whose journal may have been gone before it was read
    finished = {entry.row_index for entry in done}
    requests = render_requests(
        staged, plan.prompt, (place for place in range(len(staged.ids)) if place not in finished), provider.api
    )
    done += earlier_answers(run.reuse, run.invocation, staged, requests, plan.spec, provider)
    member = member_of(run, plan, chunk)
    with money_of(run) as spending:
        asked = ChunkRequests(staged, requests, provider, plan.prompt, live, done, member=member, spending=spending)
        return carry_out_attempt(run, plan, chunk, asked, attempt)


@contextmanager
def money_of(run: RunReference) -> Iterator[BudgetAccount | None]:
    """The run's purse in this process, while a chunk is worked on; `None` without a budget."""
    if run.budget is None:
        yield None
        return
    with _opening:  # two chunks that begin at once share it
        spending = _spending(run, run.budget)
    with spending.in_use():
        yield spending


_opening = threading.Lock()


@lru_cache(maxsize=16)
def _spending(run: RunReference, budget: RunBudget) -> BudgetAccount:
    return BudgetAccount(budget, _funds(run, budget), run.live.stop)


@lru_cache(maxsize=16)
def _funds(run: RunReference, budget: RunBudget) -> GrantSources:
    of_run = GrantSource(GrantLog(open_folder(run.url), budget.currency, run.run_id), budget.max_cost)
    if (month := budget.month) is None:
        return GrantSources(of_run)
    log = GrantLog(open_folder(month.folder), budget.currency, run.run_id, month.prefix)
    return GrantSources(of_run, GrantSource(log, month.max_cost))


def spent_of(run: RunReference) -> Decimal | None:
    """What this process has spent of the run's budget, with what it may have; `None` without a budget."""
    if run.budget is None:
        return None
    with _opening:
        return _spending(run, run.budget).spent


def granted_to(run: RunReference) -> Decimal | None:
    """What all attempts at the run were granted, and have not given back, of its budget; `None` without one."""
    return None if run.budget is None else _funds(run, run.budget).run.granted


def granted_this_month(run: RunReference) -> Decimal | None:
    """What all runs of the month together were granted, and have not given back; `None` without such a budget."""
    if run.budget is None or (month := _funds(run, run.budget).month) is None:
        return None
    return month.granted


def member_of(run: RunReference, plan: RunPlan, chunk: int) -> ChunkClaims | None:
    """The chunk's part in asking each request of the run once; `None` where each is asked for itself."""
    if not plan.spec.asks_once:
        return None
    return run.live.asked_once.member(
        plan.directory, chunk, rows=run.rows, chunk_rows=run.chunk_rows, raw=plan.spec.keep_raw
    )


def carry_out_attempt(
    run: RunReference,
    plan: RunPlan,
    chunk: int,
    asked: ChunkRequests,
    attempt: ChunkAttempt,
    work: JournalKind = JournalKind.CHUNK,
    part_of: PartOf = lambda rows, figures: (rows, figures),
) -> ChunkStats:
    """Ask what has no row yet under the claimed attempt's journal, then write the chunk's part.

    Returns and raises as `infer_chunk` does.
    """
    folder, started = plan.directory.folder, time.monotonic()
    try:
        journaled = flushed(open_journal(folder, chunk, attempt, work), run.flush_interval_s)
        with run.live.asking(chunk, asked.done), journaled as journal:
            asked.ask(journal.append, keep_raw=plan.spec.keep_raw)
        seconds = time.monotonic() - started
        entries = asked.entries()
        figures = replace(stats_in_journal(entries, seconds), cache_saved=cache_saved(entries))
        part, figures = part_of(_rows(run, plan, asked), figures)
        check_owner(folder, run.epoch)
        if not is_latest(folder, chunk, attempt, work):
            _is_complete(plan, chunk)  # what this attempt still wrote goes, where it is of no use to the later one
            raise Superseded(
                f"chunk {chunk} was taken over by a later attempt, which finishes it: nothing is left to do"
            )
        plan.directory.commit_part(chunk, part, figures)
        asked.committed()
    except Exception:
        run.live.take_back([entry.row.outcome for entry in asked.entries()])  # counted again by whoever goes on
        raise
    remove_journals(folder, [chunk], work)
    reused = sum(entry.row.reused for entry in asked.entries())
    asked_now = asked.new_entries()
    ended = run.live.ended_here(asked.entries(), asked_now)
    return replace(stats_in_journal(asked_now, seconds), reused=reused, ended=ended)


def _rows(run: RunReference, plan: RunPlan, asked: ChunkRequests) -> pa.Table:
    rows = [entry.row for entry in asked.entries()]
    return result_table(
        rows,
        schema=schema_of(plan),
        run_id=run.run_id,
        lane=LANE,
        kept=asked.kept,
        output=output_array(plan.prompt, rows),
    )


def _is_complete(plan: RunPlan, chunk: int) -> bool:
    """Whether the chunk has its part; then nothing is left of its journals."""
    if chunk not in plan.directory.complete_chunks():
        return False
    remove_journals(plan.directory.folder, [chunk])
    return True
