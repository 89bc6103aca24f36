"""The same values have the same hash, whatever lies around them in memory."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_llm.documents.arrow_types import staged_type
from prefect_llm.documents.content_hash import ContentHash

COLUMNS = {
    "text": pa.array(["ä", None, "", "b"] * 5),
    "bytes": pa.array([b"\x00", None, b"", b"b"] * 5),
    "whole": pa.array([1, None, -3, 0] * 5),
    "real": pa.array([float("nan"), None, 0.5, -0.0] * 5),
    "half": pa.array([1.5, None, 0.5, 0.0] * 5, pa.float16()),
    "flag": pa.array([True, None, False, True] * 5),
    "day": pa.array([dt.date(2026, 1, 1), None] * 10),
    "money": pa.array([Decimal("1.25"), None] * 10, pa.decimal256(40, 2)),
    "span": pa.array([dt.timedelta(1), None] * 10),
    "list": pa.array([["x", None], None, [], ["y"]] * 5),
    "pair": pa.array([[1, 2], None, [3, None], [4, 5]] * 5, pa.list_(pa.int32(), 2)),
    "struct": pa.array([{"a": True, "b": [1]}, None, {"a": None, "b": None}, {"a": False, "b": []}] * 5),
    "map": pa.array([[("a", 1)], None, [], [("b", None), ("c", 2)]] * 5, pa.map_(pa.string(), pa.int64())),
    "deep": pa.array([[{"m": [["x"], None]}], None, [None], []] * 5),
    "null": pa.nulls(20),
    "interval": pa.array([(1, 2, 3), None] * 10, pa.month_day_nano_interval()),
}


def hash_of(column: pa.Array | pa.ChunkedArray) -> str:
    content = ContentHash()
    content.add(pa.table({"column": column}))
    return content.hexdigest()


@pytest.mark.parametrize("name", COLUMNS)
def test_slices_batches_and_leftovers_do_not_count(name: str) -> None:
    column = COLUMNS[name]
    whole = hash_of(column.slice(3, 9))
    apart = pa.chunked_array([column.slice(3, 2), column.slice(5, 0), column.slice(5, 7)])
    rebuilt = pa.array(column.slice(3, 9).to_pylist(), column.type)
    assert {whole, hash_of(apart), hash_of(rebuilt), hash_of(column.take(pa.array(range(3, 12))))} == {whole}


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("interval", "span")])
def test_a_way_through_parquet_does_not_count(name: str, tmp_path: Path) -> None:
    column = COLUMNS[name].cast(staged_type(COLUMNS[name].type))
    found = set()
    for rows in (3, 7, 20):
        pq.write_table(pa.table({"column": column}), tmp_path / "a.parquet", row_group_size=rows)
        found.add(hash_of(pq.read_table(tmp_path / "a.parquet")["column"].cast(column.type)))
    assert found == {hash_of(column)}


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "null"])
def test_each_value_and_each_null_counts(name: str) -> None:
    column = COLUMNS[name]
    indices = [
        list(range(20)),
        [1, 0, *range(2, 20)],
        [*range(10), 11, 10, *range(12, 20)],
        list(range(19)),
        [1] * 20,
    ]
    assert len({hash_of(column.take(pa.array(order))) for order in indices}) == len(indices)


def test_names_types_and_what_is_nested_in_what_count() -> None:
    tables = [
        {"a": ["x", "y"]},
        {"b": ["x", "y"]},
        {"a": [b"x", b"y"]},
        {"a": [["x", "y"], []]},
        {"a": [["x"], ["y"]]},
        {"a": [[["x"], ["y"]], []]},
        {"a": [[["x", "y"]], []]},
        {"a": [{"c": "x"}, {"c": "y"}]},
        {"a": [None, {"c": "x"}]},
        {"a": [{"c": None}, {"c": "x"}]},
        {"a": ["", "xy"]},
    ]
    found = set()
    for columns in tables:
        content = ContentHash()
        content.add(pa.table(columns))
        found.add(content.hexdigest())
    assert len(found) == len(tables)
