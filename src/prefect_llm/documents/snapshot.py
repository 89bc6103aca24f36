"""The staged input of a run: small enough for the manifest, and read back one chunk at a time."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa

from prefect_llm.documents.arrow_types import Unreadable, json_text, python_values, to_result
from prefect_llm.documents.chunk_files import read_table
from prefect_llm.documents.columns import KeptColumn
from prefect_llm.documents.identifiers import IdRegister
from prefect_llm.documents.json_lines import decode_line
from prefect_llm.documents.listing import LeftOut
from prefect_llm.system.folders import Folder
from prefect_llm.values.errors import BadDocument
from prefect_llm.values.formatting import one_line

_ROWS_AT_ONCE = 128
"""Decoded together: a cell alone costs ten times as much, a whole chunk of long texts too much memory."""

Form = Literal["columns", "lines"]


@dataclass(frozen=True, slots=True)
class Staged:
    """What staging found out about the columns; `register` is `None` where rows are numbered."""

    form: Form
    kept: tuple[KeptColumn, ...]
    prompt: tuple[str, ...]
    has_id: bool
    register: IdRegister | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The staged input. `prompt` are the columns that templates see, `has_id` says that one is named `id`.

    `source_fingerprint` tells versions of the source's files apart, `content_fingerprint` the documents staged of
    them: `None` in a run of an earlier version. `left_out` are the files of the source that are no documents. With
    `has_bad` the last column of each chunk says why a row could not be read.
    """

    rows: int
    chunks: int
    chunk_rows: int
    source: str
    source_fingerprint: str
    form: Form
    kept: tuple[KeptColumn, ...]
    prompt: tuple[str, ...]
    has_id: bool
    left_out: tuple[LeftOut, ...] = ()
    content_fingerprint: str | None = None
    has_bad: bool = False

    @property
    def kept_schema(self) -> pa.Schema:
        """The kept columns as the results hold them."""
        return pa.schema([pa.field(column.name, column.type) for column in self.kept])

    def chunk_length(self, chunk: int) -> int:
        """How many documents a chunk has."""
        return min(self.chunk_rows, self.rows - chunk * self.chunk_rows)

    def to_json(self) -> dict[str, Any]:
        """For the manifest; Arrow types travel as a serialised schema."""
        return {
            "rows": self.rows,
            "chunks": self.chunks,
            "chunk_rows": self.chunk_rows,
            "source": self.source,
            "source_fingerprint": self.source_fingerprint,
            "content_fingerprint": self.content_fingerprint,
            "form": self.form,
            "kept": [{"column": kept.column, "name": kept.name, "as_json": kept.as_json} for kept in self.kept],
            "kept_types": base64.b64encode(self.kept_schema.serialize().to_pybytes()).decode(),
            "prompt": list(self.prompt),
            "has_id": self.has_id,
            "left_out": [asdict(each) for each in self.left_out],
            "has_bad": self.has_bad,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Snapshot:
        """The reverse of `to_json`."""
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(content["kept_types"])))
        kept = tuple(
            KeptColumn(each["column"], each["name"], held, each["as_json"])
            for each, held in zip(content["kept"], schema.types, strict=True)
        )
        same = ("rows", "chunks", "chunk_rows", "source", "source_fingerprint", "form", "has_id")
        staged = {name: content[name] for name in same}
        # Runs of earlier versions did not note these.
        left_out = tuple(LeftOut(**each) for each in content.get("left_out", ()))
        staged |= {"left_out": left_out, "content_fingerprint": content.get("content_fingerprint")}
        staged["has_bad"] = content.get("has_bad", False)
        return cls(kept=kept, prompt=tuple(content["prompt"]), **staged)


@dataclass(frozen=True, slots=True)
class StagedChunk:
    """A chunk's documents, in the order of the input."""

    ids: list[str]
    kept: pa.Table
    _fields: Callable[[int], dict[str, Any]]

    def fields(self, row: int) -> dict[str, Any]:
        """What templates see of one document, by the source's own names.

        Raises `BadDocument` for a cell that has no Python value.
        """
        return self._fields(row)


