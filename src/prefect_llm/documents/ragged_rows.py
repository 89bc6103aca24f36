"""Rows of a CSV file with too few or too many cells, put back where they were as rows without any."""

from __future__ import annotations

from collections import deque

import pyarrow as pa
import pyarrow.csv as pacsv


class RaggedRows:
    """Handed to pyarrow's reader, which calls it with each such row before it gives the rows around it."""

    def __init__(self) -> None:
        self._found: deque[tuple[int, str]] = deque()
        self._row = 0

    def __call__(self, row: pacsv.InvalidRow) -> str:
        """Note a row and let the reader leave it out."""
        what = f"the row has {row.actual_columns} cells where the header has {row.expected_columns}"
        # Counted from 1, the header too; empty lines are not.
        self._found.append((row.number - 2, what))
        return "skip"

    @property
    def left(self) -> bool:
        """Whether rows were found that no batch has yet: they are the file's last."""
        return bool(self._found)

    def put_among(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the rows that were left out between its own, and the reasons in a last column."""
        places: list[int | None] = []
        reasons: list[str | None] = []
        left = iter(range(batch.num_rows))
        place = next(left, None)
        while place is not None or (self._found and self._found[0][0] == self._row):
            if self._found and self._found[0][0] == self._row:
                places.append(None)
                reasons.append(self._found.popleft()[1])
            else:
                places.append(place)
                reasons.append(None)
                place = next(left, None)
            self._row += 1

        rows = batch.take(pa.array(places, pa.int32()))
        return pa.record_batch([*rows.columns, pa.array(reasons, pa.string())], names=[*batch.schema.names, "bad"])
