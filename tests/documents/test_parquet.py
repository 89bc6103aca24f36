from __future__ import annotations

import datetime
import decimal
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_llm.documents import Staging, open_source, stage
from prefect_llm.system.folders import open_folder


def test_types_are_kept_and_templates_see_python_values(read: Any, parquet: Any) -> None:
    columns = {
        "id": [2, 1],
        "when": pa.array([1_001, None], pa.timestamp("ns", "UTC")),
        "price": pa.array([decimal.Decimal("1.50"), None]),
        "tags": [["a"], None],
        "kind": pa.array(["x", "y"]).dictionary_encode(),
        "nested": [{"a": 1, "b": [{"c": "d"}]}, None],
        "large": pa.array(["t", "u"], pa.large_string()),
    }
    documents = read(parquet("a.parquet", columns), chunk_rows=1)
    assert documents.ids == ["2", "1"]
    types = {field.name: field.type for field in documents.kept.schema}
    assert types["when"] == pa.timestamp("ns", "UTC")
    assert types["price"] == pa.decimal128(3, 2)
    assert types["tags"] == pa.list_(pa.string())
    assert types["kind"] == pa.dictionary(pa.int32(), pa.string())
    assert types["nested"] == pa.struct([("a", pa.int64()), ("b", pa.list_(pa.struct([("c", pa.string())])))])
    assert types["large"] == pa.string()
    assert documents.kept.column("kind").to_pylist() == ["x", "y"]
    assert documents.fields[0] == {
        "id": 2,
        "when": datetime.datetime(1970, 1, 1, microsecond=1, tzinfo=datetime.UTC),
        "price": decimal.Decimal("1.50"),
        "tags": ["a"],
        "kind": "x",
        "nested": {"a": 1, "b": [{"c": "d"}]},
        "large": "t",
    }


def test_row_groups_and_chunks_need_not_agree(read: Any, parquet: Any) -> None:
    path = parquet("a.parquet", {"id": list(range(1_000)), "text": ["x"] * 1_000}, row_group_size=7)
    documents = read(path, chunk_rows=300)
    assert documents.ids == [str(row) for row in range(1_000)]
    assert documents.snapshot.chunks == 4


def test_a_folder_is_read_in_path_order_and_absent_columns_are_null(read: Any, parquet: Any) -> None:
    parquet("in/b/1.parquet", {"id": [3], "y": [1.5]})
    parquet("in/b.parquet", {"id": [2], "x": pa.nulls(1)})
    parquet("in/_temporary/c.parquet", {"id": [9]})
    parquet("in/.hidden.parquet", {"id": [8]})
    path = parquet("in/a.parquet", {"id": [1], "x": ["one"]}).parent
    documents = read(path)
    assert documents.ids == ["1", "2", "3"]
    assert documents.fields == [
        {"id": 1, "x": "one", "y": None},
        {"id": 2, "x": None, "y": None},
        {"id": 3, "x": None, "y": 1.5},
    ]


def test_files_that_disagree_on_a_type_are_refused_by_file_and_column(refused: Any, parquet: Any) -> None:
    first = parquet("in/a.parquet", {"id": [1], "n": [1]})
    second = parquet("in/b.parquet", {"id": [2], "n": ["x"]})
    assert refused(first.parent).startswith(f'the column "n" is string in "{second}" but int64 in "{first}"')


def test_string_types_of_different_writers_agree(read: Any, parquet: Any) -> None:
    parquet("in/a.parquet", {"id": ["a"]})
    parquet("in/b.parquet", {"id": pa.array(["b"], pa.large_string())})
    path = parquet("in/c.parquet", {"id": pa.array(["c"]).dictionary_encode()}).parent
    assert read(path).ids == ["a", "b", "c"]


def test_binary_columns_are_kept_only_by_name(read: Any, refused: Any, parquet: Any) -> None:
    path = parquet("a.parquet", {"id": ["a"], "raw": [b"\xff"], "image": [{"bytes": b"x", "path": "p"}]})
    assert read(path).kept.column_names == ["id"]
    assert read(path).fields == [{"id": "a"}]
    assert read(path, keep=("raw",)).kept.to_pylist() == [{"raw": b"\xff"}]
    assert read(path, keep="all").kept.column_names == ["id", "raw", "image"]
    assert 'uses the column "raw"' in refused(path, needed=frozenset({"raw"}), wanted=frozenset({"raw"}))
    assert 'uses the column "image"' in refused(path, wanted=frozenset({"image"}))


