from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from prefect_llm.documents import Snapshot, Staging, open_source, read_chunk, stage
from prefect_llm.system.folders import Folder
from prefect_llm.values.errors import BadDocument


def test_a_table_is_read_in_order(read: Any) -> None:
    table = pa.concat_tables([pa.table({"id": ["a"], "n": [1]}), pa.table({"id": ["b"], "n": [2]})])
    documents = read(table)
    assert documents.snapshot.source == "pyarrow.Table"
    assert documents.fields == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]


def test_the_fingerprint_follows_the_content_and_not_the_chunks() -> None:
    table = pa.table({"id": [str(row) for row in range(40_000)]})
    halves = pa.concat_tables([table.slice(0, 17), table.slice(17)]).replace_schema_metadata({"by": "us"})
    assert open_source(halves).fingerprint() == open_source(table).fingerprint()
    other = pa.table({"id": [*(str(row) for row in range(39_999)), "x"]})
    assert open_source(other).fingerprint() != open_source(table).fingerprint()
    renamed = table.rename_columns(["key"])
    assert open_source(renamed).fingerprint() != open_source(table).fingerprint()


def test_an_empty_table_is_refused(refused: Any) -> None:
    assert refused(pa.table({"id": pa.array([], pa.string())})).startswith('"pyarrow.Table" has no rows')


def test_two_columns_of_one_name_are_refused(refused: Any) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["x", "x"])
    assert 'two columns named "x"' in refused(table)


def test_two_fields_of_one_name_in_a_struct_are_refused(refused: Any) -> None:
    struct = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    assert 'the column "s"' in refused(pa.table({"s": struct}))


def test_a_value_beyond_python_fails_its_own_document_only(folder: Folder) -> None:
    table = pa.table({"when": pa.array([0, 10**15], pa.timestamp("s")), "n": [1, 2]})
    snapshot = stage(open_source(table), Staging(), folder)
    chunk = read_chunk(folder, snapshot, 0)
    assert chunk.fields(0)["n"] == 1
    with pytest.raises(BadDocument, match='the field "when" cannot be read'):
        chunk.fields(1)


def test_a_value_beyond_its_staged_type_is_refused(refused: Any) -> None:
    table = pa.table({"when": pa.array([2**62], pa.timestamp("s"))})
    assert refused(table).startswith('the column "when" of "pyarrow.Table" (timestamp[s]) cannot be read')


def test_rows_are_found_in_any_order_and_may_be_changed(folder: Folder) -> None:
    table = pa.table({"text": [f"text {row}" for row in range(700)]})
    snapshot = stage(open_source(table), Staging(), folder)
    chunk = read_chunk(folder, snapshot, 0)
    for row in (650, 3, 127, 128, 699):
        assert chunk.fields(row) == {"text": f"text {row}", "id": str(row)}
    chunk.fields(5)["text"] = "changed"
    assert chunk.fields(5)["text"] == "text 5"


def test_a_snapshot_survives_json() -> None:
    snapshot = Snapshot(1, 1, 1000, "x", "f", "columns", (), ("a",), has_id=False)
    assert Snapshot.from_json(snapshot.to_json()) == snapshot
