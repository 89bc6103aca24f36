"""Rows that cannot be read, staged as documents that fail: each says why, and has an id if its own is unreadable."""

from __future__ import annotations

import pyarrow as pa

from prefect_llm.documents.batches import SourceBatch, place, shortened
from prefect_llm.documents.conversion import converted
from prefect_llm.documents.identifiers import absent_id

BAD = "bad"
"""The last column of a chunk that may hold such rows: why a row cannot be read, null where it can."""


class BadRows:
    """Those among the first `rows` of a batch."""

    def __init__(self, batch: SourceBatch, rows: int) -> None:
        self._batch = batch
        found = [None] * rows if batch.bad is None else batch.bad.slice(0, rows).to_pylist()
        self._reasons: list[str | None] = found

    @property
    def reasons(self) -> pa.Array:
        """Why each row cannot be read, with its place in its file."""
        batch = self._batch
        said = [
            None if reason is None else f"{place(batch.file, batch.first_row + row)}: {reason}"
            for row, reason in enumerate(self._reasons)
        ]
        return pa.array(said, pa.string())

    def converted_by_row(self, name: str, cells: pa.Array, type: pa.DataType) -> pa.Array:
        """The column cell by cell, null where one does not fit: that row is bad."""
        parts = []
        for row in range(len(cells)):
            try:
                part = converted(cells.slice(row, 1), type)
                part.validate(full=True)
            except pa.ArrowException as error:
                self._reasons[row] = self._reasons[row] or f'the column "{name}": {shortened(str(error), 200)}'
                part = pa.nulls(1, type)
            parts.append(part)
        return pa.concat_arrays([*parts, pa.nulls(0, type)])

    def with_ids(self, ids: pa.Array, column: str) -> pa.Array:
        """The ids as text; a row without one is bad, and named by its place."""
        texts = ids.cast(pa.string()).to_pylist()
        for row, text in enumerate(texts):
            if not text:
                self._reasons[row] = self._reasons[row] or absent_id(column, text)
                texts[row] = f"{self._batch.file}:{self._batch.first_row + row + 1}"
        return pa.array(texts, pa.string())
