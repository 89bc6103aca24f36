"""What three Parquet readers see of a run's results, and whether it is some whole chunks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import fsspec
import polars
import pyarrow.dataset

Ids = list[str]


def ids_in(output: str) -> Ids:
    """The ids in `results/` as pyarrow sees them where they lie; none before there is a directory."""
    filesystem, root = fsspec.core.url_to_fs(f"{output}/results")
    filesystem.invalidate_cache()
    if not filesystem.exists(root):
        return []
    return _by_pyarrow(root, filesystem)


def faults_in(output: str, rows: int, chunk_rows: int) -> list[str]:
    """A line for each reader that fails, or sees rows twice, half a chunk, or other rows than pyarrow does.

    DuckDB and Polars read a copy where the results are on an object store.
    """
    filesystem, root = fsspec.core.url_to_fs(f"{output}/results")
    filesystem.invalidate_cache()
    if not filesystem.exists(root):
        return []
    with tempfile.TemporaryDirectory() as copy:
        local = root
        if not Path(root).exists():
            local = f"{copy}/results"
            filesystem.get(root, local, recursive=True)
        readers: dict[str, Callable[[], Ids]] = {
            "pyarrow": lambda: _by_pyarrow(root, filesystem),
            "DuckDB": lambda: _by_duckdb(local),
            "Polars": lambda: polars.read_parquet(local)["id"].to_list(),
        }
        seen, faults = _seen(readers)
    faults += [f"{reader}: not whole chunks" for reader, ids in seen.items() if not _whole(ids, rows, chunk_rows)]
    if len({tuple(sorted(ids)) for ids in seen.values()}) > 1:
        faults.append(f"the readers differ: {', '.join(f'{reader} {len(ids)}' for reader, ids in seen.items())}")
    return faults


def _seen(readers: dict[str, Callable[[], Ids]]) -> tuple[dict[str, Ids], list[str]]:
    seen, faults = {}, []
    for reader, read in readers.items():
        try:
            seen[reader] = read()
        except Exception as error:  # each library has errors of its own
            faults.append(f"{reader}: {type(error).__name__}: {error}")
    return seen, faults


def _by_pyarrow(root: str, filesystem: fsspec.AbstractFileSystem) -> Ids:
    ids: Ids = pyarrow.dataset.dataset(root, filesystem=filesystem).to_table(["id"])["id"].to_pylist()
    return ids


def _by_duckdb(folder: str) -> Ids:
    with duckdb.connect() as connection:
        return [row[0] for row in connection.execute(f"SELECT id FROM '{folder}/*.parquet'").fetchall()]


def _whole(ids: Ids, rows: int, chunk_rows: int) -> bool:
    """Ids are row numbers: every chunk that is there is there with all its rows, once."""
    chunks = {int(each) // chunk_rows for each in ids}
    expected = (range(chunk * chunk_rows, min((chunk + 1) * chunk_rows, rows)) for chunk in sorted(chunks))
    return sorted(map(int, ids)) == [row for chunk in expected for row in chunk]
