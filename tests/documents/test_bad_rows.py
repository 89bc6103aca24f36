"""Rows that cannot be read: they refuse the input, or with `row` each is a document that fails and says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_llm.documents import Snapshot, Staging, open_source, read_chunk, stage
from prefect_llm.values.errors import BadDocument


@pytest.fixture
def ended(folder: Any) -> Any:
    """The ids, what each document's fields are or why it has none, and the kept columns."""

    def staging(path: Any, **options: Any) -> tuple[list[str], list[Any], list[dict[str, Any]]]:
        written = stage(open_source(str(path)), Staging(on_bad_rows="row", **options), folder)
        snapshot = Snapshot.from_json(json.loads(json.dumps(written.to_json())))
        assert snapshot == written
        chunks = [read_chunk(folder, snapshot, chunk) for chunk in range(snapshot.chunks)]
        fields = [_fields(chunk, row) for chunk in chunks for row in range(len(chunk.ids))]
        kept = pa.concat_tables([chunk.kept for chunk in chunks]).to_pylist()
        return [each for chunk in chunks for each in chunk.ids], fields, kept

    return staging


def _fields(chunk: Any, row: int) -> Any:
    try:
        return chunk.fields(row)
    except BadDocument as error:
        return error.message


def test_lines_that_are_no_json_objects(ended: Any, write: Any) -> None:
    lines = [
        b'{"id": 1, "t": "x"}',
        b"",
        b'{"id": 2, "t": "\\ud83d"}',
        b'{"id": 3, "n": NaN}',
        b"[1]",
        b"{",
        b'{"t": "\xff"}',
    ]
    path = write("a.jsonl", b"\n".join([*lines, b'{"id": 4, "t": "y"}\n']))
    ids, fields, kept = ended(path)
    assert ids == ["1", "2", "3", f"{path}:5", f"{path}:6", f"{path}:7", "4"]
    assert fields[0] == {"id": 1, "t": "x"}
    assert fields[6] == {"id": 4, "t": "y"}
    assert [reason.partition(": ")[0] for reason in fields[1:3]] == [
        f'Row 2 (line 3) of "{path}" is not valid JSON (column 17',
        f'Row 3 (line 4) of "{path}" is not valid JSON (column 16',
    ]
    assert fields[3].endswith("is not a JSON object but list: write one object a line")
    assert fields[4].startswith(f'Row 5 (line 6) of "{path}" is not valid JSON')
    assert "is not UTF-8 text (byte 8)" in fields[5]
    assert [row["t"] for row in kept] == ["x", None, None, None, None, None, "y"]


@pytest.mark.parametrize(
    "options", [{}, {"wanted": frozenset({"t"}), "keep": "none"}, {"limit": 2}, {"chunk_rows": 1}]
)
def test_what_is_staged_of_them_does_not_matter(ended: Any, write: Any, options: Any) -> None:
    path = write("in/day=1/a.jsonl", ['{"t": "x"}', '{"t": ', '{"t": "z"}'])
    ids, fields, _ = ended(path.parents[1], **options)
    assert ids == [str(row) for row in range(len(fields))]
    assert fields[0]["t"] == "x"
    assert "is not valid JSON" in fields[1]
    assert len(fields) == options.get("limit", 3)


def test_ragged_and_undecodable_rows_of_a_csv_file_stay_in_their_places(ended: Any, write: Any) -> None:
    rows = [b"id,text", b"1,a", b"", b"2", b'3,"b\nb"', b"4,d,e", b"5,\xff", b"6,f", b"7"]
    path = write("a.csv", b"\n".join(rows) + b"\n")
    ids, fields, kept = ended(path)
    assert ids == ["1", f"{path}:2", "3", f"{path}:4", "5", "6", f"{path}:7"]
    assert [row for row in fields if isinstance(row, dict)] == [
        {"id": "1", "text": "a"},
        {"id": "3", "text": "b\nb"},
        {"id": "6", "text": "f"},
    ]
    assert fields[1] == f'Row 2 of "{path}": the row has 1 cells where the header has 2'
    assert fields[3] == f'Row 4 of "{path}": the row has 3 cells where the header has 2'
    assert fields[4].startswith(f'Row 5 of "{path}": the column "text"')
    assert [row["text"] for row in kept] == ["a", None, "b\nb", None, None, "f", None]


