"""What every source hands over: record batches, or decoded lines, each knowing its place in its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from prefect_llm.documents.columns import Columns
from prefect_llm.documents.listing import LeftOut


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Rows of one file; `first_row` counts from 0 within the file. A column the file lacks is not in it.

    `rows` says how many there are: a record batch without columns does not know.
    """

    record_batch: pa.RecordBatch
    rows: int
    file: str
    first_row: int


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Lines of one JSON Lines file: the bytes, what they decode to, and their line numbers from 1."""

    lines: list[bytes]
    objects: list[dict[str, Any]]
    numbers: list[int]
    file: str
    first_row: int


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

    def batches(self, columns: Sequence[str]) -> Iterator[SourceBatch]:
        """All rows in order, with just these columns."""


def place(file: str, row: int, line: int | None = None) -> str:
    """A row as people count, for the start of a sentence: `Row 17 (line 18) of "reviews.csv"`."""
    counted = f" (line {line})" if line is not None else ""
    return f'Row {row + 1}{counted} of "{file}"'


def shortened(text: str, length: int = 80) -> str:
    """A value for a message: one that is too long is cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
