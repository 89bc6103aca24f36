"""The form in which a schema is sent, of pydantic's models above all: OpenAI takes it, and it means the same."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from prefect_llm.prompts.answer_schema import answer_format
from prefect_llm.prompts.strict_schema import strict_form
from prefect_llm.simulation.schema_instance import minimal_instance
from prefect_llm.simulation.strictness import complaint


class Kind(enum.Enum):
    A = "a"
    B = "b"


class Inner(BaseModel):
    """An inner one."""

    x: int = 3
    y: str | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str = Field(max_length=4)


class Node(BaseModel):
    value: int
    children: list[Node] = []
    parent: Node | None = Field(None, description="the one above")


class Everything(BaseModel):
    name: str = Field(min_length=1, description="the name")
    age: Annotated[int, Field(ge=0, le=150)] | None = None
    kind: Kind = Kind.A
    inner: Inner = Field(description="described")
    inners: list[Inner] = Field(max_length=3)
    pet: Cat | Dog = Field(discriminator="kind")
    either: int | str | list[bool]
    pair: tuple[int, str] = (1, "a")
    unique: set[int] = set()
    day: dt.date
    moment: dt.datetime
    span: dt.timedelta
    key: uuid.UUID
    half: float = Field(multiple_of=0.5)
    price: Decimal
    code: str = Field(pattern="^[A-Z]{2}$")
    node: Node
    flag: Literal[True]
    nothing: None = None
    extra: Literal["x", 1]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


@pytest.mark.parametrize("model", [Inner, Cat, Dog, Node, Everything, Open])
def test_what_pydantic_gives_is_sent_in_a_form_that_strict_mode_takes(model: type[BaseModel]) -> None:
    given = model.model_json_schema()
    strict = strict_form(given)
    assert strict is not None
    assert complaint(given) is not None
    assert complaint(strict) is None
    assert answer_format(given).strict_schema == strict
    model.model_validate(answer_format(given).parse(json.dumps(minimal_instance(strict))))


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        ({"type": "string", "default": "x", "title": "T"}, {"type": "string", "title": "T"}),
        (
            {"type": "string", "minLength": 1, "maxLength": 5},
            {"type": "string", "description": 'rules: {"minLength":1,"maxLength":5}'},
        ),
        (
            {"type": "string", "format": "uri", "description": "a link"},
            {"type": "string", "description": 'a link; rules: {"format":"uri"}'},
        ),
        ({"type": "string", "pattern": "^(?!a)b"}, {"type": "string", "description": 'rules: {"pattern":"^(?!a)b"}'}),
        (
            {"type": "string", "pattern": "^a$", "format": "email"},
            {"type": "string", "pattern": "^a$", "format": "email"},
        ),
        ({"enum": ["a", None]}, {"enum": ["a", None], "type": ["string", "null"]}),
        ({"const": 1}, {"const": 1, "type": "integer"}),
        ({"type": "number", "minimum": 0, "multipleOf": 0.01}, {"type": "number", "minimum": 0, "multipleOf": 0.01}),
        (
            {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 1},
            {
                "type": "array",
                "items": {"type": "integer"},
                "minItems": 1,
                "description": 'rules: {"uniqueItems":true}',
            },
        ),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"allOf": [{"$ref": "#/$defs/S"}], "default": "x"}, {"type": "string"}),
        ({"$ref": "#/$defs/S", "default": "x", "title": "T"}, {"$ref": "#/$defs/S"}),
        ({"$ref": "#/$defs/S", "description": "D"}, {"type": "string", "description": "D"}),
        (
            {"allOf": [{"type": "object", "properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
            {
                "type": "object",
                "properties": {"a": {"const": 1, "type": "integer"}, "b": {"const": 2, "type": "integer"}},
                "required": ["a", "b"],
                "additionalProperties": False,
            },
        ),
    ],
)
def test_each_keyword_becomes_what_strict_mode_has_for_it(part: dict[str, Any], sent: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"p": part}, "$defs": {"S": {"type": "string"}}}
    strict = strict_form(schema)
    assert strict is not None
    assert strict["properties"]["p"] == sent
    assert (strict["required"], strict["additionalProperties"]) == (["p"], False)
    assert complaint(strict) is None


@pytest.mark.parametrize(
    "part",
    [
        {},
        True,
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "patternProperties": {"^x": {}}},
        {"type": "array"},
        {"type": "array", "items": {}},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"$ref": "#name"},
    ],
)
def test_what_has_no_strict_form_has_none_as_a_whole(part: Any) -> None:
    named = {"$anchor": "name", "type": "string"}
    schema = {"type": "object", "properties": {"p": part}, "$defs": {"N": named}}
    assert strict_form(schema) is None
    assert answer_format(schema).forms == (schema,)


def test_copies_do_not_multiply_without_end() -> None:
    definitions: dict[str, Any] = {"D0": {"type": "string"}}
    for number in range(1, 40):
        part = {"$ref": f"#/$defs/D{number - 1}", "description": "x"}
        definitions[f"D{number}"] = {"type": "object", "properties": {"a": part, "b": part}}
    schema = {
        "type": "object",
        "properties": {"p": {"$ref": "#/$defs/D39", "description": "x"}},
        "$defs": definitions,
    }
    assert strict_form(schema) is None


def test_an_answer_is_checked_against_the_schema_as_it_was_given() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}, "b": {"type": "integer"}}}
    parse = answer_format(schema).parse
    assert parse('{"a": "abc"}') == {"a": "abc"}
    with pytest.raises(Exception, match="too long"):
        parse('{"a": "abcd", "b": 1}')