def read_chunk(folder: Folder, snapshot: Snapshot, chunk: int) -> StagedChunk:
    """The chunk with this number, from 0; `FileNotFoundError` where its file is gone."""
    table = read_table(folder, chunk)
    ids: list[str] = table.column(0).to_pylist()
    if snapshot.has_bad:
        reasons = table.column(-1).to_pylist()
        table = table.remove_column(table.num_columns - 1)
        return _failing(_staged_chunk(table, ids, snapshot), reasons)
    return _staged_chunk(table, ids, snapshot)


def _failing(chunk: StagedChunk, reasons: list[str | None]) -> StagedChunk:
    """The chunk, of which rows with a reason make no request."""

    def fields(row: int) -> dict[str, Any]:
        reason = reasons[row]
        if reason is not None:
            raise BadDocument(one_line(reason))
        return chunk.fields(row)

    return StagedChunk(chunk.ids, chunk.kept, fields)


def _staged_chunk(table: pa.Table, ids: list[str], snapshot: Snapshot) -> StagedChunk:
    if snapshot.form == "lines":
        return _of_lines(table.column(1).to_pylist(), ids, snapshot)
    places = {name: place for place, name in enumerate(table.schema.names) if place > 0}
    kept = [to_result(table.column(places[each.column]), each.type, as_json=each.as_json) for each in snapshot.kept]
    columns = {name: table.column(places[name]) for name in snapshot.prompt}
    reader = _RowReader(ids, columns, has_id=snapshot.has_id)
    return StagedChunk(ids, pa.table(kept, schema=snapshot.kept_schema), reader.fields)


def _of_lines(lines: list[bytes], ids: list[str], snapshot: Snapshot) -> StagedChunk:
    rows = [decode_line(line) for line in lines] if snapshot.kept else []
    kept = [_cells([row.get(kept.column) for row in rows], kept) for kept in snapshot.kept]
    absent = dict.fromkeys(snapshot.prompt)

    def fields(row: int) -> dict[str, Any]:
        cells = decode_line(lines[row])
        seen = {name: cells.get(name) for name in absent}
        if not snapshot.has_id:
            seen["id"] = ids[row]
        return seen

    return StagedChunk(ids, pa.table(kept, schema=snapshot.kept_schema), fields)


def _cells(values: list[Any], kept: KeptColumn) -> pa.Array:
    return pa.array([json_text(value) for value in values] if kept.as_json else values, kept.type)


class _RowReader:
    """Decodes rows of columns, a block at a time; the last block is remembered."""

    def __init__(self, ids: list[str], columns: dict[str, pa.ChunkedArray], *, has_id: bool) -> None:
        self._ids = ids
        self._columns = columns
        self._has_id = has_id
        self._block: tuple[int, list[dict[str, Any]]] = (-1, [])

    def fields(self, row: int) -> dict[str, Any]:
        """One row; a new dict that the caller may change."""
        number, place = divmod(row, _ROWS_AT_ONCE)
        if self._block[0] != number:
            self._block = (number, self._decoded(number * _ROWS_AT_ONCE))
        fields = self._block[1][place].copy()
        for name, value in fields.items():
            if type(value) is Unreadable:
                raise BadDocument(f'the field "{name}" cannot be read: {value.reason}')
        return fields

    def _decoded(self, start: int) -> list[dict[str, Any]]:
        ids = self._ids[start : start + _ROWS_AT_ONCE]
        cells = {} if self._has_id else {"id": ids}
        for name, column in self._columns.items():
            values = python_values(column.slice(start, len(ids)))
            cells[name] = [_as_sent(value) for value in values] if name == "messages" else values
        if not cells:
            return [{} for _ in ids]
        return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def _as_sent(value: Any) -> Any:
    """Messages without the nulls of fields that only other messages have: an API refuses `"name": null`."""
    if isinstance(value, list):
        return [_as_sent(each) for each in value]
    if isinstance(value, dict):
        return {name: _as_sent(each) for name, each in value.items() if each is not None or name == "content"}
    return value
