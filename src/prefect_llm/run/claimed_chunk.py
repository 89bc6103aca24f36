"""What one attempt at a chunk has to do: which rows to ask, and how to make the part from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from prefect_llm.documents import StagedChunk
from prefect_llm.prompts import Prompt
from prefect_llm.store import ChunkAttempt, ChunkStats, JournalEntry, JournalKind
from prefect_llm.store.tickets import ChunkTickets, Ticket

MakePart = Callable[[pa.Table, ChunkStats], tuple[pa.Table, ChunkStats]]
"""Makes the chunk's part and its stats from the rows of this work and their stats."""


def whole_part(rows: pa.Table, stats: ChunkStats) -> tuple[pa.Table, ChunkStats]:
    """The rows of the work are the whole part."""
    return rows, stats


@dataclass(frozen=True, slots=True)
class ClaimedChunk:
    """A claimed attempt at a chunk.

    `row_indexes` are the rows, in order, that the work produces: all of the chunk, or those that are asked again.
    `done` are those that earlier attempts have ended, `journaled` all whose outcome a journal has; `tickets` hold
    requests that earlier attempts submitted.
    """

    chunk: int
    kind: JournalKind
    attempt: ChunkAttempt
    staged: StagedChunk
    prompt: Prompt
    row_indexes: Sequence[int]
    done: Sequence[JournalEntry]
    journaled: frozenset[int]
    tickets: ChunkTickets
    make_part: MakePart = whole_part

    @property
    def is_retried(self) -> bool:
        """Whether the chunk has had an attempt before, which may have left tickets."""
        return self.attempt.number > 1

    def open_tickets(self) -> list[Ticket]:
        """What earlier attempts submitted and have not collected."""
        if not self.is_retried:
            return []

        tickets = [
            replace(ticket, row_indexes=tuple(row for row in ticket.row_indexes if row not in self.journaled))
            for ticket in self.tickets.read()
        ]
        return [ticket for ticket in tickets if ticket.row_indexes]

    @property
    def missing(self) -> list[int]:
        """The row indexes that no earlier attempt has ended."""
        done = {entry.row_index for entry in self.done}
        return [row_index for row_index in self.row_indexes if row_index not in done]

    @property
    def kept(self) -> pa.Table:
        """The kept input columns of its rows."""
        kept = self.staged.kept
        return kept if len(self.row_indexes) == len(self.staged.ids) else kept.take(list(self.row_indexes))
