"""A `pyarrow.Table` in memory as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import pyarrow as pa

from prefect_llm.documents.batches import SourceBatch
from prefect_llm.documents.listing import LeftOut

_BATCH_ROWS = 16_384


class TableSource:
    """The rows of a table."""

    default_id = "id"

    def __init__(self, table: pa.Table) -> None:
        self.name = "pyarrow.Table"
        self.left_out: tuple[LeftOut, ...] = ()
        self._table = table

    @property
    def schema(self) -> pa.Schema:
        """The table's own."""
        return self._table.schema.remove_metadata()

    def row_count(self) -> int:
        """The number of rows."""
        return int(self._table.num_rows)

    def fingerprint(self) -> str:
        """A hash of columns and values, whatever chunks the table is in."""
        sink = _Digest()
        with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), self.schema) as writer:
            for start in range(0, self._table.num_rows, _BATCH_ROWS):
                writer.write_batch(_copied(self._table.slice(start, _BATCH_ROWS)))
        return sink.digest.hexdigest()

    def batches(self, columns: Sequence[str]) -> Iterator[SourceBatch]:
        """The table's batches."""
        first_row = 0
        for batch in self._table.to_batches(max_chunksize=_BATCH_ROWS):
            yield SourceBatch(batch.select(list(columns)), batch.num_rows, self.name, first_row)
            first_row += batch.num_rows


def _copied(part: pa.Table) -> pa.RecordBatch:
    """The rows in buffers of their own: those of a slice are padded otherwise."""
    columns = [pa.concat_arrays([*column.chunks, pa.nulls(0, column.type)]) for column in part.columns]
    return pa.record_batch(columns, names=part.column_names)


class _Digest:
    """A file that keeps only the hash of what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return len(content)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
