"""The Arrow type of the column `output`, and answers in it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_llm.prompts import Prompt, PromptSpec, to_output_array
from prefect_llm.prompts.answer_schema import answer_format
from prefect_llm.prompts.output_type import JSON_TEXT, output_type

STRING, INTEGER, NUMBER, BOOLEAN, NULL = (
    {"type": each} for each in ("string", "integer", "number", "boolean", "null")
)
POINT = {"type": "object", "properties": {"x": NUMBER}}
TREE = {
    "type": "object",
    "properties": {"v": INTEGER, "kids": {"type": "array", "items": {"$ref": "#/$defs/T"}}},
}
POINT_TYPE = pa.struct([("x", pa.float64())])


def field_of(schema: Any, defs: dict[str, Any] | None = None) -> pa.Field:
    whole = {"type": "object", "properties": {"f": schema}, "$defs": defs or {}}
    return output_type(whole).field("f")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (STRING, pa.string()),
        ({"type": "string", "format": "date-time"}, pa.string()),
        ({"enum": ["a", "b"]}, pa.string()),
        ({"enum": ["a", None]}, pa.string()),
        ({"enum": [1, 2]}, pa.int64()),
        ({"enum": [1.5, 2]}, pa.float64()),
        ({"const": True}, pa.bool_()),
        (INTEGER, pa.int64()),
        (NUMBER, pa.float64()),
        ({"type": ["integer", "number"]}, pa.float64()),
        (BOOLEAN, pa.bool_()),
        ({"type": ["string", "null"]}, pa.string()),
        ({"anyOf": [INTEGER, NULL]}, pa.int64()),
        ({"oneOf": [NULL, POINT]}, POINT_TYPE),
        ({"allOf": [{"$ref": "#/$defs/P"}], "description": "d"}, POINT_TYPE),
        ({"$ref": "#/$defs/P"}, POINT_TYPE),
        ({"type": "array", "items": STRING}, pa.list_(pa.string())),
        ({"type": "array", "items": {"type": "array", "items": POINT}}, pa.list_(pa.list_(POINT_TYPE))),
        (POINT, POINT_TYPE),
        ({**POINT, "anyOf": [{"required": ["x"]}, {}]}, POINT_TYPE),
    ],
)
def test_a_schema_with_one_type_has_its_arrow_type(schema: Any, expected: pa.DataType) -> None:
    found = field_of(schema, {"P": POINT})
    assert found.type == expected
    assert found.metadata is None
    assert found.nullable


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        NULL,
        {"type": ["string", "integer"]},
        {"enum": ["a", 1]},
        {"enum": [True, 1]},
        {"const": {"a": 1}},
        {"anyOf": [STRING, INTEGER]},
        {"allOf": [POINT, {"type": "object", "properties": {"y": NUMBER}}]},
        {"type": "object"},
        {"type": "object", "additionalProperties": STRING},
        {"properties": {"x": NUMBER}},
        {"$ref": "#"},
    ],
)
def test_a_schema_without_one_type_is_json_text(schema: Any) -> None:
    found = field_of(schema)
    assert (found.type, found.metadata) == (pa.string(), JSON_TEXT)


@pytest.mark.parametrize("schema", [{"type": "array"}, {"type": "array", "prefixItems": [STRING], "items": INTEGER}])
def test_a_list_of_anything_is_a_list_of_json_text(schema: Any) -> None:
    found = field_of(schema).type
    assert found == pa.list_(pa.string())
    assert found.value_field.metadata == JSON_TEXT


def test_a_recursive_schema_ends_in_json_text() -> None:
    schema = {"$ref": "#/$defs/T", "$defs": {"T": TREE}}
    found = output_type(schema)
    assert found == pa.struct([("v", pa.int64()), ("kids", pa.list_(pa.string()))])
    value = {"v": 1, "kids": [{"v": 2, "kids": []}]}
    assert to_output_array([value], found).to_pylist() == [{"v": 1, "kids": ['{"v":2,"kids":[]}']}]


def test_a_schema_used_twice_is_not_recursive() -> None:
    schema = {"$defs": {"P": POINT}, "type": "object", "properties": {"a": {"$ref": "#/$defs/P"}}}
    schema["properties"]["b"] = {"$ref": "#/$defs/P"}  # type: ignore[index]
    assert output_type(schema) == pa.struct([("a", POINT_TYPE), ("b", POINT_TYPE)])


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (INTEGER, 3.0, 3),
        (NUMBER, 3, 3.0),
        (NUMBER, 2**60 + 1, 2.0**60),
        ({}, "text", '"text"'),
        ({}, {"b": 1, "a": [None]}, '{"b":1,"a":[null]}'),
        ({}, None, None),
        (STRING, "text", "text"),
        ({"type": "array"}, [1, "a", None], ["1", '"a"', None]),
        (POINT, {"x": 1, "other": 2}, {"x": 1.0}),
        (POINT, {}, {"x": None}),
    ],
)
def test_values_take_their_columns_shape(schema: Any, value: Any, expected: Any) -> None:
    whole = {"type": "object", "properties": {"f": schema}}
    assert to_output_array([{"f": value}], output_type(whole)).to_pylist() == [{"f": expected}]


def test_a_document_without_an_answer_is_null() -> None:
    assert to_output_array([None, {"x": 1}], output_type(POINT)).to_pylist() == [None, {"x": 1.0}]
    assert len(to_output_array([], output_type(POINT))) == 0


def test_the_prompt_offers_the_type() -> None:
    assert Prompt(PromptSpec(model="m", template="hi", schema=POINT)).output_type == POINT_TYPE
    assert Prompt(PromptSpec(model="m", template="hi")).output_type is None


Case = tuple[dict[str, Any], st.SearchStrategy[Any]]
INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SCALARS: list[Case] = [
    (STRING, TEXT),
    ({"enum": ["a", "b"]}, st.sampled_from(["a", "b"])),
    (INTEGER, INTEGERS | st.sampled_from([2.0, -3.0])),
    (NUMBER, st.floats(allow_nan=False, allow_infinity=False) | INTEGERS),
    (BOOLEAN, st.booleans()),
    ({}, st.recursive(st.none() | TEXT | INTEGERS, lambda inner: st.lists(inner, max_size=2), max_leaves=4)),
    ({"type": ["string", "boolean"]}, TEXT | st.booleans()),
]


def nullable(case: Case) -> Case:
    return {"anyOf": [case[0], NULL]}, st.none() | case[1]


def listed(case: Case) -> Case:
    return {"type": "array", "items": case[0]}, st.lists(case[1], max_size=3)


def grouped(members: dict[str, Case]) -> Case:
    values = st.fixed_dictionaries({}, optional={name: value for name, (_, value) in members.items()})
    return {"type": "object", "properties": {name: schema for name, (schema, _) in members.items()}}, values


def objects(inner: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    return st.dictionaries(TEXT.filter(bool), inner, min_size=1, max_size=3).map(grouped)


GROUPS = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: inner.map(nullable) | inner.map(listed) | objects(inner),
    max_leaves=6,
)


@settings(deadline=None)  # the machine may be busy
@given(case=objects(GROUPS), draw=st.data())
def test_every_valid_answer_parses_and_survives_parquet(case: Case, draw: st.DataObject) -> None:
    schema, strategy = case
    values = draw.draw(st.lists(strategy, max_size=3))
    parsed = [answer_format(schema).parse(json.dumps(value)) for value in values]
    found = output_type(schema)
    table = pa.table({"output": to_output_array([*parsed, None], found)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    read = pq.read_table(pa.BufferReader(sink.getvalue()))["output"].to_pylist()
    assert read == [*(expected(value, found) for value in values), None]


def expected(value: Any, type: pa.DataType, json_text: bool = False) -> Any:
    """What a reader should find: written apart from the code, by the type alone."""
    if value is None:
        return None
    if json_text:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if pa.types.is_struct(type):
        return {each.name: expected(value.get(each.name), each.type, bool(each.metadata)) for each in type}
    if pa.types.is_list(type):
        return [expected(each, type.value_type, bool(type.value_field.metadata)) for each in value]
    return float(value) if pa.types.is_floating(type) else value
