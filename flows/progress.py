"""What the Prefect UI shows of a running run: progress, a table of chunks, a line of figures in the log, events.

While the Prefect API cannot be reached these are out of date; the run itself neither fails nor waits.
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

from prefect import get_client, get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.context import FlowRunContext

from prefect_llm.blocks.prefect_calls import UNREACHABLE, one_try
from prefect_llm.flows.chunk_table import ChunkTable
from prefect_llm.flows.remote_progress import RemoteProgress
from prefect_llm.progress.progress import RunProgress, figures_of, line_of
from prefect_llm.progress.tracker import watched
from prefect_llm.run.context import context_of
from prefect_llm.run.reference import RunReference
from prefect_llm.tasks.shared_limit import awaited_limits
from prefect_llm.tasks.slot_wait import waiting_for
from prefect_llm.values.formatting import count, counted, duration
from prefect_llm.values.provider import Provider

PROGRESS_KEY = "llm-progress"
CHUNKS_KEY = "llm-chunks"
PROGRESS_EVERY_S = 3.0
CHUNKS_EVERY_S = 5.0
"""Both cost calls to Prefect's server; the table of chunks is the larger artifact."""
ALERTS_EVERY_S = 1.0


@contextmanager
def show_progress(
    run: RunReference, provider: Provider, chunks: ChunkTable, log_every_s: float, send_alerts: Callable[[], None]
) -> Iterator[None]:
    """While the block runs, keep the run's artifacts and log current, and call `send_alerts` every second."""
    logger, tracker = get_run_logger(), context_of(run).tracker
    remote = RemoteProgress(run, chunks)
    with one_try():
        in_this_run = contextvars.copy_context()

    def overall(progress: RunProgress) -> RunProgress:
        return tracker.with_rate(remote.added_to(progress))

    def update_artifacts(progress: RunProgress) -> None:
        remote.refresh()
        in_this_run.copy().run(artifacts.update, overall(progress))

    def log_line(progress: RunProgress) -> None:
        in_this_run.copy().run(logger.info, progress_line(overall(progress), awaited_limits(provider)))

    def alert(_: RunProgress) -> None:
        in_this_run.copy().run(send_alerts)

    with _Artifacts(run, provider, chunks, remote) as artifacts:
        in_this_run.copy().run(artifacts.update, overall(tracker.progress))
        try:
            with ExitStack() as stack:
                stack.enter_context(watched(tracker, PROGRESS_EVERY_S, update_artifacts))
                stack.enter_context(watched(tracker, ALERTS_EVERY_S, alert))
                stack.enter_context(watched(tracker, log_every_s, log_line))
                yield
        finally:
            send_alerts()
            in_this_run.copy().run(partial(artifacts.update, overall(tracker.progress), last=True))


class _Artifacts:
    """The artifacts of a running run. One client serves all updates, as making one is slow. One thread at a time."""

    def __init__(self, run: RunReference, provider: Provider, chunks: ChunkTable, remote: RemoteProgress) -> None:
        self._run = run
        self._provider = provider
        self._chunks = chunks
        self._remote = remote
        self._ids: dict[str | None, UUID] = {}
        self._chunks_updated_at = 0.0
        self._earlier = earlier_rows(run)
        self._logger = get_run_logger()
        self._client: SyncPrefectClient | None = None
        self._open = ExitStack()

    def __enter__(self) -> _Artifacts:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def update(self, progress: RunProgress, *, last: bool = False) -> None:
        """Bring both up to date, the table of chunks every few seconds."""
        line = last_line(progress) if last else progress_line(progress, awaited_limits(self._provider))
        line += _by_earlier_attempts(self._earlier)
        try:
            if self._client is None:
                self._take_over(client := self._open.enter_context(get_client(sync_client=True)))
                self._client = client  # after what may fail: it is then tried again
            self._update_progress(self._client, percent(progress, self._earlier), line)

            if last or time.monotonic() - self._chunks_updated_at >= CHUNKS_EVERY_S:
                self._update_chunks(self._client, f"{line}\n\n{failures_line(progress)}")
                self._chunks_updated_at = time.monotonic()
        except UNREACHABLE as error:
            self._logger.debug("the run's artifacts could not be brought up to date: %s", error)

    def _take_over(self, client: SyncPrefectClient) -> None:
        """Go on with the artifacts of an earlier attempt at this flow run, which would stay as it left them."""
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            return
        ours = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[context.flow_run.id]),
            key=ArtifactFilterKey(any_=[PROGRESS_KEY, CHUNKS_KEY]),
        )
        self._ids = {each.key: each.id for each in client.read_artifacts(artifact_filter=ours)}

    def _update_progress(self, client: SyncPrefectClient, share: float, line: str) -> None:
        if (drawn := self._ids.get(PROGRESS_KEY)) is None:
            self._ids[PROGRESS_KEY] = cast(UUID, create_progress_artifact(share, key=PROGRESS_KEY, description=line))
        else:
            client.update_artifact(drawn, ArtifactUpdate(data=share, description=line))

    def _update_chunks(self, client: SyncPrefectClient, description: str) -> None:
        here = context_of(self._run).tracker.running_chunks
        table = self._chunks.rows({**self._remote.done_rows, **here})
        if (drawn := self._ids.get(CHUNKS_KEY)) is None:
            rows: list[dict[str, Any]] = [*table]
            self._ids[CHUNKS_KEY] = cast(UUID, create_table_artifact(rows, key=CHUNKS_KEY, description=description))
        else:
            client.update_artifact(drawn, ArtifactUpdate(data=json.dumps(table), description=description))


def progress_line(progress: RunProgress, awaited: Sequence[str]) -> str:
    """The line of figures, and which limits the run waits for, if any."""
    line = line_of(progress)
    return f"{line}; {waiting_for(awaited)}" if awaited else line


def last_line(progress: RunProgress) -> str:
    """The line of figures once the attempt is over: how long it took, and nothing of what was to come."""
    return f"{figures_of(progress)}, in {duration(progress.seconds)}"


def earlier_rows(run: RunReference) -> int:
    """The rows of the chunks that earlier attempts have finished; 0 for a redrive, which asks rows of such chunks."""
    pending = sum(len(run.rows_of(chunk)) for chunk in run.pending)
    return run.rows - pending if run.pending_rows == pending else 0


def percent(progress: RunProgress, earlier: int = 0) -> float:
    """Rows that have ended, `earlier` ones among them, in percent; a run with nothing left to do is complete."""
    rows = progress.rows + earlier
    return min(100.0 * (progress.done + earlier) / rows, 100.0) if rows else 100.0


def _by_earlier_attempts(rows: int) -> str:
    return f"; {counted(rows, 'document')} before by earlier attempts" if rows else ""


def failures_line(progress: RunProgress) -> str:
    """`Failed: 12 timeout, 3 rejected.`, the most frequent kind first."""
    kinds = sorted(progress.tally.failed_by_kind.items(), key=lambda each: -each[1])
    return f"Failed: {', '.join(f'{count(number)} {kind}' for kind, number in kinds)}." if kinds else "No failures."
