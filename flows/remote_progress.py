"""How far other processes have come with their running chunks: read from the journals, where these are local files.

So progress moves with every row. Once a chunk has ended, its task returns what it did.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from prefect_llm.flows.chunk_table import ChunkTable
from prefect_llm.progress.progress import RunProgress
from prefect_llm.run.context import context_of
from prefect_llm.run.reference import RunReference
from prefect_llm.store import Tail
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import InvalidInput

logger = logging.getLogger(__name__)


class RemoteProgress:
    """Progress of each chunk by its journal. One thread refreshes it, any may read it."""

    def __init__(self, run: RunReference, chunks: ChunkTable) -> None:
        self._run = run
        self._chunks = chunks
        self._tail = Tail(open_folder(run.url))
        self._by_chunk: dict[int, RunProgress] = {}
        self._here: set[int] = set()

    def refresh(self) -> None:
        """Read what the journals have gained since the last refresh."""
        if not self._run.spread:
            return

        # chunks on Dask's threads run in this process, which counts their rows itself
        self._here |= context_of(self._run).tracker.running_chunks.keys()
        try:
            for chunk, epoch, entry in self._tail.rows():
                progress, row = self._by_chunk.get(chunk, RunProgress(0)), entry.row
                if epoch == self._run.epoch:
                    progress = progress.plus(row.outcome, row.cost, row.price, entry.discarded_costs)
                else:  # an earlier attempt paid for it
                    progress = progress.plus_unpaid(row.outcome)
                self._by_chunk[chunk] = progress
        except (OSError, InvalidInput) as error:
            logger.debug("the progress of other processes cannot be read: %s", error)

    @property
    def done_rows(self) -> Mapping[int, int]:
        """How many rows have ended of each chunk that another process runs."""
        return {chunk: progress.done for chunk, progress in self._remote().items()}

    def added_to(self, progress: RunProgress) -> RunProgress:
        """The progress of this process with that of all others."""
        for each in self._remote().values():
            progress = progress.plus_remote(each)
        return progress

    def _remote(self) -> dict[int, RunProgress]:
        running = [chunk for chunk in self._chunks.running if chunk not in self._here]
        return {chunk: self._by_chunk[chunk] for chunk in running if chunk in self._by_chunk}
