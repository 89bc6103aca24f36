"""CSV and TSV files as a source: every column is text, an empty cell is an empty string.

pyarrow reads the rows; where it refuses one, the file is read again by the standard library to name the line.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from prefect_llm.documents.batches import SourceBatch, place, shortened
from prefect_llm.documents.columns import Columns, merged_columns
from prefect_llm.documents.file_starts import encoding_of
from prefect_llm.documents.listing import LocatedSource, SourceFile, reading
from prefect_llm.documents.ragged_rows import RaggedRows
from prefect_llm.values.errors import InvalidInput

if TYPE_CHECKING:
    from _csv import Reader as CsvRows

_BLOCK_BYTES = 1024 * 1024
"""Read at once; pyarrow holds some forty times as much."""
_MAX_ROW_BYTES = 32 * 1024 * 1024


class CsvSource(LocatedSource):
    """One or more CSV files with a header each; a column that a file lacks is null there."""

    default_id = "id"

    @cached_property
    def columns(self) -> Columns:
        """Those of all headers, each a string, and of the folders."""
        extended = self._location.partitions.extended
        headers = ((file, self._headers[file.name]) for file in self._location.files())
        return merged_columns((file.name, extended(_text_schema(header), file.path)) for file, header in headers)

    def row_count(self) -> int | None:
        """Not known without reading."""
        return None

    def batches(self, columns: Sequence[str], keep_bad: bool = False) -> Iterator[SourceBatch]:
        """The rows of all files, some megabytes at a time. Cells are not yet checked to be UTF-8."""
        for file in self._location.files():
            yield from self._rows(file, columns, keep_bad=keep_bad)

    @cached_property
    def _headers(self) -> dict[str, list[str]]:
        headers = {}
        for file in self._location.files():
            with reading(file.name), self._location.open(file) as stream:
                headers[file.name] = _header(stream, file.name)
        return headers

    def _rows(self, file: SourceFile, columns: Sequence[str], *, keep_bad: bool) -> Iterator[SourceBatch]:
        header = self._headers[file.name]
        present = [name for name in columns if name in header]
        first_row = 0
        with reading(file.name):
            for batch in self._parsed(file, header, keep_bad=keep_bad):
                texts = [batch.column(header.index(name)).view(pa.string()) for name in present]
                cells = pa.record_batch(texts, names=present)
                rows = self._location.partitions.added(cells, batch.num_rows, columns, header, file.path)
                bad = batch.column(len(header)) if keep_bad else None
                yield SourceBatch(rows, batch.num_rows, file.name, first_row, bad)
                first_row += batch.num_rows

    def _parsed(self, file: SourceFile, header: list[str], *, keep_bad: bool) -> Iterator[pa.RecordBatch]:
        """The batches of small blocks; from where those are too small for a row, of large ones.

        With `keep_bad` a last column says why a row cannot be read.
        """
        rows = 0
        try:
            for batch in self._blocks(file, header, _BLOCK_BYTES, keep_bad=keep_bad):
                yield batch
                rows += batch.num_rows
        except pa.ArrowInvalid:
            try:
                blocks = self._blocks(file, header, _MAX_ROW_BYTES, keep_bad=keep_bad)
                yield from _without_first(rows, blocks)
            except pa.ArrowInvalid as error:
                raise InvalidInput(self._refusal(file, len(header), error)) from error

    def _blocks(
        self, file: SourceFile, header: list[str], block_bytes: int, *, keep_bad: bool
    ) -> Iterator[pa.RecordBatch]:
        rows, last = 0, b""
        ragged = RaggedRows() if keep_bad else None
        with self._location.open(file) as stream:
            tail = _Tail(stream)
            with pacsv.open_csv(
                pa.PythonFile(tail, mode="r"),
                # Threads would read many blocks ahead, for no gain in time.
                read_options=pacsv.ReadOptions(block_size=block_bytes, use_threads=False),
                parse_options=pacsv.ParseOptions(
                    delimiter=_delimiter(file.name), newlines_in_values=True, invalid_row_handler=ragged
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.binary()), strings_can_be_null=False
                ),
            ) as reader:
                if reader.schema.names != header:
                    raise InvalidInput(f'the header of "{file.name}" is ambiguous: correct its quotes.')
                for batch in reader:
                    yield batch if ragged is None else ragged.put_among(batch)
                    rows += batch.num_rows
                    last = batch.column(len(header) - 1)[-1].as_py() if batch.num_rows else last

                if ragged is not None and ragged.left:
                    yield ragged.put_among(pa.RecordBatch.from_pylist([], schema=reader.schema))

        if tail.is_open_quote(last):
            raise InvalidInput(
                f"{place(file.name, rows - 1)} opens a quote that is never closed: close it; write a quote "
                'inside a cell as "".'
            )

    def _refusal(self, file: SourceFile, width: int, error: pa.ArrowInvalid) -> str:
        with self._location.open(file) as stream:
            return _ragged_row(stream, file.name, width) or (
                f'"{file.name}" cannot be read as CSV ({shortened(str(error), 200)}): check its quotes; '
                f"a row has at most {_MAX_ROW_BYTES // 2**20} MB."
            )


class _Tail(io.RawIOBase):
    """Passes a stream on and remembers its last bytes: pyarrow takes an open quote at the end as closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._last = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._last = (self._last + content[-64:])[-64:]
        return content

    def is_open_quote(self, last_cell: bytes) -> bool:
        """Whether the last cell swallowed lines: one that may hold a line's end has a quote after it."""
        end = self._last.rstrip(b"\r\n")
        return (b"\n" in last_cell or b"\r" in last_cell) and bool(end) and not end.endswith(b'"')


def _without_first(rows: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        left = batch.slice(min(rows, batch.num_rows))
        rows -= batch.num_rows - left.num_rows
        if left.num_rows:
            yield left


def _header(stream: BinaryIO, file: str) -> list[str]:
    start = stream.read(8)
    stream.seek(0)
    with _long_cells():
        header = next(filter(None, _rows_as_text(stream, file)), None)
    if header is None:
        raise InvalidInput(f'"{file}" is empty: a CSV file starts with a line that names its columns.')
    for name in header:
        if "\0" in name or not _is_text(name):
            if named := encoding_of(start):
                raise InvalidInput(f'"{file}" {named}.')
            raise InvalidInput(f'the header of "{file}" is not UTF-8 ({name!a}): convert the file to UTF-8.')
    return header


def _ragged_row(stream: BinaryIO, file: str, width: int) -> str | None:
    """A sentence about the first row that has not as many cells as the header."""
    rows = _rows_as_text(stream, file)
    row, line = -1, 1
    with _long_cells():
        for cells in rows:
            if cells and len(cells) != width:
                return (
                    f"{place(file, row, line)} has {len(cells)} cells where the header has {width}: correct "
                    "the row, or quote the cells that hold a delimiter or a quote."
                )
            row += bool(cells)
            line = rows.line_num + 1
    return None


def _rows_as_text(stream: BinaryIO, file: str) -> CsvRows:
    text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    return csv.reader(text, delimiter=_delimiter(file))


@contextmanager
def _long_cells() -> Iterator[None]:
    """The standard library refuses cells over 128 KB unless told; the setting is the whole process's."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _delimiter(file: str) -> str:
    stem, extension = os.path.splitext(file.lower())
    return "\t" if ".tsv" in (extension, os.path.splitext(stem)[1]) else ","


def _text_schema(header: list[str]) -> pa.Schema:
    return pa.schema([pa.field(name, pa.string()) for name in header])


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
