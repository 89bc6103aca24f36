"""Carries out an opened run: a window of chunk tasks, the figures meanwhile, and the summary at the end."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

from prefect import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, TerminationSignal
from prefect.futures import PrefectFuture
from prefect.states import Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from prefect_llm.errors import Interrupted, InvalidInput, LLMBatchError, RunError, Superseded, TooManyFailedRows
from prefect_llm.flows.progress import progress_shown
from prefect_llm.records import Provider
from prefect_llm.report import Summary
from prefect_llm.run import (
    MOST_CHUNKS_AT_ONCE,
    Run,
    check_failed_share,
    chunks_at_once,
    release_run,
    stopped_together,
)
from prefect_llm.run import finish_run as finish
from prefect_llm.store import ChunkFigures
from prefect_llm.tasks import finish_run

INTERRUPTED = "the flow run was interrupted: finished rows are kept, the same run goes on from there"
TASK_RUNNER = cast(TaskRunner[PrefectFuture[Any]], ThreadPoolTaskRunner(max_workers=MOST_CHUNKS_AT_ONCE))

Submit = Callable[[int], PrefectFuture[ChunkFigures]]
"""Starts the task run of one chunk."""


def carried_out(
    run: Run, submit: Submit, at_once: int, *, stats_interval_s: float, max_error_share: float
) -> Summary:
    """The summary after every pending chunk. Raises, holding the summary, what stopped the run or makes it fail."""
    try:
        return _carried_out(run, submit, at_once, stats_interval_s, max_error_share)
    finally:
        release_run(run)


def _carried_out(run: Run, submit: Submit, at_once: int, stats_interval_s: float, max_error_share: float) -> Summary:
    figures: list[ChunkFigures] = []
    stopped = None
    try:
        with stopped_together(run), progress_shown(run, stats_interval_s):
            for each in _inferred(run, submit, at_once):
                figures.append(each)  # noqa: PERF402 - what came before an error counts
    except RunError as error:
        stopped = error
    except (KeyboardInterrupt, TerminationSignal):
        finish(run, figures, Interrupted(INTERRUPTED))  # the directory says so; a dying run starts no task
        raise
    summary = finish_run(run, figures, stopped)
    try:
        if stopped is not None:
            raise stopped
        check_failed_share(summary, max_error_share)
    except LLMBatchError as error:
        error.summary = summary
        raise
    return summary


def window(run: Run, provider: Provider) -> int:
    """Task runs under way: what fills this process's engine, or as many as a cluster may have room for."""
    return min(MOST_CHUNKS_AT_ONCE, max(len(run.pending), 1)) if run.spread else chunks_at_once(run, provider)


def failed(error: LLMBatchError) -> Summary:
    """The flow run's state for an error, by the name of the reason (CONTRACT, exits): what a flow then returns.

    Leaves the flow, and its state as it is, where a later attempt at this same flow run has taken the run over.
    """
    if isinstance(error, Superseded) and _is_tried_again():
        raise Abort(str(error))
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


def _inferred(run: Run, submit: Submit, at_once: int) -> Iterator[ChunkFigures]:
    """Each chunk's figures as it ends. A window of task runs, so that a stopped run starts no more of them."""
    waiting = deque(run.pending)
    ended: queue.SimpleQueue[PrefectFuture[ChunkFigures]] = queue.SimpleQueue()
    under_way: set[PrefectFuture[ChunkFigures]] = set()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < at_once:
                future = submit(waiting.popleft())
                under_way.add(future)
                future.add_done_callback(ended.put)
            future = ended.get()
            under_way.remove(future)
            figures = future.result()
            run.live.take_over(figures)
            yield figures
    except (KeyboardInterrupt, TerminationSignal):
        run.live.stop.set(Interrupted(INTERRUPTED))
        raise
    except BaseException as error:
        run.live.stop.set(error if isinstance(error, RunError) else Interrupted("another chunk failed"))
        raise
    finally:
        for future in under_way:
            future.wait()
