from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pyarrow as pa
import pytest

FOLDERS = {
    "date=2026-01-01/lang=de": {"date": date(2026, 1, 1), "lang": "de"},
    "date=2026-01-02/lang=__HIVE_DEFAULT_PARTITION__": {"date": date(2026, 1, 2), "lang": None},
    "date=2026-01-03/lang=a%20b": {"date": date(2026, 1, 3), "lang": "a b"},
}


@pytest.mark.parametrize("input", ["hive", "hive/*/*/*.parquet"])
def test_partitions_are_typed_columns_of_prompts_and_results(
    read: Any, parquet: Any, tmp_path: Any, input: str
) -> None:
    for number, folder in enumerate(FOLDERS):
        parquet(f"hive/{folder}/part-0.parquet", {"n": [number]})
    documents = read(tmp_path / input)
    assert [{key: row[key] for key in ("date", "lang")} for row in documents.fields] == list(FOLDERS.values())
    assert documents.kept.schema == pa.schema([("n", pa.int64()), ("date", pa.date32()), ("lang", pa.string())])
    shown = duckdb.connect().execute(f"from read_parquet('{tmp_path}/hive/**/*.parquet') order by n").fetchall()
    assert [tuple(row.values()) for row in documents.kept.to_pylist()] == shown


@pytest.mark.parametrize("input", ["hive/date=2026-01-01", "hive/date=2026-01-01/lang=de/part-0.parquet"])
def test_a_part_of_a_partitioned_folder_has_the_columns_of_the_folders_above(
    read: Any, parquet: Any, tmp_path: Any, input: str
) -> None:
    parquet("hive/date=2026-01-01/lang=de/part-0.parquet", {"n": [1]})
    assert read(tmp_path / input).kept.to_pylist() == [{"n": 1, "date": date(2026, 1, 1), "lang": "de"}]


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (["1", "-20"], pa.int64()),
        (["01", "2"], pa.string()),
        (["1", "99999999999999999999"], pa.string()),
        (["1.5", "2"], pa.string()),
        (["2026-01-01", "2026-02-28"], pa.date32()),
        (["2026-01-01", "2026-02-30"], pa.string()),
        (["5", "__HIVE_DEFAULT_PARTITION__"], pa.int64()),
    ],
)
def test_one_type_holds_all_values_of_a_key_as_duckdb_finds_it(
    read: Any, parquet: Any, tmp_path: Any, values: list[str], type: pa.DataType
) -> None:
    for value in values:
        parquet(f"in/k={value}/a.parquet", {"n": [1]})
    kept = read(tmp_path / "in").kept
    assert kept.schema.field("k").type == type
    shown = duckdb.connect().execute(f"select k from read_parquet('{tmp_path}/in/**/*.parquet')").fetchall()
    assert set(kept.column("k").to_pylist()) == {cell for (cell,) in shown}


def test_every_kind_of_file_has_them(read: Any, write: Any, tmp_path: Any) -> None:
    for day in (1, 2):
        write(f"c/day={day}/a.csv", f"id,text\nc{day},x\n")
        write(f"j/day={day}/a.jsonl", [f'{{"id": "j{day}", "text": "x"}}', "", f' {{"id": "k{day}", "day": 9}}'])
        write(f"e/day={day}/a.jsonl", ["{}"])
        write(f"t/day={day}/a.txt", "x")
    assert read(tmp_path / "c").fields == [{"id": f"c{day}", "text": "x", "day": day} for day in (1, 2)]
    lines = read(tmp_path / "j")
    assert [(row["id"], row["day"]) for row in lines.fields] == [("j1", 1), ("k1", 9), ("j2", 2), ("k2", 9)]
    assert lines.kept.schema.field("day").type == pa.int64()
    assert read(tmp_path / "e").kept.to_pylist() == [{"day": 1}, {"day": 2}]
    assert [(row["path"], row["day"]) for row in read(tmp_path / "t").fields] == [
        ("day=1/a.txt", 1),
        ("day=2/a.txt", 2),
    ]


def test_a_file_s_own_column_goes_before_its_folder_s(read: Any, parquet: Any) -> None:
    path = parquet("in/k=5/id=7/a.parquet", {"k": [6]})
    assert read(path.parents[2]).kept.to_pylist() == [{"k": 6}]


def test_files_of_some_folders_only_have_null_elsewhere(read: Any, parquet: Any, tmp_path: Any) -> None:
    parquet("in/k=5/a.parquet", {"n": [1]})
    parquet("in/z.parquet", {"n": [2]})
    assert read(tmp_path / "in").kept.to_pylist() == [{"n": 1, "k": 5}, {"n": 2, "k": None}]


def test_a_prompt_that_uses_only_a_partition_reads_no_other_column(read: Any, parquet: Any, tmp_path: Any) -> None:
    parquet("in/k=5/a.parquet", {"n": [1, 2]})
    documents = read(tmp_path / "in", needed=frozenset({"k"}), wanted=frozenset({"k"}), keep="none")
    assert [row["k"] for row in documents.fields] == [5, 5]
