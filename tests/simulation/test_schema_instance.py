"""Instances of JSON schemas, judged by the jsonschema package."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from prefect_llm.simulation.schema_instance import NoInstance, minimal_instance

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "right": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "left", "right"],
        }
    },
    "$ref": "#/$defs/node",
}
ITSELF = {
    "type": "object",
    "properties": {"next": {"anyOf": [{"$ref": "#"}, {"const": "end"}]}},
    "required": ["next"],
}
NESTED = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": ["billing", "shipping"]},
        "people": {
            "type": "array",
            "minItems": 2,
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string", "minLength": 7}, "age": {"type": "integer", "minimum": 18}},
                "required": ["name", "age"],
                "additionalProperties": False,
            },
        },
        "note": {"type": ["string", "null"]},
        "optional": {"type": "number"},
    },
    "required": ["label", "people", "note"],
    "additionalProperties": False,
}
MERGED = {
    "allOf": [
        {"$ref": "#/definitions/named"},
        {"properties": {"size": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}}, "required": ["size"]},
    ],
    "definitions": {"named": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
}


@pytest.mark.parametrize(
    "schema",
    [
        {}, True, {"type": "string"}, {"type": "boolean"}, {"type": "null"}, {"type": "object"}, {"type": "array"},
        {"const": [1, {"a": None}]}, {"enum": ["b", "a"]}, {"type": ["null", "string"]},
        {"type": "string", "maxLength": 2}, {"type": "string", "minLength": 30}, {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^[A-Z]{3}$"}, {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
        {"type": "number", "minimum": 0.5}, {"type": "number", "maximum": -2.5},
        {"type": "number", "exclusiveMinimum": 1.5, "exclusiveMaximum": 1.6},
        {"type": "integer", "minimum": 7, "multipleOf": 5}, {"type": "integer", "exclusiveMaximum": -3},
        {"type": "array", "minItems": 2, "prefixItems": [{"const": 1}], "items": {"type": "string"}},
        {"anyOf": [False, {"type": "integer", "minimum": 3}]}, {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        {"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object", "properties": {"a": {}}},
        {"required": ["x"]}, {"items": {"type": "string"}}, TREE, ITSELF, NESTED, MERGED,
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"$ref": "#/$defs/c"}, "c": {"enum": [4]}}},
    ],
)  # fmt: skip
def test_the_instance_fits_its_schema(schema: Any) -> None:
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(minimal_instance(schema))


def test_the_instance_is_small_and_takes_the_first_that_is_allowed() -> None:
    assert minimal_instance(NESTED) == {
        "label": "billing",
        "people": [{"name": "textttt", "age": 18}] * 2,
        "note": "text",
    }
    assert minimal_instance(TREE) == {"value": 0, "left": None, "right": None}


@given(
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6),
    st.sampled_from(["minimum", "exclusiveMinimum"]),
    st.sampled_from(["maximum", "exclusiveMaximum"]),
)
def test_numbers_keep_their_bounds(low: float, width: float, least: str, most: str) -> None:
    schema = {"type": "number", least: low, most: low + width + 1e-3}
    Draft202012Validator(schema).validate(minimal_instance(schema))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (False, "allows nothing"),
        ({"$ref": "#"}, "recurs without end"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "recurs without end"),
        ({"$ref": "#/$defs/nowhere"}, "leads nowhere"),
        ({"$ref": "https://example.com/schema"}, "leads out"),
        ({"type": "string", "minLength": "long"}, "not a JSON schema"),
        ({"type": "string", "pattern": "("}, "not a JSON schema"),
        ({"type": "number", "multipleOf": 0, "minimum": 1}, "not a JSON schema"),
    ],
)
def test_a_schema_without_an_instance_is_said_to_have_none(schema: Any, why: str) -> None:
    with pytest.raises(NoInstance, match=why):
        minimal_instance(schema)


def test_a_schema_of_ever_more_alternatives_is_given_up_in_time() -> None:
    names = [f"d{number}" for number in range(12)]
    definitions = {
        name: {"anyOf": [{"type": "object", "properties": {"a": {"$ref": f"#/$defs/{other}"}}, "required": ["a"]}
                         for other in names if other != name]}
        for name in names
    }  # fmt: skip
    started = time.process_time()
    with pytest.raises(NoInstance, match="too many alternatives"):
        minimal_instance({"$defs": definitions, "$ref": "#/$defs/d0"})
    assert time.process_time() - started < 5
