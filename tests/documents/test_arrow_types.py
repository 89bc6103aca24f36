"""Every Arrow type, in every other and twice, used and unused."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from tests.docs.reading import ROOT
from tests.hosting.test_reference_case import script

from prefect_llm.documents import Staging, open_source, read_chunk, stage
from prefect_llm.values.errors import BadDocument, InvalidInput

types = script("input_types")
KINDS = list(types.kinds())
UUID = next(kind for kind in KINDS if kind.name == "uuid")
DEEP = [kind for kind in KINDS if kind.name in ("int64", "uuid", "string", "timestamp[ns]", "null")]


def seen_of(kinds: list[Any]) -> dict[str, list[Any]]:
    """What a prompt sees of each column; all are kept too."""
    columns = {kind.name: kind.array for kind in kinds}
    text = {"text": pa.array(["a", "b"])}
    fields, kept = types.staged(columns | text, wanted=frozenset(text), needed=frozenset(text), keep="none")
    assert [row["text"] for row in fields] == ["a", "b"]
    assert kept.num_columns == 0

    fields, kept = types.staged(columns, keep="all")
    kept.validate(full=True)
    assert kept.column_names == list(columns)
    return {name: [row[name] for row in fields] for name in fields[0] if name != "id"}


def in_it(name: str, values: list[Any]) -> list[Any]:
    """What a prompt sees of two values in a nested type."""
    first, second = values
    nested: dict[str, list[Any]] = {
        "list": [[first, second], []],
        "large_list": [[first, second], []],
        "fixed_size_list": [[first], [second]],
        "list_view": [[first, second], [second]],
        "large_list_view": [[first, second], [second]],
        "struct": [{"a": first}, {"a": second}],
        "map": [{"x": first}, {"y": second}],
        "dictionary": [first, second],
        "run_end_encoded": [first, second],
    }
    return nested[name]


@pytest.mark.parametrize("outer", types.NESTED)
def test_a_value_inside_another_type_is_the_value(outer: str) -> None:
    alone = seen_of(KINDS)
    seen = seen_of([types.nested(kind, outer) for kind in KINDS])
    assert seen == {f"{outer} of {name}": in_it(outer, values) for name, values in alone.items()}


@pytest.mark.parametrize("outer", types.NESTED)
@pytest.mark.parametrize("inner", types.NESTED)
def test_a_value_two_deep_is_the_value(inner: str, outer: str) -> None:
    seen = seen_of([types.nested(kind, inner, outer) for kind in DEEP])
    assert seen == {
        f"{outer} of {inner} of {name}": in_it(outer, in_it(inner, values)) for name, values in seen_of(DEEP).items()
    }


@pytest.mark.parametrize("outer", [None, *types.NESTED])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "binary" in kind.name], ids=lambda kind: kind.name)
def test_bytes_are_refused_wherever_a_prompt_uses_them(kind: Any, outer: str | None) -> None:
    array = kind.array if outer is None else types.nested(kind, outer).array
    with pytest.raises(InvalidInput, match="which holds bytes"):
        types.staged({"x": array}, wanted=frozenset({"x"}), needed=frozenset({"x"}), keep="none")


@pytest.mark.parametrize("outer", types.NESTED)
def test_nulls_and_slices_of_nested_types_stay_what_they_are(read: Any, outer: str) -> None:
    array = types.nested(UUID, outer).array
    encoded = outer in ("dictionary", "run_end_encoded")  # pyarrow joins no such extensions
    long = pa.concat_arrays([array, pa.nulls(1, array.type), array]) if not encoded else array
    table = pa.table({"x": long}).slice(1)
    plain = in_it(outer, [str(types.UUID), None])
    expected = [plain[1], None, *plain] if not encoded else plain[1:]
    assert [row["x"] for row in read(table).fields] == expected


@pytest.mark.parametrize(
    ("map_type", "pairs", "seen"),
    [
        (pa.map_(pa.string(), pa.string()), [("color", "red")], {"color": "red"}),
        (pa.map_(pa.int32(), pa.list_(pa.int8())), [(1, [2])], {1: [2]}),
        (pa.map_(pa.string(), pa.map_(pa.string(), pa.int8())), [("a", [("b", 1)])], {"a": {"b": 1}}),
        (pa.map_(pa.list_(pa.int8()), pa.int8()), [([1], 2)], [([1], 2)]),
        (pa.map_(pa.string(), pa.int8()), [], {}),
        (pa.map_(pa.string(), pa.int8()), None, None),
    ],
)
def test_a_map_is_a_dict_where_its_keys_can_be_keys(read: Any, map_type: Any, pairs: Any, seen: Any) -> None:
    table = pa.table({"x": pa.array([pairs], map_type)})
    assert read(table).fields[0]["x"] == seen


def test_a_map_that_has_a_key_twice_fails_its_own_document_only(folder: Any) -> None:
    twice = pa.array([[("a", 1), ("a", 2)], [("a", 3)]], pa.map_(pa.string(), pa.int8()))
    chunk = read_chunk(folder, stage(open_source(pa.table({"x": twice})), Staging(), folder), 0)
    with pytest.raises(BadDocument, match="a map in it has a key twice"):
        chunk.fields(0)
    assert chunk.fields(1)["x"] == {"a": 3}


def test_a_map_that_becomes_json_text_is_an_object(read: Any) -> None:
    hours = pa.map_(pa.bool_(), pa.duration("s"))
    assert read(pa.table({"x": pa.array([[(True, 3600)]], hours)})).kept.to_pylist() == [{"x": '{"True":"PT3600S"}'}]


def test_the_table_in_the_docs_is_as_the_script_makes_it() -> None:
    page = (ROOT / "docs" / "input.md").read_text(encoding="utf-8")
    assert types.with_table(page) == page, "run python docs/input_types.py"
