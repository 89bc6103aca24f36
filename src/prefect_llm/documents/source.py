"""Opens an input by its kind: a table in memory, or files whose extension says how to read them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from prefect_llm.documents.batches import ColumnSource
from prefect_llm.documents.csv_source import CsvSource
from prefect_llm.documents.json_lines import JsonLinesSource
from prefect_llm.documents.listing import Location, locate
from prefect_llm.documents.parquet import ParquetSource
from prefect_llm.documents.survey import format_of, survey
from prefect_llm.documents.table import TableSource
from prefect_llm.documents.text_folder import TextFolder

Source = ColumnSource | JsonLinesSource

_READERS: dict[str, Callable[[Location], Source]] = {
    "Parquet": ParquetSource,
    "CSV": CsvSource,
    "JSON Lines": JsonLinesSource,
    "JSON": JsonLinesSource,
    "text": TextFolder,
}


def open_source(input: str | os.PathLike[str] | pa.Table) -> Source:
    """The source at a path, folder, glob or fsspec URL, or a `pyarrow.Table`.

    Raises `InvalidInput` where nothing is there, or nothing of a kind that can be read.
    """
    if isinstance(input, pa.Table):
        return TableSource(input)
    location = locate(os.fspath(input))
    found = survey(location)
    return _READERS[found.kind](
        replace(
            location,
            wanted=lambda file: format_of(file.name) == found.kind,
            partitions=found.partitions,
            left_out=found.left_out,
        )
    )
