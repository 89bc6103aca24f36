"""The rows of one chunk that have ended, from whatever source: this attempt, earlier ones, other runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pyarrow as pa

from prefect_llm.progress.tracker import RunTracker
from prefect_llm.prompts import Prompt, to_output_array
from prefect_llm.store import JournalEntry, ResultRow, as_reused
from prefect_llm.values.errors import InvalidInput


class ChunkRows:
    """The rows of a chunk, filled in as they end. The tracker counts every row."""

    def __init__(self, ids: Sequence[str], prompt: Prompt, tracker: RunTracker) -> None:
        self._ids = ids
        self._prompt = prompt
        self._tracker = tracker
        self._entries: list[JournalEntry | None] = [None] * len(ids)
        self._restored: set[int] = set()
        self._journal: Callable[[JournalEntry], None] | None = None

    def journal_to(self, journal: Callable[[JournalEntry], None]) -> None:
        """Have `add` write rows there."""
        self._journal = journal

    def restore(self, entry: JournalEntry) -> None:
        """Take a row from an earlier attempt or another run; nothing is paid for it in this one."""
        if entry.row_index >= len(self._entries) or entry.row.id != self._ids[entry.row_index]:
            raise InvalidInput(
                f"the journal of this chunk has a row of {entry.row.id!r} as document {entry.row_index}, which is "
                "not in its snapshot: remove _run/inflight, and the chunk is asked again"
            )

        self._entries[entry.row_index] = self._with_output(entry)
        self._restored.add(entry.row_index)
        self._tracker.restore(entry.row.outcome)

    def add(self, entry: JournalEntry) -> None:
        """Journal a row that has ended, then take it: a counted row is never lost."""
        assert self._journal is not None, "journal_to comes first"
        self._journal(entry)
        self.keep(entry)

    def keep(self, entry: JournalEntry) -> None:
        """Take a row that costs nothing to make again, without journaling it."""
        row = entry.row
        self._entries[entry.row_index] = entry
        self._tracker.count(row.outcome, row.cost, row.price, entry.discarded_costs)

    def id_of(self, row_index: int) -> str:
        """The document's id."""
        return self._ids[row_index]

    def copied(self, row: ResultRow, row_index: int) -> JournalEntry:
        """The answer to another document with the same request, as this document's row; not taken yet."""
        return self._with_output(JournalEntry(row_index, as_reused(row, self._ids[row_index])))

    def ended(self) -> list[JournalEntry]:
        """The rows that have ended, in the order of the input."""
        return [entry for entry in self._entries if entry is not None]

    def new(self) -> list[JournalEntry]:
        """Those of them that ended in this attempt."""
        return [entry for entry in self.ended() if entry.row_index not in self._restored]

    def count(self) -> int:
        """How many rows have ended."""
        return len(self._entries) - self._entries.count(None)

    def lacks(self, row_indexes: Iterable[int]) -> bool:
        """Whether one of these has not ended."""
        return any(self._entries[row_index] is None for row_index in row_indexes)

    def _with_output(self, entry: JournalEntry) -> JournalEntry:
        """With the parsed answer, which journals and the reader of parts leave out."""
        outcome, answer_format = entry.row.outcome, self._prompt.parameters.answer_format
        completion = outcome.completion
        if answer_format is None or completion is None or not outcome.ok or completion.output is not None:
            return entry

        parsed = replace(completion, output=answer_format.parse(completion.content or ""))
        return entry._replace(row=replace(entry.row, outcome=replace(outcome, completion=parsed)))


def output_array(prompt: Prompt, rows: Sequence[ResultRow]) -> pa.Array | None:
    """The column `output`; `None` if no schema was asked for."""
    if prompt.output_type is None:
        return None

    completions = (row.outcome.completion for row in rows)
    values = [completion.output if completion is not None else None for completion in completions]
    return to_output_array(values, prompt.output_type)
