"""Runs the chunks of an opened run as task runs, shows how far they are, and finishes the run."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

from prefect import get_client, get_run_logger
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, FlowPauseTimeout, Pause, TerminationSignal
from prefect.futures import PrefectFuture
from prefect.states import Cancelled
from prefect.task_runners import TaskRunner

from prefect_llm.blocks.prefect_calls import patiently
from prefect_llm.flows import events
from prefect_llm.flows.chunk_table import ChunkTable
from prefect_llm.flows.plain_errors import log_without_traceback
from prefect_llm.flows.progress import show_progress
from prefect_llm.flows.signals import sigterm_raised
from prefect_llm.report import Summary
from prefect_llm.run.context import context_of, working_on
from prefect_llm.run.finishing import check_failed_share, release_run
from prefect_llm.run.finishing import finish_run as finish
from prefect_llm.run.monitor import RunMonitor
from prefect_llm.run.reference import RunReference
from prefect_llm.run.threads import MOST_CHUNKS_AT_ONCE, chunks_at_once
from prefect_llm.settings import MonitoringOptions
from prefect_llm.store import ChunkStats
from prefect_llm.tasks import finish_run
from prefect_llm.tasks.failed_state import failed_state
from prefect_llm.tasks.runners import PatientThreads
from prefect_llm.values.errors import (
    Interrupted,
    LLMBatchError,
    NotApproved,
    RunError,
    Superseded,
    UnexpectedError,
    reason_of,
)
from prefect_llm.values.provider import Provider

INTERRUPTED = "the flow run was interrupted: finished rows are kept"
SUSPENDED = "the flow run was suspended: finished rows are kept, and Resume asks the others"
TASK_RUNNER = cast(TaskRunner[PrefectFuture[Any]], PatientThreads(max_workers=MOST_CHUNKS_AT_ONCE))

Submit = Callable[[int], PrefectFuture[ChunkStats]]
"""Starts the task run of one chunk."""


def run_chunks(
    run: RunReference, submit: Submit, provider: Provider, *, monitoring: MonitoringOptions, max_error_share: float
) -> Summary:
    """The summary after the last pending chunk. Raises what stopped the run or makes it fail, the summary on it."""
    run = replace(run, answers_shown=monitoring.answers_shown)
    try:
        with sigterm_raised() if run.spread else nullcontext():
            summary, stopped = _run_and_finish(run, submit, provider, monitoring)
        _check(summary, stopped, max_error_share)
        return summary
    finally:
        release_run(run)


def _run_and_finish(
    run: RunReference, submit: Submit, provider: Provider, monitoring: MonitoringOptions
) -> tuple[Summary, RunError | None]:
    """The summary, and the error that stopped the run. Raises only what leaves no time to finish in a task."""
    stats: list[ChunkStats] = []
    stopped: RunError | None = None
    chunks = ChunkTable(run)
    send_alerts = events.alert_sender(run, RunMonitor(run, provider, monitoring.alert_error_share))
    events.send_started(run)

    try:
        every_s = monitoring.stats_interval_seconds
        with working_on(run), show_progress(run, provider, chunks, every_s, send_alerts):
            for each in _submit_window(run, submit, chunks, window(run, provider)):
                stats.append(each)  # noqa: PERF402 - what came before an error counts
    except RunError as error:
        stopped = error
    except (KeyboardInterrupt, TerminationSignal):
        stopped = Interrupted(INTERRUPTED)
        summary = finish(run, stats, stopped)  # the directory says so; a dying run starts no task
        events.send_finished(run, summary, stopped)
        raise
    except Pause:
        stopped = Interrupted(SUSPENDED)
        events.send_finished(run, finish(run, stats, stopped), stopped)
        raise
    except Exception as fault:
        _finish_after(fault, run, stats)
        raise
    except BaseException:
        events.send_finished(run, None, None)
        raise

    summary = finish_run(run, stats, stopped)
    events.send_finished(run, summary, stopped)
    return summary, stopped


def _finish_after(fault: Exception, run: RunReference, stats: list[ChunkStats]) -> None:
    """Finish what an error has ended that nobody raised on purpose; that error is raised, whatever fails here."""
    summary, stopped = None, UnexpectedError(fault)
    try:
        summary = finish_run(run, stats, stopped)
    except Exception as error:
        get_run_logger().error("the run could not be finished either: %s", reason_of(error))
    events.send_finished(run, summary, stopped)


def _check(summary: Summary, stopped: RunError | None, max_error_share: float) -> None:
    try:
        if stopped is not None:
            raise stopped
        check_failed_share(summary, max_error_share)
    except LLMBatchError as error:
        error.summary = summary
        raise


def window(run: RunReference, provider: Provider) -> int:
    """How many task runs at once: enough for this process's engine, or as many as a cluster may have room for."""
    return min(MOST_CHUNKS_AT_ONCE, max(len(run.pending), 1)) if run.spread else chunks_at_once(run, provider)


def state_for(error: LLMBatchError) -> Summary:
    """The flow run's state for an error, named after the reason (docs/contract.md, Exit status): the flow returns it.

    Raises `Abort`, which leaves the state as it is, where a later attempt at this flow run has taken the run over.
    """
    log_without_traceback()
    if isinstance(error, Superseded) and _has_newer_attempt():
        raise Abort(str(error))

    too_late = isinstance(error.__cause__, FlowPauseTimeout)  # Failed, as the server says of a pause that is over
    if isinstance(error, NotApproved) and not too_late:
        return cast(Summary, Cancelled(name="Rejected", message=str(error)))

    return cast(Summary, failed_state(error))


def _has_newer_attempt() -> bool:
    """Whether Prefect has started this flow run again, in the belief that this process is dead."""
    context = FlowRunContext.get()
    started = None if context is None else context.flow_run
    if started is None:
        return False
    with get_client(sync_client=True) as client:
        known = patiently(lambda: client.read_flow_run(started.id))
    return known.run_count > started.run_count


def _submit_window(run: RunReference, submit: Submit, chunks: ChunkTable, at_once: int) -> Iterator[ChunkStats]:
    """Submit at most `at_once` task runs at a time, so that a stopped run starts no more; yield each one's stats."""
    context = context_of(run)
    pending = deque(run.pending)
    running: dict[PrefectFuture[ChunkStats], int] = {}
    ended: queue.SimpleQueue[PrefectFuture[ChunkStats]] = queue.SimpleQueue()
    try:
        while pending or running:
            while pending and len(running) < at_once:
                chunk = pending.popleft()
                future = submit(chunk)
                running[future] = chunk
                chunks.started(chunk)
                future.add_done_callback(ended.put)

            future = ended.get()
            stats = _result_of(future, running.pop(future), chunks)
            context.tracker.add_remote(stats)
            yield stats
    except (KeyboardInterrupt, TerminationSignal):
        context.stop.set(Interrupted(INTERRUPTED))
        raise
    except Pause:
        context.stop.set(Interrupted(SUSPENDED))
        raise
    except BaseException as error:
        context.stop.set(error if isinstance(error, RunError) else Interrupted("another chunk failed"))
        raise
    finally:
        for _ in running:
            ended.get()  # not `wait`, which does not wait in a flow run that is suspended


def _result_of(future: PrefectFuture[ChunkStats], chunk: int, chunks: ChunkTable) -> ChunkStats:
    stats = None
    try:
        stats = future.result()
    finally:
        chunks.ended(chunk, stats)
    return stats
