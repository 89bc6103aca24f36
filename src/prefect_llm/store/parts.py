"""One chunk's rows as one Parquet file, its stats in the file's own metadata.

zstd(1): within a fifth of no compression in time and half its size. Reading stays on the calling thread:
pyarrow 26's pools now and then abort a process that exits right after them (exit code -6).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.schema import add_lacking_columns, lacking_columns
from prefect_llm.system.folders import Folder, LocalFolder
from prefect_llm.values.errors import InvalidInput, reason_of

RESULTS = "results/"
SCHEMA_PART = f"{RESULTS}part-schema.parquet"
"""No rows: makes `results/` readable before the first chunk is done."""
STATS_KEY = "prefect_llm.chunk"
ROW_GROUP_ROWS = 65_536

_PART_NAME = re.compile(rf"{RESULTS}part-([0-9]{{5,18}})\.parquet")


def part_name(chunk: int) -> str:
    """The name of a chunk's part in the run directory: `results/part-00007.parquet`."""
    return f"{RESULTS}part-{chunk:05d}.parquet"


def chunk_of(name: str) -> int | None:
    """The chunk whose part has this name; `None` if it is not the name of a part."""
    match = _PART_NAME.fullmatch(name)
    chunk = int(match[1]) if match else None
    return chunk if chunk is not None and part_name(chunk) == name else None


def encode_part(table: pa.Table, metadata: Mapping[str, str]) -> bytes:
    """The table as a Parquet file that carries `metadata` in its footer.

    A table without rows has no row group: Hugging Face `datasets` refuses one of zero rows.
    """
    sink = pa.BufferOutputStream()
    schema = table.schema.with_metadata(dict(metadata))
    with pq.ParquetWriter(sink, schema, compression="zstd", compression_level=1, write_statistics=True) as writer:
        if table.num_rows:
            writer.write_table(table.replace_schema_metadata(dict(metadata)), row_group_size=ROW_GROUP_ROWS)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def read_part(folder: Folder, name: str, columns: Sequence[str], *, as_written: bool = False) -> pa.Table:
    """Some columns of a part, in the order asked for; the schema's metadata holds the chunk's stats.

    A result column that the run lacks, because an earlier version began it, is null; with `as_written` every column
    is taken from the file. Of a remote file only the footer and these columns are fetched. Raises `InvalidInput` if
    it is not a whole part.
    """
    try:
        with _open(folder, name) as file:
            names = file.schema_arrow.names
            lacking = frozenset() if as_written else lacking_columns(file.schema_arrow).intersection(columns)
            present = [column for column in columns if column not in lacking]
            missing = [column for column in present if column not in names]
            table = None if missing else file.read(columns=present, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(folder, name, error) from error

    if table is None:
        raise InvalidInput(
            f"{folder.url}/{name} has no column {', '.join(map(repr, missing))}: it is not a part of this "
            "run; remove it, and the same command writes it again"
        )

    return add_lacking_columns(table, lacking).select(list(columns))


def read_part_stats(folder: Folder, name: str) -> ChunkStats:
    """The chunk's stats, from the part's footer alone."""
    return stats_in(read_part_schema(folder, name), f"{folder.url}/{name}")


def read_part_schema(folder: Folder, name: str) -> pa.Schema:
    """The part's columns, from its footer alone. `InvalidInput` if it is not a whole part."""
    try:
        with _open(folder, name) as file:
            return file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(folder, name, error) from error


def stats_in(schema: pa.Schema, where: str) -> ChunkStats:
    """The stats in a part's schema metadata; `where` names the file in the refusal."""
    try:
        return ChunkStats.from_json((schema.metadata or {})[STATS_KEY.encode()])
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InvalidInput(
            f"{where} does not carry the figures of its chunk: it is not a part of this run; "
            "remove it, and the same command writes it again"
        ) from error


@contextmanager
def _open(folder: Folder, name: str) -> Iterator[pq.ParquetFile]:
    if isinstance(folder, LocalFolder):
        with pq.ParquetFile(folder.path / name, pre_buffer=False) as file:
            yield file
        return
    filesystem, root = fsspec.core.url_to_fs(folder.url)
    with filesystem.open(f"{root.rstrip('/')}/{name}", "rb") as remote:
        yield pq.ParquetFile(remote, pre_buffer=False)


def _unreadable(folder: Folder, name: str, error: BaseException) -> InvalidInput:
    return InvalidInput(
        f"{folder.url}/{name} cannot be read as a part of this run ({reason_of(error)}): "
        "remove it, and the same command writes it again"
    )
