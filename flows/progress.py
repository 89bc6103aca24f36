"""What the Prefect UI shows while a run goes on: progress, a table of chunks, a line of figures in the log, events.

An unreachable Prefect API costs the picture of the run, never the run, and does not hold it up.
"""

from __future__ import annotations

import contextvars
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, cast
from uuid import UUID

import httpx
from prefect import get_client, get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from prefect_llm.flows.chunk_table import ChunkTable
from prefect_llm.flows.remote_progress import RemoteProgress
from prefect_llm.progress.progress import RunProgress, line_of
from prefect_llm.progress.tracker import watched
from prefect_llm.run.context import context_of
from prefect_llm.run.reference import RunReference
from prefect_llm.tasks.leased_share import waiting_for
from prefect_llm.tasks.shared_limit import awaited_limits
from prefect_llm.values.formatting import count
from prefect_llm.values.provider import Provider

PROGRESS_KEY = "llm-progress"
CHUNKS_KEY = "llm-chunks"
PROGRESS_EVERY_S = 3.0
CHUNKS_EVERY_S = 5.0
LOOK_EVERY_S = 1.0

UNREACHABLE = (httpx.HTTPError, PrefectException)


@contextmanager
def progress_shown(
    run: RunReference, provider: Provider, board: ChunkTable, log_every_s: float, look: Callable[[], None]
) -> Iterator[None]:
    """While the block runs, keep the run's artifacts and log current, and `look` for news every second."""
    logger = get_run_logger()
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        in_this_run = contextvars.copy_context()
    elsewhere = RemoteProgress(run, board)

    def everywhere(figures: RunProgress) -> RunProgress:
        return context_of(run).tracker.with_rate(elsewhere.added_to(figures))

    def shown(figures: RunProgress) -> None:
        elsewhere.look()
        in_this_run.copy().run(pictures.draw, everywhere(figures))

    def logged(figures: RunProgress) -> None:
        in_this_run.copy().run(logger.info, said_of(everywhere(figures), awaited_limits(provider)))

    def looked(_: RunProgress) -> None:
        in_this_run.copy().run(look)

    with _Pictures(run, provider, board, elsewhere) as pictures:
        in_this_run.copy().run(pictures.draw, everywhere(context_of(run).tracker.progress))
        try:
            with ExitStack() as stack:
                stack.enter_context(watched(context_of(run).tracker, PROGRESS_EVERY_S, shown))
                stack.enter_context(watched(context_of(run).tracker, LOOK_EVERY_S, looked))
                stack.enter_context(watched(context_of(run).tracker, log_every_s, logged))
                yield
        finally:
            look()
            in_this_run.copy().run(partial(pictures.draw, everywhere(context_of(run).tracker.progress), last=True))


class _Pictures:
    """The artifacts of a run that goes on, by one client, as making one is dear. One thread at a time."""

    def __init__(self, run: RunReference, provider: Provider, board: ChunkTable, elsewhere: RemoteProgress) -> None:
        self._run = run
        self._provider = provider
        self._board = board
        self._elsewhere = elsewhere
        self._progress: UUID | None = None
        self._chunks: UUID | None = None
        self._chunks_drawn_at = 0.0
        self._logger = get_run_logger()
        self._client: SyncPrefectClient | None = None
        self._open = ExitStack()

    def __enter__(self) -> _Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def draw(self, figures: RunProgress, *, last: bool = False) -> None:
        """Bring both up to date, the table of chunks every few seconds."""
        line = said_of(figures, awaited_limits(self._provider))
        try:
            if self._client is None:
                self._client = self._open.enter_context(get_client(sync_client=True))
            self._draw_progress(self._client, percent(figures), line)
            if last or time.monotonic() - self._chunks_drawn_at >= CHUNKS_EVERY_S:
                self._draw_chunks(self._client, f"{line}\n\n{failures_line(figures)}")
                self._chunks_drawn_at = time.monotonic()
        except UNREACHABLE as error:
            self._logger.debug("the run's artifacts could not be brought up to date: %s", error)

    def _draw_progress(self, client: SyncPrefectClient, share: float, line: str) -> None:
        if self._progress is None:
            self._progress = cast(UUID, create_progress_artifact(share, key=PROGRESS_KEY, description=line))
        else:
            client.update_artifact(self._progress, ArtifactUpdate(data=share, description=line))

    def _draw_chunks(self, client: SyncPrefectClient, description: str) -> None:
        table = self._board.table({**self._elsewhere.under_way, **context_of(self._run).tracker.running_chunks})
        if self._chunks is None:
            rows: list[dict[str, Any]] = [*table]
            self._chunks = cast(UUID, create_table_artifact(rows, key=CHUNKS_KEY, description=description))
        else:
            client.update_artifact(self._chunks, ArtifactUpdate(data=json.dumps(table), description=description))


def said_of(figures: RunProgress, awaited: Sequence[str]) -> str:
    """The line of the figures, and which limits keep the run waiting, if any do."""
    line = line_of(figures)
    return f"{line}; {waiting_for(awaited)}" if awaited else line


def percent(figures: RunProgress) -> float:
    """Rows that have ended, in percent; a run with nothing left to do is complete."""
    return min(100.0 * figures.done / figures.rows, 100.0) if figures.rows else 100.0


def failures_line(figures: RunProgress) -> str:
    """`Failed: 12 timeout, 3 rejected.`, the commonest kind first."""
    kinds = sorted(figures.failed_by_kind.items(), key=lambda each: -each[1])
    return f"Failed: {', '.join(f'{count(number)} {kind}' for kind, number in kinds)}." if kinds else "No failures."
