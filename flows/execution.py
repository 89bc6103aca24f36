"""Carries out an opened run: a window of chunk tasks, the figures meanwhile, and the summary at the end."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, cast

from prefect import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, FlowPauseTimeout, TerminationSignal
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from prefect_llm.flows import events
from prefect_llm.flows.chunk_table import ChunkTable
from prefect_llm.flows.progress import progress_shown
from prefect_llm.flows.signals import sigterm_raised
from prefect_llm.report import Summary
from prefect_llm.run.context import context_of, working_on
from prefect_llm.run.finishing import check_failed_share, release_run
from prefect_llm.run.finishing import finish_run as finish
from prefect_llm.run.monitor import RunMonitor
from prefect_llm.run.reference import RunReference
from prefect_llm.run.threads import MOST_CHUNKS_AT_ONCE, chunks_at_once
from prefect_llm.settings import MonitoringSection
from prefect_llm.store import ChunkStats
from prefect_llm.tasks import finish_run
from prefect_llm.values.errors import (
    Interrupted,
    InvalidInput,
    LLMBatchError,
    NotApproved,
    RunError,
    Superseded,
    TooManyFailedRows,
)
from prefect_llm.values.provider import Provider

INTERRUPTED = "the flow run was interrupted: finished rows are kept"
TASK_RUNNER = cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner(max_workers=MOST_CHUNKS_AT_ONCE))

Submit = Callable[[int], PrefectFuture[ChunkStats]]
"""Starts the task run of one chunk."""


def run_chunks(
    run: RunReference, submit: Submit, provider: Provider, *, monitoring: MonitoringSection, max_error_share: float
) -> Summary:
    """The summary after every pending chunk. Raises, holding the summary, what stopped the run or makes it fail."""
    try:
        with sigterm_raised() if run.spread else nullcontext():
            return _carried_out(run, submit, provider, monitoring, max_error_share)
    finally:
        release_run(run)


def _carried_out(
    run: RunReference, submit: Submit, provider: Provider, monitoring: MonitoringSection, max_error_share: float
) -> Summary:
    figures: list[ChunkStats] = []
    stopped = None
    board = ChunkTable(run)
    tell = events.alert_sender(run, RunMonitor(run, provider, monitoring.alert_error_share))
    events.started(run)
    try:
        every_s = monitoring.stats_interval_seconds
        with working_on(run), progress_shown(run, provider, board, every_s, tell):
            for each in _inferred(run, submit, board, window(run, provider)):
                figures.append(each)  # noqa: PERF402 - what came before an error counts
    except RunError as error:
        stopped = error
    except (KeyboardInterrupt, TerminationSignal):
        stopped = Interrupted(INTERRUPTED)
        summary = finish(run, figures, stopped)  # the directory says so; a dying run starts no task
        events.finished(run, summary, stopped)
        raise
    except BaseException:
        events.finished(run, None, None)
        raise
    summary = finish_run(run, figures, stopped)
    events.finished(run, summary, stopped)
    try:
        if stopped is not None:
            raise stopped
        check_failed_share(summary, max_error_share)
    except LLMBatchError as error:
        error.summary = summary
        raise
    return summary


def window(run: RunReference, provider: Provider) -> int:
    """Task runs under way: what fills this process's engine, or as many as a cluster may have room for."""
    return min(MOST_CHUNKS_AT_ONCE, max(len(run.pending), 1)) if run.spread else chunks_at_once(run, provider)


def state_for(error: LLMBatchError) -> Summary:
    """The flow run's state for an error, named after the reason (docs/contract.md, Exit status): the flow returns it.

    Raises `Abort`, which leaves the state as it is, where a later attempt at this flow run has taken the run over.
    """
    if isinstance(error, Superseded) and _is_tried_again():
        raise Abort(str(error))
    too_late = isinstance(error.__cause__, FlowPauseTimeout)  # Failed, as the server says of a pause that is over
    if isinstance(error, NotApproved) and not too_late:
        return cast(Summary, Cancelled(name="Rejected", message=str(error)))
    if isinstance(error, InvalidInput):
        name = "Refused"
    else:
        name = error.kind if isinstance(error, (RunError, TooManyFailedRows)) else "Failed"
    return cast(Summary, Failed(name=name, message=str(error), data=error))


def _is_tried_again() -> bool:
    """Whether Prefect has begun this flow run again, in a process that took this one for dead."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return False
    with get_client(sync_client=True) as client:
        return client.read_flow_run(context.flow_run.id).run_count > context.flow_run.run_count


def _inferred(run: RunReference, submit: Submit, board: ChunkTable, at_once: int) -> Iterator[ChunkStats]:
    """Each chunk's figures as it ends. A window of task runs, so that a stopped run starts no more of them."""
    waiting = deque(run.pending)
    ended: queue.SimpleQueue[PrefectFuture[ChunkStats]] = queue.SimpleQueue()
    under_way: dict[PrefectFuture[ChunkStats], int] = {}
    try:
        while waiting or under_way:
            while waiting and len(under_way) < at_once:
                chunk = waiting.popleft()
                future = submit(chunk)
                under_way[future] = chunk
                board.begun(chunk)
                future.add_done_callback(ended.put)
            future = ended.get()
            figures = _ended(board, under_way.pop(future), future)
            context_of(run).tracker.add_remote(figures)
            yield figures
    except (KeyboardInterrupt, TerminationSignal):
        context_of(run).stop.set(Interrupted(INTERRUPTED))
        raise
    except BaseException as error:
        context_of(run).stop.set(error if isinstance(error, RunError) else Interrupted("another chunk failed"))
        raise
    finally:
        for future in under_way:
            future.wait()


def _ended(board: ChunkTable, chunk: int, future: PrefectFuture[ChunkStats]) -> ChunkStats:
    figures = None
    try:
        figures = future.result()
    finally:
        board.ended(chunk, figures)
    return figures
