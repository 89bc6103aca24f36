"""A run's results as one `pyarrow.dataset`, to work with the answers in Python."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds

from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.finding import find_runs
from prefect_llm.store.manifest import Manifest
from prefect_llm.store.parts import SCHEMA_PART, part_name
from prefect_llm.store.schema import with_lacking_columns
from prefect_llm.system.folders import LocalFolder
from prefect_llm.values.errors import InvalidInput, reason_of

logger = logging.getLogger(__name__)


def read_results(path: str | os.PathLike[str]) -> ds.Dataset:
    """The results of the run in a directory, or of the newest complete run below it. Rows are in input order.

    `path` is local or an fsspec URL. Runs are looked for at most four levels down; the one begun last counts. Given
    an unfinished run's own directory, the rows of its finished chunks are read. Raises `InvalidInput` if there is no
    such run.
    """
    where = os.fspath(path)
    try:
        directory, manifest = find_run(where)
        return _dataset(directory, manifest)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(
            f"the results in {where} cannot be read ({reason_of(error)}): "
            "give a run directory that this process may read"
        ) from error


def find_run(where: str) -> tuple[RunDirectory, Manifest]:
    """The run in a directory, or the newest complete one below it. Raises `InvalidInput` if there is none."""
    directory = RunDirectory.open(where)
    manifest = directory.manifest()
    return _newest_below(where) if manifest is None else (directory, manifest)


def _newest_below(base: str) -> tuple[RunDirectory, Manifest]:
    try:
        runs = find_runs(base)
    except FileNotFoundError as error:
        raise InvalidInput(f"there is no directory {base}: give that of a run, or one with runs below it") from error
    except NotADirectoryError as error:
        raise InvalidInput(f"{base} is a file: give the directory of a run, or one with runs below it") from error

    if not runs:
        raise InvalidInput(
            f"{base} is no run directory and has none below it: give the output of a run, or a directory above it"
        )

    complete = [run for run in runs if run[1].state == "completed"]
    if not complete:
        raise InvalidInput(
            f"{base} has unfinished runs only ({_states(runs)}): finish one with `prefect-llm resume`, or give the "
            "directory of a run to read what it has so far"
        )

    return max(complete, key=lambda run: run[1].created_at)


def _states(runs: Sequence[tuple[RunDirectory, Manifest]]) -> str:
    directory, newest = max(runs, key=lambda run: run[1].created_at)
    return f"{len(runs):,} in all; the newest, {directory.url}, is {newest.state}"


def _dataset(directory: RunDirectory, manifest: Manifest) -> ds.Dataset:
    chunks = sorted(directory.complete_chunks())
    if not chunks and SCHEMA_PART not in directory.folder.names("results"):
        raise InvalidInput(
            f"{directory.url} holds a run that has no results yet: finish it with `prefect-llm resume`"
        )
    if len(chunks) < manifest.chunks:
        logger.warning(
            "%s is not finished: %d of its %d chunks are read", directory.url, len(chunks), manifest.chunks
        )

    names = [SCHEMA_PART, *map(part_name, chunks)]
    if isinstance(directory.folder, LocalFolder):
        filesystem, paths = None, [str(directory.folder.path / name) for name in names]
    else:
        filesystem, root = fsspec.core.url_to_fs(directory.url)
        paths = [f"{root.rstrip('/')}/{name}" for name in names]

    # without metadata: that of the first part holds the stats of one chunk, not of the run
    schema = with_lacking_columns(ds.dataset(paths[0], filesystem=filesystem, format="parquet").schema)
    return ds.dataset(paths, schema=schema.remove_metadata(), filesystem=filesystem, format="parquet")
