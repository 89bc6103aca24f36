"""What a terminal and the log show while a run goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from prefect_llm.progress.progress import RunProgress, line_of
from prefect_llm.progress.tracker import RunTracker, watched
from prefect_llm.run.context import context_of
from prefect_llm.run.monitor import RunMonitor
from prefect_llm.run.reference import RunReference

BAR_EVERY_S = 0.25
ALERTS_EVERY_S = 1.0

logger = logging.getLogger(__name__)


def progress_log(tracker: RunTracker, every_s: float) -> AbstractContextManager[None]:
    """While the block runs, log a line of progress at that interval."""
    return watched(tracker, every_s, lambda progress: logger.info("%s", line_of(tracker.with_rate(progress))))


def alert_log(run: RunReference, alert_error_share: float) -> AbstractContextManager[None]:
    """While the block runs, log alerts: a budget used up, many errors, a provider that is down."""
    monitor = RunMonitor(run, None, alert_error_share)

    def log_alerts(_: RunProgress) -> None:
        for alert in monitor.news():
            logger.log(alert.level, alert.message)

    return watched(context_of(run).tracker, ALERTS_EVERY_S, log_alerts)


@contextmanager
def progress_bar(tracker: RunTracker) -> Iterator[None]:
    """While the block runs, a bar on standard error; log lines appear above it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(bar_width=24), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=max(tracker.progress.rows, 1))

        def show(so_far: RunProgress) -> None:
            progress.update(bar, completed=so_far.done, description=line_of(tracker.with_rate(so_far)))

        with watched(tracker, BAR_EVERY_S, show):
            yield
