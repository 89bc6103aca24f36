"""Refuses folders that a table format keeps: their Parquet files also hold deleted and replaced rows."""

from __future__ import annotations

from collections.abc import Iterable

import fsspec

from prefect_llm.system.folders import store_errors
from prefect_llm.values.errors import InvalidInput

_LOGS = {"_delta_log": "a Delta", ".hoodie": "a Hudi", "_versions": "a Lance"}
"""The folder that makes the one above it a table."""
_ICEBERG = ("metadata", ".metadata.json")
_REMEDIES = {
    "a Delta": "deltalake's DeltaTable(...).to_pyarrow_table() or DuckDB's delta_scan(...)",
    "an Iceberg": "pyiceberg's table.scan().to_arrow() or DuckDB's iceberg_scan(...)",
    "a Hudi": "Spark's spark.read.format('hudi')",
    "a Lance": "lance.dataset(...).to_table()",
}


def table_of(path: str) -> tuple[str, str] | None:
    """The kind of table whose log this path is part of, and the table's folder."""
    parts = path.split("/")
    for place, part in enumerate(parts):
        if part in _LOGS and place < len(parts) - 1:
            return _LOGS[part], "/".join(parts[:place])
    folder, extension = _ICEBERG
    if parts[-1].endswith(extension) and parts[-2:-1] == [folder]:
        return "an Iceberg", "/".join(parts[:-2])
    return None


def table_above(filesystem: fsspec.AbstractFileSystem, folders: Iterable[str]) -> tuple[str, str] | None:
    """The first of these folders, or of those above them, that is a table, after its kind."""
    seen: set[str] = set()
    for folder in folders:
        while folder.strip("/") and folder not in seen:
            seen.add(folder)
            kind = _kind_of(filesystem, folder)
            if kind is not None:
                return kind, folder
            folder = folder.rpartition("/")[0]
    return None


def refuse_table(kind: str, folder: str, root: str, input: str) -> None:
    """Raises `InvalidInput` with what to do instead; the table lies in `folder`, the input called so at `root`."""
    where = f'"{input}" is'
    if folder != root:
        where = f'"{input}" {"holds" if folder.startswith(f"{root}/") else "belongs to"} "{folder}",'
    raise InvalidInput(
        f"{where} {kind} table, whose files also hold deleted and replaced rows: write its current rows to a Parquet "
        f"file outside it, with {_REMEDIES[kind]}, and give that file."
    )


def _kind_of(filesystem: fsspec.AbstractFileSystem, folder: str) -> str | None:
    # A table's own folders named key=value hold no log.
    if "=" in folder.rpartition("/")[2]:
        return None
    for name, kind in _LOGS.items():
        if _names(filesystem, f"{folder}/{name}"):
            return kind
    name, extension = _ICEBERG
    found = any(path.endswith(extension) for path in _names(filesystem, f"{folder}/{name}"))
    return "an Iceberg" if found else None


def _names(filesystem: fsspec.AbstractFileSystem, folder: str) -> list[str]:
    """What lies in a folder; nothing where it is absent, or where this process may not look."""
    try:
        return [str(path) for path in filesystem.ls(folder, detail=False)]
    except _unseen():
        return []


def _unseen() -> tuple[type[Exception], ...]:
    return (OSError, NotImplementedError, *store_errors())
