"""Hive partitions: a folder named `key=value` is a column of the files below it, as DuckDB and Spark read them.

A column that a file has itself goes before its folder's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

_NULL = "__HIVE_DEFAULT_PARTITION__"
# "01" stays text: as a number it would lose its zero.
_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Partitions:
    """The partition columns of all files, in order of first appearance; a file outside one has null there."""

    types: dict[str, pa.DataType] = field(default_factory=dict)

    def extended(self, schema: pa.Schema, path: str) -> pa.Schema:
        """A file's schema with the columns of its folders after its own."""
        own = set(schema.names)
        added = [(key, self.types[key]) for key in _values(path) if key not in own]
        return pa.schema([*schema, *(pa.field(*each) for each in added)]) if added else schema

    def values(self, path: str) -> dict[str, Any]:
        """What the folders of a file say: text, integers and dates."""
        return {key: _typed(value, self.types[key]) for key, value in _values(path).items()} if self.types else {}

    def added(
        self, batch: pa.RecordBatch, rows: int, columns: Sequence[str], own: Sequence[str], path: str
    ) -> pa.RecordBatch:
        """A file's rows with those partition columns among `columns` that are not its `own`."""
        said = {key: value for key, value in self.values(path).items() if key in columns and key not in own}
        if not said:
            return batch
        cells = [pa.repeat(pa.scalar(value, self.types[key]), rows) for key, value in said.items()]
        return pa.record_batch([*batch.columns, *cells], names=[*batch.schema.names, *said])


NO_PARTITIONS = Partitions()


class PartitionTypes:
    """Finds one type for every key, over all files: int64, date32, else text."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {}
        self._last_folder = ""

    def see(self, path: str) -> None:
        """Note the folders of a file."""
        folder = path.rpartition("/")[0]
        if folder == self._last_folder:
            return
        self._last_folder = folder
        for key, value in _values(path).items():
            self._seen.setdefault(key, set()).update(() if value is None else (value,))

    def found(self) -> Partitions:
        """The columns, once all files were seen."""
        return Partitions({key: _type(values) for key, values in self._seen.items()})


def _values(path: str) -> dict[str, str | None]:
    pairs = (folder.partition("=") for folder in path.split("/")[:-1])
    # Every document has an id of its own: no folder gives it.
    return {unquote(key): _value(value) for key, equals, value in pairs if equals and key not in ("", "id")}


def _value(text: str) -> str | None:
    return None if text == _NULL else unquote(text)


def _type(values: Iterable[str]) -> pa.DataType:
    seen = list(values)
    if seen and all(map(_INTEGER.fullmatch, seen)):
        return pa.int64()
    return pa.date32() if seen and all(map(_is_date, seen)) else pa.string()


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _typed(text: str | None, type: pa.DataType) -> Any:
    if text is None or pa.types.is_string(type):
        return text
    return int(text) if pa.types.is_integer(type) else date.fromisoformat(text)
