"""The results directory as other programs see it: pyarrow.dataset, DuckDB, Polars and Hugging Face `datasets`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pyarrow.dataset
import pytest

from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.manifest import Manifest
from prefect_llm.store.rows import ResultRow, result_table
from prefect_llm.store.schema import result_schema
from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.price import Price

Rows = list[dict[str, Any]]

OUTPUT = pa.struct([("label", pa.string()), ("parts", pa.list_(pa.struct([("score", pa.float64())])))])
KEPT = pa.table(
    {
        "text": pa.array(["ä\n|", None, "c"], pa.large_string()),
        "whole": pa.array([1, None, -3], pa.int16()),
        "real": pa.array([0.5, None, 1.5], pa.float32()),
        "yes": [True, None, False],
        "day": pa.array([dt.date(2026, 1, 2), None, dt.date(1999, 12, 31)]),
        "at": pa.array([dt.datetime(2026, 1, 2, 3), None, None], pa.timestamp("us", "UTC")),
        "money": pa.array([Decimal("1.25"), None, Decimal("-2.50")], pa.decimal128(12, 2)),
        "tags": pa.array([["x", None], None, []], pa.list_(pa.string())),
        "place": pa.array([{"x": 1, "y": [2]}, None, {"x": None, "y": None}]),
        "group": pa.array(["g", None, "h"]).dictionary_encode(),
    }
)
SCHEMA = result_schema(kept=KEPT.schema, output_type=OUTPUT, keep_raw=True)
PRICE = Price(Decimal("2"), Decimal("8"))


def _arrow(results: Path) -> Rows:
    found: Rows = pyarrow.dataset.dataset(results).to_table().to_pylist()
    return found


def _duckdb(results: Path) -> Rows:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT * FROM '{results}/*.parquet' ORDER BY id")
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _polars(results: Path) -> Rows:
    return polars.read_parquet(results).to_dicts()


def _hugging_face(results: Path) -> Rows:
    datasets = pytest.importorskip("datasets")
    files, cache = f"{results}/*.parquet", str(results.parent / "cache")
    found: Rows = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache).to_list()
    return found


def _columns(results: Path) -> dict[str, list[str]]:
    with duckdb.connect() as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM '{results}/*.parquet'").fetchall()
    return {
        "arrow": pyarrow.dataset.dataset(results).schema.names,
        "duckdb": [row[0] for row in described],
        "polars": polars.scan_parquet(results).collect_schema().names(),
    }


@pytest.fixture
def local(tmp_path: Path, make_manifest: Callable[..., Manifest]) -> RunDirectory:
    directory = RunDirectory.open(str(tmp_path / "run"))
    directory.create(make_manifest())
    directory.write_schema_part(SCHEMA)
    return directory


def _commit(directory: RunDirectory, chunk: int, ids: str) -> None:
    answered = Outcome(
        Completion("Ja", "stop", "m", Usage(3, 1, 2, 0), raw=b"{}"),
        attempts=1,
        latency_ms=1.5,
        started_at_us=1,
        finished_at_us=2,
    )
    failed = Outcome(failure=Failure(ErrorKind.TIMEOUT, "no answer within 120 s"), attempts=5)
    rows = [
        ResultRow(ids[0], "f", "m", answered, Decimal("0.000000000001"), PRICE),
        ResultRow(ids[1], "f", "m", failed, None, PRICE),
        ResultRow(ids[2], "f", "m", answered, None, PRICE, reused=True),
    ]
    output = pa.array([{"label": "spam", "parts": [{"score": 0.5}]}, None, {"label": None, "parts": []}], OUTPUT)
    table = result_table(rows, schema=SCHEMA, run_id="r", kept=KEPT, output=output)
    directory.commit_part(chunk, table, ChunkStats())


@pytest.mark.parametrize("read", [_arrow, _duckdb, _polars])
def test_results_are_empty_with_all_their_columns_before_the_first_part(
    local: RunDirectory, read: Callable[[Path], Rows]
) -> None:
    results = Path(local.results_url)
    assert read(results) == []
    assert set(map(tuple, _columns(results).values())) == {tuple(SCHEMA.names)}


@pytest.mark.parametrize("read", [_arrow, _duckdb, _polars, _hugging_face])
def test_every_reader_sees_the_same_rows_of_every_type(local: RunDirectory, read: Callable[[Path], Rows]) -> None:
    _commit(local, 0, "abc")
    _commit(local, 1, "def")
    rows = read(Path(local.results_url))
    assert [row["id"] for row in rows] == list("abcdef")
    kept = [{name: row[name] for name in KEPT.column_names} for row in rows]
    assert kept == KEPT.to_pylist() * 2
    first, second, third = rows[:3]
    assert first["output"] == {"label": "spam", "parts": [{"score": 0.5}]}
    assert (second["output"], third["output"]) == (None, {"label": None, "parts": []})
    assert [row["cost"] for row in rows[:3]] == [Decimal("0.000000000001"), None, Decimal(0)]
    assert (second["status"], second["error_kind"], second["attempts"]) == ("failed", "timeout", 5)
    assert first["started_at"] == dt.datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)
    assert set(map(tuple, _columns(Path(local.results_url)).values())) == {tuple(SCHEMA.names)}


@pytest.mark.parametrize("split", [{"split": "train"}, {"split": "train", "streaming": True}])
def test_hugging_face_loads_the_directory_by_its_path(local: RunDirectory, split: dict[str, Any]) -> None:
    datasets = pytest.importorskip("datasets")
    _commit(local, 0, "abc")
    cache = str(Path(local.url).parent / "cache")
    assert [row["id"] for row in datasets.load_dataset(local.results_url, cache_dir=cache, **split)] == list("abc")


def test_sql_sums_the_cost_exactly(local: RunDirectory) -> None:
    _commit(local, 0, "abc")
    _commit(local, 1, "def")
    with duckdb.connect() as connection:
        total = connection.execute(f"SELECT sum(cost) FROM '{local.results_url}/*.parquet'").fetchone()
    assert total == (Decimal("0.000000000002"),)
