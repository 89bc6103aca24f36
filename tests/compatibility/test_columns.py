"""A run keeps the columns of the build that began it, so that any reader can read all of `results/` at once."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from tests.compatibility.conftest import Thawed
from tests.compatibility.frozen import each_frozen, frozen_run
from tests.scripted_server import steps

from prefect_llm import read_results

ADDED = "cache_write_tokens"


@each_frozen("resume", "redrive")
def test_parts_written_now_have_the_columns_of_those_written_then(thawed: Thawed, action: str) -> None:
    if thawed.environ is not None:
        pytest.skip("the same code writes there, and these readers look at files")
    results = Path(thawed.url) / "results"
    before = pq.read_schema(results / "part-schema.parquet").remove_metadata()
    ended, _ = thawed.act(action)
    assert ended.status in (0, 4), ended.err
    assert {pq.read_schema(part).remove_metadata() for part in results.glob("*.parquet")} == {before}
    assert (ADDED in before.names) == (thawed.frozen.build != "0.1.0")
    rows = len(thawed.rows())
    assert [_duckdb(results), _polars(results)] == [rows, rows]


@frozen_run("finished")
def test_a_run_of_then_and_one_of_now_are_read_together(thawed: Thawed) -> None:
    """By name, as docs/rows.md says: the column is null where the run has none."""
    thawed.server.script_all(steps.ok(usage=steps.tokens(10, 3, written=5)))
    done = thawed.carry_out(thawed.said["command"], "again")
    assert done.status == 0, done.err
    then, now = thawed.url, str(thawed.folder / "again")
    both = ds.dataset([read_results(then), read_results(now)]).to_table(columns=["run_id", ADDED]).to_pylist()
    files = [f"{each}/results/*.parquet" for each in (then, now)]
    with duckdb.connect() as connection:
        query = f"SELECT run_id, {ADDED} FROM read_parquet({files}, union_by_name = true)"
        assert sorted(map(str, connection.execute(query).fetchall())) == sorted(str((*row.values(),)) for row in both)
    frame = polars.scan_parquet(files[::-1], missing_columns="insert").select("run_id", ADDED).collect()
    assert sorted(map(str, frame.rows())) == sorted(str((*row.values(),)) for row in both)
    assert {row[ADDED] for row in both if row["run_id"] == both[0]["run_id"]} == {None}
    assert {row[ADDED] for row in both if row["run_id"] != both[0]["run_id"]} == {5, 0}  # a repetition costs nothing


@each_frozen()
def test_read_results_has_the_column_in_its_place_as_null(thawed: Thawed) -> None:
    dataset = read_results(thawed.url)
    place = dataset.schema.get_field_index("cached_input_tokens")
    assert dataset.schema.field(place + 1) == pa.field(ADDED, pa.int64())
    assert set(dataset.to_table(columns=[ADDED])[ADDED].to_pylist()) <= {None}


@frozen_run("stopped")
def test_what_was_written_to_a_cache_counts_in_totals_of_a_run_that_has_no_column_for_it(thawed: Thawed) -> None:
    """It is 0 there: the parts do not say."""
    ended, _ = thawed.act("resume")
    assert ended.summary[ADDED] == 0


def _duckdb(results: Path) -> int:
    with duckdb.connect() as connection:
        return len(connection.execute(f"SELECT * FROM '{results}/*.parquet'").fetchall())


def _polars(results: Path) -> int:
    return polars.scan_parquet(results).collect().height
