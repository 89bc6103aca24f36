from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.parts import (
    STATS_KEY,
    chunk_of,
    encode_part,
    part_name,
    read_part,
    read_part_stats,
    stats_in,
)
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.tally import RequestTally

STATS = ChunkStats(RequestTally(3, 1), seconds=0.5)
TABLE = pa.table({"id": ["a", "b"], "cost": [1, 2], "a": [3, 4], "a.b": ["x", "y"]})


@pytest.mark.parametrize(
    ("chunk", "name"),
    [
        (0, "results/part-00000.parquet"),
        (7, "results/part-00007.parquet"),
        (123456, "results/part-123456.parquet"),
    ],
)
def test_a_chunk_and_the_name_of_its_part_are_the_same_thing(chunk: int, name: str) -> None:
    assert part_name(chunk) == name
    assert chunk_of(name) == chunk


@pytest.mark.parametrize(
    "name",
    [
        "results/part-schema.parquet",
        "results/part-7.parquet",
        "results/part-000007.parquet",
        "results/part-00007.parquet.crc",
        "results/old/part-00007.parquet",
        "results/part-٠٠٠٠٧.parquet",
        "part-00007.parquet",
    ],
)
def test_any_other_name_is_no_parts(name: str) -> None:
    assert chunk_of(name) is None


def test_a_part_is_compressed_with_statistics_and_row_groups_of_bounded_size() -> None:
    table = pa.table({"id": [f"{row:06d}" for row in range(70_000)]})
    file = pq.ParquetFile(io.BytesIO(encode_part(table, {"k": "v"})))
    assert file.metadata.num_row_groups == 2
    column = file.metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"
    assert (column.statistics.min, column.statistics.max) == ("000000", "065535")
    assert file.metadata.metadata[b"k"] == b"v"
    assert file.read().equals(table)


def test_a_part_without_rows_has_no_row_group_and_is_read_like_any_other(directory: RunDirectory) -> None:
    content = encode_part(TABLE.schema.empty_table(), {STATS_KEY: STATS.to_json()})
    assert pq.ParquetFile(io.BytesIO(content)).metadata.num_row_groups == 0
    directory.folder.write("p", content)
    assert read_part(directory.folder, "p", ["id", "cost"]).equals(TABLE.select(["id", "cost"]).slice(0, 0))
    assert read_part_stats(directory.folder, "p") == STATS


def test_columns_come_in_the_order_asked_for_with_the_chunks_figures(directory: RunDirectory) -> None:
    directory.folder.write("p", encode_part(TABLE, {STATS_KEY: STATS.to_json()}))
    table = read_part(directory.folder, "p", ["cost", "a", "id"])
    assert table.equals(TABLE.select(["cost", "a", "id"]))
    assert read_part(directory.folder, "p", ["a.b"]).equals(TABLE.select(["a.b"]))
    assert stats_in(table.schema, "p") == STATS
    assert read_part_stats(directory.folder, "p") == STATS


def test_a_file_without_figures_or_without_a_column_is_not_ours(directory: RunDirectory) -> None:
    directory.folder.write("p", encode_part(TABLE, {}))
    with pytest.raises(InvalidInput, match=r"/p does not carry the figures of its chunk"):
        read_part_stats(directory.folder, "p")
    with pytest.raises(InvalidInput, match=r"/p has no column 'status', 'run_id': it is not a part"):
        read_part(directory.folder, "p", ["id", "status", "run_id"])
    directory.folder.write("p", encode_part(TABLE, {STATS_KEY: '{"requests": 1}'}))
    with pytest.raises(InvalidInput, match=r"/p does not carry the figures of its chunk"):
        read_part_stats(directory.folder, "p")


def test_a_truncated_or_foreign_file_is_reported_by_its_name(directory: RunDirectory) -> None:
    whole = encode_part(TABLE, {STATS_KEY: STATS.to_json()})
    damaged = bytearray(whole)
    damaged[10:60] = bytes(50)
    for content in (b"", b"PAR1", whole[:-20], whole[20:], b"not parquet at all", bytes(damaged)):
        directory.folder.write("p", content)
        with pytest.raises(InvalidInput, match=r"/p cannot be read as a part of this run \("):
            read_part(directory.folder, "p", TABLE.column_names)
    directory.folder.remove("p")
    with pytest.raises(InvalidInput, match=r"/p cannot be read as a part of this run \("):
        read_part_stats(directory.folder, "p")
