"""What other processes have done of chunks under way, read from the journals where these lie on a file system.

So progress moves with every row there too. Once a chunk has ended its task says what it has done.
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
    """What was written down of each chunk. One thread looks, any may ask."""

    def __init__(self, run: RunReference, board: ChunkTable) -> None:
        self._run = run
        self._board = board
        self._tail = Tail(open_folder(run.url))
        self._by_chunk: dict[int, RunProgress] = {}
        self._here: set[int] = set()

    def look(self) -> None:
        """Take in what has come since the last look."""
        if not self._run.spread:
            return
        # on Dask's threads they are counted row by row
        self._here |= context_of(self._run).tracker.running_chunks.keys()
        try:
            for chunk, epoch, entry in self._tail.rows():
                figures, row = self._by_chunk.get(chunk, RunProgress(0)), entry.row
                paid_now = epoch == self._run.epoch
                self._by_chunk[chunk] = (
                    figures.plus(row.outcome, row.cost, row.price, entry.discarded_costs)
                    if paid_now
                    else figures.ended(row.outcome, 1)
                )
        except (OSError, InvalidInput) as error:
            logger.debug("what other processes have done cannot be seen: %s", error)

    @property
    def under_way(self) -> Mapping[int, int]:
        """The chunks that others ask, and how many of their rows have ended."""
        return {chunk: figures.done for chunk, figures in self._figures().items()}

    def added_to(self, figures: RunProgress) -> RunProgress:
        """The figures of this process with those of the chunks that others ask."""
        for each in self._figures().values():
            figures = figures.joined(each)
        return figures

    def _figures(self) -> dict[int, RunProgress]:
        asked = [chunk for chunk in self._board.running if chunk not in self._here]
        return {chunk: self._by_chunk[chunk] for chunk in asked if chunk in self._by_chunk}