def test_ragged_rows_are_found_over_many_blocks_and_a_cell_larger_than_one(ended: Any, write: Any) -> None:
    lines = [f"{number},{'x' * 100}" for number in range(30_000)]
    lines[0] = lines[12_345] = lines[29_999] = "ragged"
    lines[20_000] = f"20000,{'y' * 3_000_000}"
    ids, fields, _ = ended(write("a.csv", ["n,text", *lines]), keep="none")
    assert ids == [str(number) for number in range(30_000)]
    assert [row for row in range(30_000) if isinstance(fields[row], str)] == [0, 12_345, 29_999]
    assert all(fields[row]["n"] == str(row) for row in range(30_000) if isinstance(fields[row], dict))


def test_a_file_of_ragged_rows_alone(ended: Any, write: Any) -> None:
    _, fields, _ = ended(write("a.csv", "a,b\n1\n2\n"))
    assert [each.endswith("has 1 cells where the header has 2") for each in fields] == [True, True]


def test_values_of_a_parquet_file_that_are_no_text_or_fit_no_type(ended: Any, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    text = pa.array([b"a", b"\xff", b"c"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": text, "n": [1, 2, 2**53 + 1]}), folder / "a.parquet")
    pq.write_table(pa.table({"text": ["d"], "n": [0.5]}), folder / "b.parquet")
    ids, fields, kept = ended(folder)
    assert ids == ["0", "1", "2", "3"]
    assert fields[0] == {"id": "0", "text": "a", "n": 1.0}
    assert fields[3] == {"id": "3", "text": "d", "n": 0.5}
    assert fields[1].startswith(f'Row 2 of "{folder}/a.parquet": the column "text"')
    assert fields[2].startswith(f'Row 3 of "{folder}/a.parquet": the column "n"')
    assert kept[1] == {"text": None, "n": 2.0}


def test_a_text_file_that_is_no_text(ended: Any, write: Any) -> None:
    write("in/a.txt", "x")
    folder = write("in/b.txt", "ä".encode("latin-1")).parent
    ids, fields, _ = ended(folder)
    assert ids == ["a.txt", "b.txt"]
    assert fields[0] == {"id": "a.txt", "path": "a.txt", "text": "x"}
    assert "is not UTF-8 text (byte 1)" in fields[1]


@pytest.mark.parametrize("cell", ["null", '""', "1.5", "true", '["x"]', '{"a": 1}', None])
def test_a_line_whose_id_is_none(ended: Any, write: Any, cell: str | None) -> None:
    middle = "{" + ("" if cell is None else f'"id": {cell}, ') + '"t": "y"}'
    path = write("a.jsonl", ['{"id": "a", "t": "x"}', "", middle, '{"id": 7, "t": "z"}'])
    ids, fields, kept = ended(path)
    assert ids == ["a", f"{path}:3", "7"]
    assert [fields[0]["t"], fields[2]["t"]] == ["x", "z"]
    assert fields[1].startswith(f'Row 2 (line 3) of "{path}": the id in column "id" is ')
    assert [row["t"] for row in kept] == ["x", "y", "z"]


@pytest.mark.parametrize("what", ["null", "empty"])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_row_whose_id_is_none(ended: Any, write: Any, tmp_path: Path, kind: str, what: str) -> None:
    if kind == "csv":
        path, what = write("a.csv", ["id,t", "a,x", ",y", "b,z"]), "empty"
    else:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"id": ["a", None if what == "null" else "", "b"], "t": ["x", "y", "z"]}), path)
    ids, fields, _ = ended(path)
    assert ids == ["a", f"{path}:2", "b"]
    assert fields[1] == f'Row 2 of "{path}": the id in column "id" is {what}'
    assert [fields[0]["t"], fields[2]["t"]] == ["x", "z"]


@pytest.mark.parametrize("id_column", [None, "id"])
def test_a_file_of_bad_lines_before_all_others_hides_no_ids(ended: Any, write: Any, id_column: str | None) -> None:
    path = write("in/a.jsonl", ["{", "["])
    write("in/b.jsonl", ['{"id": "x", "t": 1}', '{"id": "y", "t": 2}'])
    ids, fields, kept = ended(path.parent, id_column=id_column)
    assert ids == [f"{path}:1", f"{path}:2", "x", "y"]
    assert [row["t"] for row in fields[2:]] == [1, 2]
    assert [row["t"] for row in kept] == [None, None, 1, 2]
