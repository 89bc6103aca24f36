"""A column of another type in each file: widened where no value is lost, else refused, and only if it is used."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.documents.widening import widened

DAY, INSTANT = dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, 4, 5, 6)
MINUTE = dt.datetime(2026, 1, 2, 3, 4)
NAIVE = [pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")]

WIDENED = [
    (pa.int32(), 2**31 - 1, pa.int64(), 2**63 - 1, pa.int64()),
    (pa.int8(), -1, pa.uint8(), 255, pa.int16()),
    (pa.uint32(), 2**32 - 1, pa.int64(), -(2**63), pa.int64()),
    (pa.uint64(), 2**64 - 1, pa.int64(), -(2**63), pa.decimal128(20, 0)),
    (pa.int16(), 2**15 - 1, pa.float32(), 0.5, pa.float32()),
    (pa.int32(), 2**31 - 1, pa.float32(), 0.5, pa.float64()),
    (pa.int64(), 2**53, pa.float64(), 0.1, pa.float64()),
    (pa.float32(), 0.5, pa.float64(), 0.1, pa.float64()),
    (pa.timestamp("us"), INSTANT, pa.timestamp("ns"), INSTANT, pa.timestamp("ns")),
    (pa.timestamp("us", "UTC"), INSTANT, pa.timestamp("s", "UTC"), MINUTE, pa.timestamp("us", "UTC")),
    (pa.date32(), DAY, pa.timestamp("us"), INSTANT, pa.timestamp("us")),
    (pa.decimal128(5, 2), Decimal("999.99"), pa.decimal128(10, 5), Decimal("0.00001"), pa.decimal128(10, 5)),
    (pa.decimal128(5, 2), Decimal("999.99"), pa.decimal128(4, 4), Decimal("0.0001"), pa.decimal128(7, 4)),
    (pa.int32(), 2**31 - 1, pa.decimal128(4, 2), Decimal("0.01"), pa.decimal128(12, 2)),
    (pa.list_(pa.int32()), [1], pa.large_list(pa.int64()), [2**40], pa.list_(pa.int64())),
    (pa.list_(pa.null()), [None], pa.list_(pa.int64()), [2**40], pa.list_(pa.int64())),
    (pa.struct({"a": pa.null()}), {"a": None}, pa.struct({"a": pa.int32()}), {"a": 1}, pa.struct({"a": pa.int32()})),
    (
        pa.struct({"a": pa.int32()}),
        {"a": 1},
        pa.struct({"b": pa.string(), "a": pa.int64()}),
        {"b": "x", "a": 2},
        pa.struct({"a": pa.int64(), "b": pa.string()}),
    ),
]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("first", "one", "second", "other", "both"), WIDENED, ids=str)
def test_a_type_that_holds_both_files_values_is_found(
    read: Any, parquet: Any, first: Any, one: Any, second: Any, other: Any, both: Any, swapped: bool
) -> None:
    cells = [(first, one), (second, other)]
    for name, (held, value) in zip("ab", reversed(cells) if swapped else cells, strict=True):
        path = parquet(f"in/{name}.parquet", {"x": pa.array([value, None], held)})
    documents = read(path.parent)
    kept = documents.kept.column("x")
    if not swapped:
        assert kept.type == both
    for cell, (held, value) in zip(kept.to_pylist()[::2], reversed(cells) if swapped else cells, strict=True):
        alone = pa.scalar(value, held).as_py()
        said = {name: cell[name] for name in alone} if isinstance(alone, dict) else cell
        assert said == (dt.datetime.combine(alone, dt.time()) if alone == DAY else alone)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([2**53 + 1]), pa.array([0.5])),
        (pa.array([dt.datetime(2300, 1, 1)], pa.timestamp("us")), pa.array([INSTANT], pa.timestamp("ns"))),
        (pa.array([1]), pa.array(["x"])),
        (pa.array([True]), pa.array([1])),
        (pa.array([Decimal("0.1")]), pa.array([0.5])),
        (pa.array([INSTANT], pa.timestamp("us")), pa.array([INSTANT], pa.timestamp("us", "UTC"))),
        (pa.array([[1]]), pa.array([1])),
        (pa.array([{"a": 1}]), pa.array([{"a": "x"}])),
    ],
    ids=str,
)
def test_what_no_type_holds_is_refused_if_it_is_used_and_only_then(
    read: Any, refused: Any, parquet: Any, first: pa.Array, second: pa.Array
) -> None:
    parquet("in/a.parquet", {"text": ["a"], "n": first})
    folder = parquet("in/b.parquet", {"text": ["b"], "n": second}).parent
    text = frozenset({"text"})
    assert [row["text"] for row in read(folder, needed=text, wanted=text, keep="none").fields] == ["a", "b"]
    assert [row["text"] for row in read(folder, needed=text, wanted=text, keep=("text",)).fields] == ["a", "b"]
    for used in ({"keep": "default"}, {"keep": "none"}, {"keep": "none", "wanted": frozenset({"n"})}):
        assert 'the column "n"' in refused(folder, **used)
    assert 'column "n"' in refused(folder, keep="none", wanted=text, id_column="n")


def test_a_name_that_is_there_twice_is_refused_only_if_it_is_used(read: Any, refused: Any, write: Any) -> None:
    path = write("a.csv", "text,n,n\nx,1,2\n")
    assert read(path, wanted=frozenset({"text"}), keep="none").fields[0]["text"] == "x"
    assert 'two columns named "n"' in refused(path)


NUMBERS = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float32(), pa.float64(), pa.decimal128(5, 2), pa.decimal128(18, 9)),
]


@given(st.sampled_from([*NUMBERS, *NAIVE, pa.date32()]), st.sampled_from([*NUMBERS, *NAIVE, pa.date32()]))
def test_the_type_is_the_same_in_either_order_and_holds_itself(one: pa.DataType, other: pa.DataType) -> None:
    both = widened(one, other)
    assert both == widened(other, one)
    assert both is None or widened(both, one) == both


@pytest.mark.parametrize("first", NUMBERS[:8], ids=str)
@pytest.mark.parametrize("second", NUMBERS[:10], ids=str)
def test_integers_and_doubles_widen_as_in_duckdb(
    parquet: Any, tmp_path: Any, first: pa.DataType, second: pa.DataType
) -> None:
    for name, held in (("a", first), ("b", second)):
        parquet(f"{name}.parquet", {"x": pa.nulls(1, held)})
    union = f"from read_parquet(['{tmp_path}/a.parquet', '{tmp_path}/b.parquet'], union_by_name = true)"
    shown = str(duckdb.connect().execute(f"select typeof(x) {union}").fetchall()[0][0])
    ours = {pa.decimal128(20, 0): "HUGEINT", pa.float64(): "DOUBLE", pa.float32(): "FLOAT"}
    names = dict(zip(NUMBERS[:8], duckdb_integers(), strict=True)) | ours
    both = widened(first, second)
    assert both is not None
    # DuckDB rounds a large integer to a FLOAT.
    assert names[both] == shown or (names[both], shown) == ("DOUBLE", "FLOAT")


def duckdb_integers() -> list[str]:
    sizes = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
    return [*sizes, *(f"U{size}" for size in sizes)]