def test_only_used_columns_are_staged(read: Any, parquet: Any, folder: Any) -> None:
    path = parquet("a.parquet", {"key": ["k"], "a": ["x"], "a.b": ["y"], "c": [{"d": 1}]})
    documents = read(path, id_column="key", keep="none", wanted=frozenset({"a"}))
    assert documents.ids == ["k"]
    assert documents.fields == [{"a": "x", "id": "k"}]
    staged = pa.ipc.open_file(folder.read("_run/input/chunk-00000.arrow")).read_all()
    assert staged.column_names == ["id", "a"]


def test_a_prompt_without_fields_needs_no_column(read: Any, parquet: Any) -> None:
    path = parquet("a.parquet", {"id": ["a", "b"], "x": [1, 2]})
    assert read(path, keep="none", wanted=frozenset()).fields == [{}, {}]
    path = parquet("b.parquet", {"x": [1, 2]})
    documents = read(path, keep="none", wanted=frozenset())
    assert documents.fields == [{"id": "0"}, {"id": "1"}]
    assert documents.kept.num_columns == 0


def test_messages_lose_the_nulls_of_other_messages_fields(read: Any, parquet: Any) -> None:
    messages = [
        [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "t"}]},
        ],
        None,
    ]
    documents = read(parquet("a.parquet", {"messages": messages}), keep="none")
    assert [row["messages"] for row in documents.fields] == messages


def test_messages_may_be_json_text(read: Any, parquet: Any) -> None:
    assert read(parquet("a.parquet", {"messages": ["[]"]})).fields[0]["messages"] == "[]"


def test_undecodable_text_is_refused_by_row_and_column(refused: Any, parquet: Any) -> None:
    broken = pa.array([b"x"] * 40_000 + [b"\xe9"]).view(pa.string())
    path = parquet("a.parquet", {"text": broken}, row_group_size=1_000)
    assert refused(path).startswith(f'Row 40001 of "{path}": the column "text" is not UTF-8 text')


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing", b"x" * 1_000])
def test_a_file_that_is_no_parquet_is_refused_by_name(refused: Any, write: Any, content: bytes) -> None:
    path = write("a.parquet", content)
    assert f'"{path}"' in refused(path)


def test_an_empty_file_is_refused(refused: Any, parquet: Any) -> None:
    assert "has no rows" in refused(parquet("a.parquet", {"id": pa.array([], pa.string())}))


def test_a_million_rows_have_a_thousand_chunks(parquet: Any, tmp_path: Path) -> None:
    path = parquet("a.parquet", {"n": pa.nulls(1_500_000, pa.int8())})
    staging = Staging(keep="none", wanted=frozenset())
    snapshot = stage(open_source(str(path)), staging, open_folder(str(tmp_path / "run")))
    assert (snapshot.rows, snapshot.chunks, snapshot.chunk_rows) == (1_500_000, 1_000, 1_500)


