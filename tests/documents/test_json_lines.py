from __future__ import annotations

import gzip
import json
from typing import Any

import pyarrow as pa
import pytest


def test_columns_may_appear_late_and_are_null_before(read: Any, write: Any) -> None:
    documents = read(write("a.jsonl", ['{"id": 1, "a": "x"}', '{"id": "two", "b": [1]}']))
    assert documents.ids == ["1", "two"]
    assert documents.fields == [{"id": 1, "a": "x", "b": None}, {"id": "two", "a": None, "b": [1]}]


def test_blank_lines_a_byte_order_mark_and_windows_line_ends_are_tolerated(read: Any, write: Any) -> None:
    documents = read(write("a.jsonl", '\ufeff\n{"text": "a"}\r\n  \r\n\n{"text": "b"}'))
    assert documents.fields == [{"text": "a", "id": "0"}, {"text": "b", "id": "1"}]


@pytest.mark.parametrize(
    ("cells", "held"),
    [
        ([1, None, 2], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([1.5, None], pa.float64()),
        (["a", None], pa.string()),
        ([True, False], pa.bool_()),
        ([None, None], pa.string()),
        ([[], [1], None], pa.list_(pa.int64())),
        ([[]], pa.list_(pa.string())),
        ([{"a": 1}, {"b": "x"}], pa.struct([("a", pa.int64()), ("b", pa.string())])),
        ([[{"a": 1.5}], [{"a": 2}]], pa.list_(pa.struct([("a", pa.float64())]))),
    ],
)
def test_values_of_one_kind_have_its_type(read: Any, write: Any, cells: list[Any], held: pa.DataType) -> None:
    documents = read(write("a.jsonl", [json.dumps({"x": cell}) for cell in cells]), chunk_rows=1)
    assert documents.kept.schema.field("x").type == held
    kept = documents.kept.column("x").to_pylist()
    assert kept == pa.array(cells, held).to_pylist()
    assert [row["x"] for row in documents.fields] == cells


@pytest.mark.parametrize(
    "cells",
    [
        [1, "a", None],
        [True, 1],
        [[1], {"a": 1}],
        [[1], ["a"]],
        [{"a": 1}, {"a": "x"}],
        [{}, {}],
        [2**63, 1],
        [-(2**63) - 1],
        [10**30],
        [2**53 + 1, 0.5],
        [{f"key-{n}": n for n in range(300)}],
    ],
)
def test_values_without_one_type_become_json_text(read: Any, write: Any, cells: list[Any]) -> None:
    documents = read(write("a.jsonl", [json.dumps({"x": cell}) for cell in cells]), chunk_rows=1)
    assert documents.kept.schema.field("x").type == pa.string()
    texts = documents.kept.column("x").to_pylist()
    assert [None if text is None else json.loads(text) for text in texts] == cells
    assert [row["x"] for row in documents.fields] == cells


def test_depth_without_end_becomes_json_text(read: Any, write: Any) -> None:
    nested = "[" * 100 + "]" * 100
    documents = read(write("a.jsonl", [f'{{"x": {nested}}}']))
    assert documents.kept.column("x").to_pylist() == [nested]


def test_only_the_used_columns_are_staged(read: Any, write: Any, folder: Any) -> None:
    path = write("a.jsonl", ['{"id": "a", "text": "x", "secret": "never-staged"}'])
    documents = read(path, keep=("id",), wanted=frozenset({"text", "absent"}))
    assert documents.fields == [{"text": "x"}]
    assert documents.kept.to_pylist() == [{"id": "a"}]
    assert b"never-staged" not in folder.read("_run/input/chunk-00000.arrow")


def test_messages_are_not_kept_unless_named(read: Any, write: Any) -> None:
    path = write("a.jsonl", ['{"messages": [{"role": "user", "content": "x", "name": null}], "a": 1}'])
    documents = read(path)
    assert documents.kept.column_names == ["a"]
    assert documents.fields[0]["messages"] == [{"role": "user", "content": "x", "name": None}]
    assert read(path, keep=("messages",)).kept.column_names == ["messages"]
    assert read(path, keep="all").kept.column_names == ["messages", "a"]


def test_lines_longer_than_a_block_are_read(read: Any, write: Any) -> None:
    cells = ["x" * length for length in (3, 2_500_000, 5, 1_200_000)]
    documents = read(write("a.jsonl", [json.dumps({"text": cell}) for cell in cells]))
    assert [row["text"] for row in documents.fields] == cells


def test_rows_and_lines_are_counted_on_over_blocks(refused: Any, write: Any) -> None:
    lines = [json.dumps({"id": row, "text": "x" * 100}) + "\n" for row in range(30_000)]
    path = write("a.jsonl", [*lines, '{"id": null}'])
    assert refused(path).startswith(f'Row 30001 (line 60001) of "{path}": the id in column "id" is null')


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (b'{"id": 2', "is not valid JSON"),
        (b'{"id": NaN}', "is not valid JSON"),
        (b'{"id": "\\ud800"}', "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[1]", "is not a JSON object but list"),
        (b"null", "is not a JSON object but null"),
        (b'{"id": "\xff"}', "is not UTF-8 text"),
        (b"{}", 'the id in column "id" is null'),
        (b'{"id": ""}', 'the id in column "id" is empty'),
        (b'{"id": 1.5}', 'the id in column "id" is 1.5: ids are text or integers'),
        (b'{"id": true}', 'the id in column "id" is true: ids are text or integers'),
    ],
)
def test_a_bad_line_is_refused_by_file_row_and_line(refused: Any, write: Any, second: bytes, why: str) -> None:
    path = write("a.jsonl", b'{"id": 1}\n\n' + second + b"\n")
    sentence = refused(path)
    assert sentence.startswith(f'Row 2 (line 3) of "{path}"')
    assert why in sentence


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (r'{"a": "\ud83d", "b": 1}', r"column 8: \ud83d is half a character): write both halves, or \ufffd"),
        (r'{"a": "\\\ud83d\ude00", "b": "\udE00"}', r"column 31: \udE00 is half a character)"),
        ('{"a": "NaN", "b": NaN}', "column 19: NaN is no value of JSON): write null"),
        ('{"a": -Infinity}', "column 7: -Infinity is no value of JSON): write null"),
        ('{"a": 1 "b": 2}', "column 9: Expecting ',' delimiter): write one object a line"),
    ],
)
def test_what_is_no_json_is_said_by_its_column_and_what_to_do(refused: Any, write: Any, line: str, why: str) -> None:
    path = write("a.jsonl", ['{"a": 1}', line])
    assert refused(path).startswith(f'Row 2 (line 2) of "{path}" is not valid JSON ({why}')


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": "a", "n": 12345678901234567890}, {"id": "b"}]',
        ' [\n  {"id": "a",\n   "n": 12345678901234567890},\n  {"id": "b"}\n]\n',
        '\ufeff[{"id": "a", "n": 12345678901234567890},{"id": "b"}]',
        '{"id": "a", "n": 12345678901234567890}\n{"id": "b"}\n',
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_a_json_file_is_an_array_or_lines(read: Any, write: Any, text: str, name: str) -> None:
    content = text.encode()
    documents = read(write(name, gzip.compress(content) if name.endswith(".gz") else content))
    assert documents.fields == [{"id": "a", "n": 12345678901234567890}, {"id": "b", "n": None}]


