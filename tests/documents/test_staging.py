from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from prefect_llm.documents import Snapshot, Staging, open_source, read_chunk, stage
from prefect_llm.documents.identifiers import IdRegister
from prefect_llm.system.folders import Folder, LocalFolder
from prefect_llm.values.errors import InvalidInput

RESERVED = ("id", "status", "content", "model")


def test_without_an_id_column_rows_are_numbered(read: Any) -> None:
    documents = read(pa.table({"x": ["a", "b", "c"]}), chunk_rows=2)
    assert documents.ids == ["0", "1", "2"]
    assert [row["id"] for row in documents.fields] == ["0", "1", "2"]


def test_a_named_id_column_goes_before_the_column_id(read: Any) -> None:
    documents = read(pa.table({"id": [None, 1.5], "key": [20, 3]}), id_column="key")
    assert documents.ids == ["20", "3"]
    assert [row["id"] for row in documents.fields] == [None, 1.5]


def test_the_document_id_is_a_field_where_no_column_has_its_name(read: Any) -> None:
    documents = read(pa.table({"key": [7]}), id_column="key", needed=frozenset({"id"}), wanted=frozenset())
    assert documents.fields == [{"id": "7"}]


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([1.0]),
        pa.array([True]),
        pa.array([["a"]]),
        pa.array([b"a"]),
        pa.array([0], pa.timestamp("us")),
        pa.array([1], pa.decimal128(5, 2)),
    ],
)
def test_ids_of_other_types_are_refused(refused: Any, ids: pa.Array) -> None:
    assert refused(pa.table({"id": ids})).startswith('the id column "id" of "pyarrow.Table" is of type')


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([2**64 - 1], pa.uint64()),
        pa.array(["18446744073709551615"]).dictionary_encode(),
        pa.array([2**64 - 1], pa.decimal128(38, 0)),  # Snowflake's and Oracle's integers
        pa.array([2**64 - 1], pa.decimal256(50, 0)),
    ],
)
def test_ids_of_every_integer_and_text_type_are_text(read: Any, ids: pa.Array) -> None:
    assert read(pa.table({"id": ids})).ids == ["18446744073709551615"]


@pytest.mark.parametrize(("absent", "what"), [(None, "null"), ("", "empty")])
def test_a_null_or_empty_id_is_refused_with_its_row(refused: Any, absent: str | None, what: str) -> None:
    ids = [*map(str, range(40_000)), absent, "z", None]
    assert refused(pa.table({"id": ids})).startswith(f'Row 40001 of "pyarrow.Table": the id in column "id" is {what}')


def test_a_duplicate_id_is_refused_with_both_rows_named(refused: Any, write: Any) -> None:
    write("in/a.jsonl", [json.dumps({"id": row}) for row in range(2_500)])
    path = write("in/b.jsonl", ['{"id": "x"}', '{"id": "2345"}'])
    assert refused(path.parent).startswith(
        f'the id "2345" in column "id" is there twice: row 2346 of "{path.parent}/a.jsonl" and row 2 of "{path}"'
    )


def test_duplicates_are_found_across_a_million_ids(refused: Any) -> None:
    ids = [*range(1_000_000), 314_159]
    sentence = refused(pa.table({"id": ids}), keep="none", wanted=frozenset())
    assert sentence.startswith(
        'the id "314159" in column "id" is there twice: row 314160 of "pyarrow.Table" and row 1000001'
    )


def test_equal_hashes_of_different_ids_are_no_duplicate() -> None:
    class Alike(str):
        def __hash__(self) -> int:
            return 42

    register = IdRegister("id")
    ids: list[str] = [Alike(name) for name in "abc"]
    register.add(ids, "a.csv", 0)
    register.check_unique(lambda: [ids])
    register.add(ids[1:2], "b.csv", 0)
    with pytest.raises(InvalidInput, match=r'"b" .* row 2 of "a.csv" and row 1 of "b.csv"'):
        register.check_unique(lambda: [ids, ids[1:2]])


def test_many_equal_hashes_are_all_compared() -> None:
    class Paired(str):
        def __hash__(self) -> int:
            return int(self) // 2

    register = IdRegister("id")
    ids: list[str] = [Paired(number) for number in range(30_000)]
    register.add(ids, "a.csv", 0)
    register.check_unique(lambda: [ids])
    register.add(ids[-1:], "b.csv", 0)
    with pytest.raises(InvalidInput, match="29999"):
        register.check_unique(lambda: [ids, ids[-1:]])


def test_limit_takes_the_first_rows_and_sees_no_others(read: Any, write: Any) -> None:
    path = write("a.jsonl", ['{"id": 1}', '{"id": 2}', '{"id": 2}'])
    assert read(path, limit=2).ids == ["1", "2"]
    assert read(pa.table({"id": ["a", "b", "b"]}), limit=2).ids == ["a", "b"]
    assert read(pa.table({"id": ["a"]}), limit=5).ids == ["a"]


def test_limit_counts_over_batches(read: Any, write: Any) -> None:
    path = write("a.jsonl", [json.dumps({"n": row, "text": "x" * 1_000}) for row in range(3_000)])
    assert [row["n"] for row in read(path, limit=2_500, wanted=frozenset({"n"})).fields] == [*range(2_500)]
    assert len(read(pa.table({"n": list(range(40_000))}), limit=30_000).ids) == 30_000