def test_what_is_kept_can_be_read_by_parquet_duckdb_and_polars(read: Any, tmp_path: Path) -> None:
    union = pa.UnionArray.from_dense(
        pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["x"])]
    )
    columns = {
        "duration": pa.array([1_000_000, None], pa.duration("us")),
        "interval": pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        "union": union,
        "null": pa.nulls(2),
        "nulls": pa.array([[None], None], pa.list_(pa.null())),
        "nothing": pa.array([{}, None], pa.struct([])),
        "wide": pa.array([decimal.Decimal(1), None], pa.decimal256(50, 2)),
        "runs": pa.RunEndEncodedArray.from_arrays([2], ["a"]),
        "view": pa.array([[1], None], pa.list_view(pa.int64())),
        "text_view": pa.array(["a", None], pa.string_view()),
        "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16, None], pa.binary(16))),
        "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None])),
        "seconds": pa.array([1, None], pa.timestamp("s")),
        "day": pa.array([86_400_000, None], pa.date64()),
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
        "keys": pa.array([[({"k": 1}, 1)], None], pa.map_(pa.struct([("k", pa.int64())]), pa.int64())),
        "inner": pa.array([["a"], None], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        "large": pa.array([["a"], None], pa.large_list(pa.large_string())),
        "small": pa.array([decimal.Decimal("1.25"), None], pa.decimal32(5, 2)),
        "middle": pa.array([decimal.Decimal("1.25"), None], pa.decimal64(15, 2)),
        "roomy": pa.array([[decimal.Decimal("1.25")], None], pa.list_(pa.decimal256(20, 2))),
        "thousands": pa.array([decimal.Decimal("12000"), None], pa.decimal128(5, -3)),
        "millions": pa.array([decimal.Decimal("12e30"), None], pa.decimal128(10, -30)),
        "clock": pa.array([34_200_000, None], pa.time32("ms")),
        "fine_clock": pa.array([{"at": 1}, None], pa.struct([("at", pa.time64("ns"))])),
        "zone": pa.array([0, None], pa.timestamp("us", "Europe/Berlin")),
        "half": pa.array([1.5, None], pa.float16()),
        "pair": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
        "cases": pa.array([{"a": 1, "A": 2}, None]),
    }
    kept = read(pa.table(columns)).kept
    pq.write_table(kept, tmp_path / "kept.parquet")
    assert pq.read_table(tmp_path / "kept.parquet").schema == kept.schema
    assert duckdb.read_parquet(str(tmp_path / "kept.parquet")).fetchall()
    assert polars.read_parquet(tmp_path / "kept.parquet").height == 2
    first, second = kept.to_pylist()
    assert first == {
        "duration": '"PT1S"',
        "interval": "[1,2,3]",
        "union": "1",
        "null": None,
        "nulls": [None],
        "nothing": "{}",
        "wide": '"1.00"',
        "runs": "a",
        "view": [1],
        "text_view": "a",
        "uuid": "61616161-6161-6161-6161-616161616161",
        "json": "{}",
        "seconds": datetime.datetime(1970, 1, 1, 0, 0, 1),
        "day": datetime.date(1970, 1, 2),
        "map": [("a", 1)],
        "keys": '[[{"k":1},1]]',
        "inner": ["a"],
        "large": ["a"],
        "small": decimal.Decimal("1.25"),
        "middle": decimal.Decimal("1.25"),
        "roomy": [decimal.Decimal("1.25")],
        "thousands": decimal.Decimal("12000"),
        "millions": '"1.2E+31"',
        "clock": "09:30:00.000",
        "fine_clock": {"at": "00:00:00.000000001"},
        "zone": datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
        "half": 1.5,
        "pair": [1, 2],
        "cases": '{"a":1,"A":2}',
    }
    assert {str(kept.schema.field(name).type) for name in ("small", "middle")} == {
        "decimal128(5, 2)",
        "decimal128(15, 2)",
    }
    assert second.pop("union") == '"x"'
    assert second.pop("runs") == "a"
    assert set(second.values()) == {None}


def test_instants_that_spark_writes_as_int96_are_the_same_in_every_year(read: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    instants = [
        datetime.datetime(1, 1, 1),
        datetime.datetime(1582, 10, 15),
        datetime.datetime(2026, 1, 1, 1, 2, 3, 4),
    ]
    instants.append(datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999))
    table = pa.table({"at": pa.array(instants, pa.timestamp("us"))})
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    documents = read(path)
    assert [row["at"] for row in documents.fields] == instants
    assert documents.kept.column("at").to_pylist() == instants
    shown = duckdb.connect().execute(f"from read_parquet('{path}')").fetchall()
    assert [row for (row,) in shown] == instants


def test_a_whole_file_whose_values_pyarrow_cannot_read_is_said_to_be_one(refused: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.connect().execute(f"copy (select [7, 8]::integer[2] as x union all select null) to '{path}'")
    assert polars.read_parquet(path)["x"].to_list() == [[7, 8], None]
    sentence = refused(path)
    assert sentence.startswith(f'"{path}" has values that pyarrow cannot read (')
    assert sentence.endswith("write it again, arrays of a fixed size as lists.")


def test_a_type_that_pyarrow_cannot_read_is_said_to_be_one(refused: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    wide = polars.Series([1], dtype=polars.Int128)
    inner = polars.Series([{"total": 1}], dtype=polars.Struct({"total": polars.Int128}))
    frame = {"text": ["x"], "uuid": polars.Series([b"0" * 16]), "n": wide, "order": inner}
    polars.DataFrame(frame).write_parquet(path)
    sentence = refused(path)
    assert sentence.startswith(
        f'"{path}" has a column of a type that pyarrow cannot read: "n", "order.total" (Integers'
    )
    assert "Int128 to Decimal(38, 0)" in sentence
