"""The core logs with the standard library; while a task runs, its lines also go to the run's own log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import MissingContextError
from prefect.logging.loggers import LoggingAdapter

from prefect_llm.store import ChunkStats
from prefect_llm.values.formatting import counted

CORE = logging.getLogger("prefect_llm")

Log = logging.Logger | LoggingAdapter
"""That of a module, or that of a run in Prefect."""


class _ToRunLog(logging.Handler):
    """Passes on what the task's own thread logs; other tasks run in other threads."""

    def __init__(self, run_logger: Log) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._run_logger = run_logger

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to the run's log."""
        if record.thread == self._thread:
            self._run_logger.log(record.levelno, record.getMessage())


def log_of_run(otherwise: logging.Logger) -> Log:
    """The log of the task or flow run that this is part of, for what other threads say of it."""
    try:
        return get_run_logger()
    except MissingContextError:
        return otherwise


def is_in_run() -> bool:
    """Whether this is part of a task or flow run: elsewhere, as in a unit test, nothing is told to Prefect."""
    return FlowRunContext.get() is not None or TaskRunContext.get() is not None


@contextmanager
def core_log() -> Iterator[None]:
    """Show the core's log lines of this thread in the current task or flow run, if there is one."""
    if (log := log_of_run(CORE)) is CORE:
        yield
        return
    handler = _ToRunLog(log)
    CORE.addHandler(handler)
    try:
        yield
    finally:
        CORE.removeHandler(handler)


def work_of(stats: ChunkStats) -> str:
    """`1 request, 0 retries, 0 throttled, 1 row failed, 19 rows reused`: what a chunk took, as its log line ends."""
    requests = stats.requests
    retries = f"{requests.retries:,} {'retry' if requests.retries == 1 else 'retries'}"
    rows_failed = 0 if stats.ended is None else stats.ended.tally.failed

    failed = f", {counted(rows_failed, 'row')} failed" if rows_failed else ""
    reused = f", {counted(stats.reused, 'row')} reused" if stats.reused else ""
    return f"{counted(requests.sent, 'request')}, {retries}, {requests.throttled:,} throttled{failed}{reused}"