def test_an_array_of_other_things_or_a_broken_one_is_refused(refused: Any, write: Any) -> None:
    assert "is not a JSON object but int" in refused(write("a.json", "[1]"))
    assert "begins as a JSON array and is none" in refused(write("b.json", '[{"a": 1}'))
    assert "has no rows" in refused(write("c.json", "[]"))


def test_json_files_beside_documents_describe_them(read: Any, write: Any) -> None:
    write("in/dataset_info.json", "{}")
    documents = read(write("in/a.jsonl", ['{"id": "a"}']).parent)
    assert documents.ids == ["a"]
    assert [each.example for each in documents.snapshot.left_out] == ["dataset_info.json"]


def test_chats_in_another_column_are_not_kept_unless_named(read: Any, write: Any) -> None:
    path = write("a.jsonl", ['{"chat": [], "n": 1}'])
    assert read(path, sent="chat").kept.column_names == ["n"]
    assert read(path, sent="chat", keep="all").kept.column_names == ["chat", "n"]


def test_an_id_that_only_later_rows_have_is_refused(refused: Any, write: Any) -> None:
    lines = [json.dumps({"text": "x" * 1_000}) for _ in range(2_000)]
    path = write("a.jsonl", [*lines, '{"id": 1}'])
    assert refused(path).startswith(f'Row 2001 (line 2001) of "{path}" has an "id"')


def test_a_column_that_no_row_has_is_refused_with_the_nearest(refused: Any, write: Any) -> None:
    path = write("a.jsonl", ['{"title": "x", "body": "y"}'])
    assert f'the prompt uses the column "titel", which is not in "{path}"; nearest: "title"' in refused(
        path, needed=frozenset({"titel"})
    )
    assert 'the id column is "key", which is not in' in refused(path, id_column="key")
    assert 'keep names the column "Title"' in refused(path, keep=("Title",))


def test_a_compressed_file_is_unpacked(read: Any, write: Any) -> None:
    assert read(write("a.jsonl.gz", gzip.compress(b'{"id": "a"}\n'))).ids == ["a"]


def test_an_empty_file_is_refused(refused: Any, write: Any) -> None:
    assert "has no rows" in refused(write("a.jsonl", "\n\n"))
