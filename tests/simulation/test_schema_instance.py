"""Instances of JSON schemas, judged by the jsonschema package."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from prefect_llm.prompts.answer_schema import answer_format
from prefect_llm.prompts.strict_schema import rules_in
from prefect_llm.simulation.asked import NoInstance
from prefect_llm.simulation.schema_instance import minimal_instance

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


TEXT, WHOLE, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^[a-f0-9]{8}-[a-f0-9]{4}$"},
        {"type": "string", "pattern": "^(foo|bar)+\\.(com|org)$"},
        {"type": "string", "pattern": r"^\+?[1-9]\d{1,14}$"},
        {"type": "string", "pattern": r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$"},
        {"type": "string", "pattern": r"^(\d{4})-(\d\d)\1$"},
        {"type": "string", "pattern": "^x*$", "minLength": 7},
        {"type": "string", "pattern": r"^(?=.*\d)(?=.*[a-z])(?=.*[A-Z]).{8,}$"},
        {"type": "string", "pattern": "^(?!text)"},
        {"type": "string", "pattern": "^[a-z ]+$", "minLength": 40, "maxLength": 41},
        {"type": "string", "pattern": "ß|Ä"},
        {"type": "string", "pattern": "^[^a-zA-Z]$"},
        {"type": "string", "pattern": "^[A-Z]", "minLength": 6},
        {"type": "string", "pattern": "[A-Z]$", "minLength": 6},
        {"type": "string", "format": "uuid", "pattern": "^[0-9a-f-]+$"},
        {"type": "array", "items": WHOLE, "minItems": 5, "uniqueItems": True},
        {"type": "array", "items": TEXT, "minItems": 30, "uniqueItems": True},
        {"type": "array", "items": {"type": "string", "maxLength": 1}, "minItems": 12, "uniqueItems": True},
        {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "items": FLAG, "minItems": 2, "maxItems": 2, "uniqueItems": True},
        {"type": "array", "items": {"type": "string", "pattern": "^[A-Z]{3}$"}, "minItems": 4, "uniqueItems": True},
        {
            "type": "array",
            "items": {"type": "number", "multipleOf": 0.01, "minimum": 0.5},
            "minItems": 9,
            "uniqueItems": True,
        },
        {
            "type": "array",
            "uniqueItems": True,
            "minItems": 3,
            "items": {"type": "object", "properties": {"a": WHOLE, "b": FLAG}, "required": ["a", "b"]},
        },
        {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"anyOf": [FLAG, {"type": "null"}]}},
        {"type": "array", "uniqueItems": True, "minItems": 2, "items": {"type": "array", "items": WHOLE}},
        {"type": "array", "contains": {"const": 7}, "items": WHOLE, "minItems": 3},
        {"type": "array", "contains": {"minimum": 5}},
        {"type": "array", "contains": {"type": "string"}, "minContains": 2, "maxContains": 2, "minItems": 4},
        {"type": "array", "prefixItems": [TEXT, WHOLE], "items": False, "minItems": 2},
        {"not": {"type": "null"}},
        {"type": "string", "not": {"const": "text"}},
        {"type": "integer", "not": {"maximum": 3}},
        {"type": "object", "properties": {"a": TEXT}, "minProperties": 3},
        {"type": "object", "properties": {"a": TEXT, "b": WHOLE}, "minProperties": 2, "additionalProperties": False},
        {"type": "object", "patternProperties": {"^x-": WHOLE}, "additionalProperties": False, "minProperties": 2},
        {"type": "object", "propertyNames": {"pattern": "^[a-z]{3}$"}, "minProperties": 3},
        {"type": "object", "additionalProperties": WHOLE, "required": ["n"], "minProperties": 2},
        {
            "type": "object",
            "required": ["a"],
            "dependentRequired": {"a": ["b"], "b": ["c"]},
            "properties": {"c": WHOLE},
        },
        {
            "type": "object",
            "properties": {"a": TEXT},
            "required": ["a"],
            "dependentSchemas": {"a": {"required": ["b"], "properties": {"b": WHOLE}}},
        },
        {
            "type": "object",
            "properties": {"kind": {"enum": ["x", "y"]}},
            "required": ["kind"],
            "if": {"properties": {"kind": {"const": "x"}}},
            "then": {"required": ["n"], "properties": {"n": WHOLE}},
            "else": {"required": ["m"]},
        },
        {"type": "integer", "if": {"minimum": 0}, "then": {"minimum": 10}},
        {"oneOf": [{"type": "number", "multipleOf": 3}, {"type": "number", "multipleOf": 5}], "minimum": 1},
        {"allOf": [{"minimum": 3}, {"maximum": 4}, {"type": "number"}]},
        {"allOf": [{"minLength": 3}, {"maxLength": 9}, TEXT]},
        {"type": "number", "multipleOf": 0.01, "exclusiveMinimum": 0.1, "maximum": 0.12},
        {"type": "number", "multipleOf": 0.1, "minimum": 0.25},
        {"type": "number", "multipleOf": 2.5, "maximum": -1},
        {"type": "number", "exclusiveMinimum": 1e-9, "exclusiveMaximum": 2e-9},
        {"type": "string", "enum": ["long one", "x"], "maxLength": 3},
        {"type": "string", "description": 'words; rules: {"minLength":9,"pattern":"^[a-z]+$"}'},
        {"type": ["integer", "string"], "minLength": 3, "minimum": 9},
    ],
)
def test_every_keyword_is_met(schema: Any) -> None:
    Draft202012Validator.check_schema(schema)
    value = minimal_instance(schema)
    checked = schema | rules_in(schema.get("description"))
    answer_format({"type": "object", "properties": {"v": checked}}).parse(json.dumps({"v": value}))


def test_a_value_that_does_not_exist_is_not_made_up() -> None:
    for schema in (
        {"type": "array", "items": FLAG, "minItems": 3, "uniqueItems": True},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"type": "integer", "not": {}},
        {"type": "object", "properties": {"a": WHOLE}, "additionalProperties": False, "minProperties": 2},
        {"allOf": [{"const": 1}, {"const": 2}]},
    ):
        with pytest.raises(NoInstance):
            minimal_instance(schema)


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
