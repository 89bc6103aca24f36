"""Parquet files as a source: row groups are read a piece at a time, and only the columns that are staged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_llm.documents.batches import SourceBatch
from prefect_llm.documents.columns import Columns, merged_columns
from prefect_llm.documents.listing import LocatedSource, SourceFile, reading
from prefect_llm.documents.periods import texts_in, with_texts
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.formatting import first_listed

_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_ROWS = (64, 16_384)
_READ_BYTES = 1024 * 1024
"""Read from each column at once; without it pyarrow holds the whole row group."""
_READ_BYTES_REMOTE = 8 * 1024 * 1024
_FOOTER_END_BYTES = 8
"""The footer's length and PAR1."""
_WIDE_BYTES = 16
_COLUMNS_SHOWN = 12


class ParquetSource(LocatedSource):
    """One or more Parquet files with one schema; a column that a file lacks is null there."""

    default_id = "id"

    @property
    def columns(self) -> Columns:
        """Those of all files."""
        return self._footers[0]

    def row_count(self) -> int:
        """As the files' footers say."""
        return self._footers[1]

    def batches(self, columns: Sequence[str], keep_bad: bool = False) -> Iterator[SourceBatch]:
        """The rows of all files, about 8 MB at a time."""
        for file in self._location.files():
            with self._opened(file) as parquet:
                yield from self._rows(parquet, columns, file)

    @cached_property
    def _footers(self) -> tuple[Columns, int]:
        rows = 0
        schemas = []
        for file in self._location.files():
            with self._opened(file) as parquet:
                rows += parquet.metadata.num_rows
                schema = with_texts(parquet.schema_arrow)
                schemas.append((file.name, self._location.partitions.extended(schema, file.path)))
        return merged_columns(schemas), rows

    @contextmanager
    def _opened(self, file: SourceFile) -> Iterator[pq.ParquetFile]:
        local = self._location.is_local
        with reading(file.name), self._location.open(file) as stream, _parsing(file.name, stream):
            yield pq.ParquetFile(
                file.path if local else stream,
                buffer_size=_READ_BYTES if local else _READ_BYTES_REMOTE,
                pre_buffer=False,
                # As nanoseconds, INT96's instants before 1677 and after 2262 would silently become others. Spark and
                # DuckDB read microseconds, too.
                coerce_int96_timestamp_unit="us",
            )

    def _rows(self, parquet: pq.ParquetFile, columns: Sequence[str], file: SourceFile) -> Iterator[SourceBatch]:
        own = parquet.schema_arrow.names
        present = [name for name in columns if name in own]
        first_row = 0
        for batch in parquet.iter_batches(batch_size=_batch_rows(parquet.metadata), columns=present):
            # The reader takes "a" for "a.b" too.
            cells = texts_in(batch.select(present), parquet.schema_arrow)
            rows = self._location.partitions.added(cells, batch.num_rows, columns, own, file.path)
            yield SourceBatch(rows, batch.num_rows, file.name, first_row)
            first_row += batch.num_rows


def _batch_rows(metadata: pq.FileMetaData) -> int:
    size = sum(int(metadata.row_group(index).total_byte_size) for index in range(metadata.num_row_groups))
    fewest, most = _BATCH_ROWS
    return max(fewest, min(most, _BATCH_BYTES * int(metadata.num_rows) // max(size, 1)))


@contextmanager
def _parsing(name: str, stream: BinaryIO) -> Iterator[None]:
    try:
        yield
    except pa.ArrowNotImplementedError as error:
        columns = _wide_integers(stream)
        raise InvalidInput(
            f'"{name}" has a column of a type that pyarrow cannot read{columns} ({error}): cast it where the file is '
            "written, such as Polars' Int128 to Decimal(38, 0) or String."
        ) from error
    except pa.ArrowException as error:
        if _schema_in(_footer(stream)) is None:
            raise InvalidInput(f'"{name}" is not a whole Parquet file ({error}): write it again.') from error
        raise InvalidInput(
            f'"{name}" has values that pyarrow cannot read ({error}): write it again, '
            "arrays of a fixed size as lists."
        ) from error


def _wide_integers(stream: BinaryIO) -> str:
    """The columns of 16 bytes without a stated type, as Polars writes Int128: `: "n", "order.total"`.

    Found where Arrow's schema in the footer is what cannot be read: pyarrow reads the rest of it.
    """
    footer = _footer(stream)
    if _schema_in(footer) is not None:
        return ""
    if (schema := _schema_in(footer.replace(b"ARROW:schema", b"ARROW:unread"))) is None:
        return ""

    leaves = map(schema.column, range(len(schema)))
    wide = [f'"{leaf.path}"' for leaf in leaves if leaf.length == _WIDE_BYTES and leaf.logical_type.type == "NONE"]
    return f": {first_listed(wide, _COLUMNS_SHOWN)}" if wide else ""


def _footer(stream: BinaryIO) -> bytes:
    """A file of the footer alone; without one, of the last bytes there are."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - _FOOTER_END_BYTES, 0))
    length = int.from_bytes(stream.read(4), "little")
    stream.seek(max(size - _FOOTER_END_BYTES - length, 0))
    return b"PAR1" + stream.read()


def _schema_in(footer: bytes) -> pq.ParquetSchema | None:
    try:
        return pq.read_metadata(pa.BufferReader(footer)).schema
    except pa.ArrowException:
        return None
