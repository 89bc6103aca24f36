"""The results of an earlier build are read by this one, and by any reader of Parquet."""

from __future__ import annotations

from typing import Any

import duckdb
import fsspec
from tests.compatibility.conftest import Thawed
from tests.compatibility.frozen import each_frozen, plain

from prefect_llm import read_results


@each_frozen()
def test_any_reader_has_the_rows_of_then(thawed: Thawed) -> None:
    """Arrow and DuckDB read what lies there, before anything of this build has looked at it."""
    assert thawed.rows() == thawed.said["rows"]
    assert sorted(_ids_in_duckdb(thawed)) == sorted(row["id"] for row in thawed.said["rows"])


@each_frozen()
def test_read_results_gives_the_rows_of_then_in_their_order(thawed: Thawed) -> None:
    """By the public name, of finished and of unfinished runs."""
    rows: list[dict[str, Any]] = read_results(thawed.url).to_table().to_pylist()
    assert [plain(row) for row in rows] == thawed.said["rows"]


def _ids_in_duckdb(thawed: Thawed) -> list[str]:
    with duckdb.connect() as connection:
        if thawed.environ is not None:
            connection.register_filesystem(fsspec.filesystem("s3"))
        found = connection.execute(f"SELECT id FROM '{thawed.url}/results/*.parquet'").fetchall()
    return [str(row[0]) for row in found]
