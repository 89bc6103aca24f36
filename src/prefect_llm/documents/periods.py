"""pandas' periods as the text that pandas prints: in Arrow they are numbers, of months for a month."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

_EXTENSION = "pandas.period"

_EPOCH = date(1970, 1, 1)
_TEXTS: dict[str, Callable[[int], str]] = {
    "Y": lambda number: f"{1970 + number:04d}",
    "Q": lambda number: f"{1970 + number // 4:04d}Q{number % 4 + 1}",
    "M": lambda number: f"{1970 + number // 12:04d}-{number % 12 + 1:02d}",
    "W": lambda number: f"{_week(number)}/{_week(number) + timedelta(days=6)}",
    "D": lambda number: str(_EPOCH + timedelta(days=number)),
    "h": lambda number: _moment(timedelta(hours=number)).isoformat(" ", "minutes"),
    "min": lambda number: _moment(timedelta(minutes=number)).isoformat(" ", "minutes"),
    "s": lambda number: _moment(timedelta(seconds=number)).isoformat(" ", "seconds"),
}
_OTHER_NAMES = {"Y-DEC": "Y", "A": "Y", "A-DEC": "Y", "Q-DEC": "Q", "W-SUN": "W", "H": "h", "T": "min", "S": "s"}


def frequency_of(field: pa.Field) -> str | None:
    """The frequency of a column of periods, `None` for any other column; pandas may be loaded or not."""
    held = field.type
    if isinstance(held, pa.BaseExtensionType):
        return str(held.freq) if held.extension_name == _EXTENSION else None
    said = field.metadata or {}
    if said.get(b"ARROW:extension:name") != _EXTENSION.encode():
        return None
    return str(json.loads(said.get(b"ARROW:extension:metadata", b"{}")).get("freq", ""))


def with_texts(schema: pa.Schema) -> pa.Schema:
    """The schema in which columns of periods are text; those of a frequency that is not known stay as they are."""
    return pa.schema([pa.field(field.name, pa.string()) if _text_of(field) else field for field in schema])


def texts_in(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The rows with periods as text; `schema` is the one that they were written with."""
    texts = {field.name: text for field in schema if (text := _text_of(field)) is not None}
    if texts.keys().isdisjoint(batch.schema.names):
        return batch
    columns = [
        _texts(column, texts[name]) if name in texts else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.record_batch(columns, names=batch.schema.names)


def _text_of(field: pa.Field) -> Callable[[int], str] | None:
    frequency = frequency_of(field)
    return None if frequency is None else _TEXTS.get(_OTHER_NAMES.get(frequency, frequency))


def _texts(column: pa.Array, text: Callable[[int], str]) -> pa.Array:
    numbers: list[Any] = (column.storage if isinstance(column, pa.ExtensionArray) else column).to_pylist()
    return pa.array([None if number is None else text(number) for number in numbers], pa.string())


def _week(number: int) -> date:
    """The Monday of a week that ends on Sunday."""
    return _EPOCH + timedelta(days=7 * (number - 1) - 3)


def _moment(since: timedelta) -> datetime:
    return datetime(1970, 1, 1) + since
