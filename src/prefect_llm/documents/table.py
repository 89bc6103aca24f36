"""A `pyarrow.Table` in memory as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import pyarrow as pa

from prefect_llm.documents.arrow_types import staged_type
from prefect_llm.documents.batches import SourceBatch
from prefect_llm.documents.columns import Columns, merged_columns
from prefect_llm.documents.conversion import converted
from prefect_llm.documents.listing import LeftOut
from prefect_llm.documents.periods import texts_in, with_texts

_BATCH_ROWS = 16_384


class TableSource:
    """The rows of a table."""

    default_id = "id"

    def __init__(self, table: pa.Table) -> None:
        self.name = "pyarrow.Table"
        self.left_out: tuple[LeftOut, ...] = ()
        self._table = table
        self._schema = table.schema.remove_metadata()

    @property
    def columns(self) -> Columns:
        """The table's own."""
        return merged_columns([(self.name, with_texts(self._schema))])

    def row_count(self) -> int:
        """The number of rows."""
        return int(self._table.num_rows)

    def fingerprint(self) -> str:
        """A hash of columns and values, whatever chunks the table is in."""
        try:
            return self._hashed(self._schema)
        except pa.ArrowException:  # pyarrow joins and writes not all that it holds, such as dictionaries of lists
            types = map(staged_type, self._schema.types)
            return self._hashed(pa.schema(zip(self._schema.names, types, strict=True)))

    def _hashed(self, schema: pa.Schema) -> str:
        sink = _Digest()
        with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema) as writer:
            for start in range(0, self._table.num_rows, _BATCH_ROWS):
                writer.write_batch(_copied(self._table.slice(start, _BATCH_ROWS), schema))
        return sink.digest.hexdigest()

    def batches(self, columns: Sequence[str], keep_bad: bool = False) -> Iterator[SourceBatch]:
        """The table's batches."""
        first_row = 0
        for batch in self._table.to_batches(max_chunksize=_BATCH_ROWS):
            rows = texts_in(batch.select(list(columns)), self._schema)
            yield SourceBatch(rows, batch.num_rows, self.name, first_row)
            first_row += batch.num_rows


def _copied(part: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    """The rows in buffers of their own: those of a slice are padded otherwise."""
    columns = [
        pa.concat_arrays([*(_of_type(chunk, held) for chunk in column.chunks), pa.nulls(0, held)])
        for column, held in zip(part.columns, schema.types, strict=True)
    ]
    return pa.record_batch(columns, names=part.column_names)


def _of_type(chunk: pa.Array, type: pa.DataType) -> pa.Array:
    return chunk if chunk.type.equals(type) else converted(chunk, type)


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
