"""What every source hands over: record batches, or decoded lines, each knowing its place in its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from prefect_llm.documents.columns import Columns
from prefect_llm.documents.listing import LeftOut


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Rows of one file; `first_row` counts from 0 within the file. A column the file lacks is not in it.

    `rows` says how many there are: a record batch without columns does not know. `bad` says of each row why it
    cannot be read, null where it can; `None` where all can.
    """

    record_batch: pa.RecordBatch
    rows: int
    file: str
    first_row: int
    bad: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Lines of one JSON Lines file: the bytes, what they decode to, and their line numbers from 1.

    `bad` says why a line, by its place in the batch, cannot be read; of such a one only what could be read is there.
    """

    lines: list[bytes]
    objects: list[dict[str, Any]]
    numbers: list[int]
    file: str
    first_row: int
    bad: dict[int, str] = field(default_factory=dict)


class AnySource(Protocol):
    """What staging and resuming need of every source; `left_out` are the files of the input that are no documents."""

    name: str
    left_out: tuple[LeftOut, ...]

    def fingerprint(self) -> str:
        """Changes when the source changes; reads no file."""

    def row_count(self) -> int | None:
        """The number of rows where it is known without reading them."""


class ColumnSource(AnySource, Protocol):
    """A source whose columns and types are known before its rows."""

    default_id: str

    @property
    def columns(self) -> Columns:
        """The columns of all files together."""

    def batches(self, columns: Sequence[str], keep_bad: bool = False) -> Iterator[SourceBatch]:
        """All rows in order, with just these columns.

        Raises `InvalidInput` for a row that cannot be read, unless `keep_bad` says to hand it over as such.
        """


def place(file: str, row: int, line: int | None = None) -> str:
    """A row as people count, for the start of a sentence: `Row 17 (line 18) of "reviews.csv"`."""
    counted = f" (line {line})" if line is not None else ""
    return f'Row {row + 1}{counted} of "{file}"'


def shortened(text: str, length: int = 80) -> str:
    """A value for a message: one that is too long is cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