@pytest.mark.parametrize("option", ["limit", "chunk_rows"])
def test_a_count_below_one_is_refused(refused: Any, option: str) -> None:
    assert refused(pa.table({"id": ["a"]}), **{option: 0}).startswith(f"{option} is 0")


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 30])
def test_chunks_are_full_but_the_last(folder: Folder, rows: int) -> None:
    snapshot = stage(open_source(pa.table({"x": list(range(rows))})), Staging(chunk_rows=10), folder)
    sizes = [len(read_chunk(folder, snapshot, chunk).ids) for chunk in range(snapshot.chunks)]
    assert sizes == [10] * (rows // 10) + [rows % 10] * (rows % 10 > 0)
    assert len(folder.names("_run/input")) == snapshot.chunks


def test_chunks_of_an_earlier_staging_do_not_stay(folder: Folder) -> None:
    stage(open_source(pa.table({"x": list(range(50))})), Staging(chunk_rows=10), folder)
    stage(open_source(pa.table({"x": list(range(5))})), Staging(chunk_rows=10), folder)
    assert folder.names("_run/input") == ["_run/input/chunk-00000.arrow"]


def test_kept_columns_step_aside_for_result_columns(read: Any) -> None:
    table = pa.table({"id": [1], "Model": ["m"], "text": ["t"], "STATUS": ["s"]})
    documents = read(table, reserved=RESERVED)
    assert documents.kept.column_names == ["input_id", "input_Model", "text", "input_STATUS"]
    assert documents.fields[0]["Model"] == "m"


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ("id input_id", "input_id input_input_id"),
        ("input_id id", "input_input_id input_id"),
        ("id input_id input_input_id", "input_id input_input_id input_input_input_id"),
        ("INPUT_model model", "input_INPUT_model input_model"),
        ("Text text TEXT", "Text input_text input_input_TEXT"),
        ("model Model", "input_model input_input_Model"),
    ],
)
def test_no_two_columns_of_the_results_differ_only_in_case(read: Any, columns: str, names: str) -> None:
    table = pa.table({name: [f"{place}"] for place, name in enumerate(columns.split())})
    documents = read(table, reserved=RESERVED)
    assert documents.kept.column_names == names.split()
    assert documents.kept.to_pylist() == [dict(zip(names.split(), table.to_pylist()[0].values(), strict=True))]
    assert documents.fields[0] == {"id": "0"} | table.to_pylist()[0]


def test_json_lines_are_renamed_alike(read: Any, write: Any) -> None:
    path = write("a.jsonl", ['{"Text": 1, "both": {"A": 1, "a": 2}}', '{"text": 2}'])
    documents = read(path)
    assert documents.kept.to_pylist() == [
        {"Text": 1, "both": '{"A":1,"a":2}', "input_text": None},
        {"Text": None, "both": None, "input_text": 2},
    ]


def test_keep_decides_columns_and_order(read: Any) -> None:
    table = pa.table({"a": [1], "b": [2], "c": [3]})
    assert read(table, keep=("c", "a", "c")).kept.column_names == ["c", "a"]
    assert read(table, keep="none").kept.column_names == []
    assert read(table, keep="none", wanted=frozenset({"b"})).fields == [{"b": 2, "id": "0"}]


def test_an_absent_column_is_refused_with_the_nearest_names(refused: Any) -> None:
    table = pa.table({"ticket text": ["x"], "Titel": ["y"]})
    assert refused(table, needed=frozenset({"title"})) == (
        'the prompt uses the column "title", which is not in "pyarrow.Table"; nearest: "Titel"; there: "ticket text".'
    )
    assert refused(table, keep=("zzz",)) == (
        'keep names the column "zzz", which is not in "pyarrow.Table"; there: "ticket text", "Titel".'
    )
    assert 'the id column is "zzz"' in refused(table, id_column="zzz")


def test_without_a_prompt_and_the_column_that_is_sent_as_it_is_a_prompt_is_asked_for(refused: Any) -> None:
    table = pa.table({"text": ["x"]})
    assert refused(table, needed=frozenset({"messages"}), sent="messages") == (
        'no prompt: give prompt or prompt_file; without one the column "messages" is sent as it is, '
        'which is not in "pyarrow.Table"; there: "text".'
    )
    assert 'the prompt uses the column "messages"' in refused(table, needed=frozenset({"messages"}))
    assert 'the prompt uses the column "p"' in refused(table, needed=frozenset({"p"}), sent="messages")


def test_optional_columns_may_be_absent(read: Any) -> None:
    documents = read(pa.table({"a": [1]}), needed=frozenset({"a"}), wanted=frozenset({"a", "zzz"}))
    assert documents.fields == [{"a": 1, "id": "0"}]


def test_a_failed_write_stops_the_staging(tmp_path: Any) -> None:
    class FullDisk(LocalFolder):
        def write(self, name: str, content: bytes) -> None:
            if name.endswith("chunk-00003.arrow"):
                raise OSError(28, "No space left on device")
            super().write(name, content)

    with pytest.raises(OSError, match="No space left"):
        stage(open_source(pa.table({"x": list(range(100))})), Staging(chunk_rows=10), FullDisk(tmp_path))


def test_a_snapshot_of_every_form_goes_through_json(folder: Folder, write: Any) -> None:
    source = open_source(str(write("a.jsonl", ['{"a": [{"b": 1}], "c": 1}', '{"c": "x"}'])))
    snapshot = stage(source, Staging(), folder)
    assert Snapshot.from_json(json.loads(json.dumps(snapshot.to_json()))) == snapshot
    assert snapshot.source_fingerprint == source.fingerprint()
