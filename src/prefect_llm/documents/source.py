"""Opens an input by its kind: a table in memory, or files whose extension says how to read them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from prefect_llm.documents.batches import ColumnSource
from prefect_llm.documents.csv_source import CsvSource
from prefect_llm.documents.json_lines import JsonLinesSource
from prefect_llm.documents.listing import Location, locate
from prefect_llm.documents.parquet import ParquetSource
from prefect_llm.documents.table import TableSource
from prefect_llm.documents.text_folder import TextFolder
from prefect_llm.values.errors import InvalidInput

Source = ColumnSource | JsonLinesSource

_FORMATS = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".csv": "CSV",
    ".tsv": "CSV",
    ".jsonl": "JSON Lines",
    ".ndjson": "JSON Lines",
    ".txt": "text",
    ".md": "text",
}
_READERS: dict[str, Callable[[Location], Source]] = {
    "Parquet": ParquetSource,
    "CSV": CsvSource,
    "JSON Lines": JsonLinesSource,
    "text": TextFolder,
}
_COMPRESSIONS = (".gz", ".bz2", ".xz")
_SUPPORTED = (
    "Parquet (.parquet, .pq), CSV (.csv, .tsv), JSON Lines (.jsonl, .ndjson) and text (.txt, .md); "
    "all but Parquet also as .gz, .bz2 or .xz"
)


def open_source(input: str | os.PathLike[str] | pa.Table) -> Source:
    """The source at a path, folder, glob or fsspec URL, or a `pyarrow.Table`.

    Raises `InvalidInput` where nothing is there, or nothing of a kind that can be read.
    """
    if isinstance(input, pa.Table):
        return TableSource(input)
    location = locate(os.fspath(input))
    found = _format(location)
    return _READERS[found](replace(location, wanted=lambda file: format_of(file.name) == found))


def format_of(path: str) -> str | None:
    """The format a file's extension stands for, `None` for an unknown one."""
    stem, extension = os.path.splitext(path.lower())
    if extension not in _COMPRESSIONS:
        return _FORMATS.get(extension)
    packed = _FORMATS.get(os.path.splitext(stem)[1])
    return None if packed == "Parquet" else packed


def _format(location: Location) -> str:
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    others = 0
    for file in location.files():
        kind = format_of(file.name)
        if kind is None:
            others += 1
            continue
        counts[kind] += 1
        examples.setdefault(kind, file.relative)

    if len(counts) == 1:
        return next(iter(counts))
    if counts:
        found = " and ".join(f'{count} {kind} ("{examples[kind]}")' for kind, count in counts.items())
        raise InvalidInput(
            f'"{location.name}" mixes kinds of files: {found}; name one kind with a glob such as "*.csv".'
        )

    raise InvalidInput(_nothing_readable(location, others))


def _nothing_readable(location: Location, others: int) -> str:
    if location.kind == "file":
        return f'The extension of "{location.name}" cannot be read: rename or convert it to {_SUPPORTED}.'
    if others:
        return f'None of the {others} files of "{location.name}" can be read: supported are {_SUPPORTED}.'
    if location.kind == "glob":
        return f'No file matches "{location.name}": check the pattern of the input.'
    return f'"{location.name}" holds no files: check the path of the input.'
