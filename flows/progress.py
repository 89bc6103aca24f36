"""What the Prefect UI shows while a run goes on: a progress artifact, and a line of figures in the log."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from prefect_llm.live import LiveFigures, line_of, watched
from prefect_llm.run import Run

PROGRESS_KEY = "llm-progress"
ARTIFACT_EVERY_S = 3.0


@contextmanager
def progress_shown(run: Run, log_every_s: float) -> Iterator[None]:
    """While the block runs, keep the run's progress artifact and log current."""
    logger = get_run_logger()
    artifact = cast(UUID, create_progress_artifact(0.0, key=PROGRESS_KEY, description=f"Run at {run.url}"))
    last_logged = time.monotonic()

    def draw(figures: LiveFigures) -> None:
        """An unreachable Prefect API costs the picture of the run, never the run."""
        try:
            update_progress_artifact(artifact, percent(figures), description=line_of(figures))
        except (httpx.HTTPError, PrefectException) as error:
            logger.debug("the progress artifact could not be updated: %s", error)

    def show(figures: LiveFigures) -> None:
        nonlocal last_logged
        draw(figures)
        if time.monotonic() - last_logged >= log_every_s:
            last_logged = time.monotonic()
            logger.info(line_of(figures))

    in_this_run = contextvars.copy_context()
    try:
        with watched(run.live, min(ARTIFACT_EVERY_S, log_every_s), lambda figures: in_this_run.run(show, figures)):
            yield
    finally:
        draw(run.live.figures)


def percent(figures: LiveFigures) -> float:
    """Rows that have ended, in percent; a run with nothing left to do is complete."""
    return min(100.0 * figures.done / figures.rows, 100.0) if figures.rows else 100.0
