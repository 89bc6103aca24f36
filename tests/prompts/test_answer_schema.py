"""The schema itself, and answers against it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from prefect_llm.prompts.answer_schema import answer_format
from prefect_llm.values.errors import BadResponse, InvalidInput
from prefect_llm.values.outcome import ErrorKind

STRING = {"type": "string"}
ITEM = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}
SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"enum": ["good", "bad"]},
        "count": {"type": "integer"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        "more": {},
    },
    "required": ["label"],
    "additionalProperties": False,
    "$defs": {"Item": ITEM},
}


def mismatch(text: str, schema: dict[str, Any] = SCHEMA) -> str:
    with pytest.raises(BadResponse) as caught:
        answer_format(schema).parse(text)
    assert caught.value.kind is ErrorKind.SCHEMA_MISMATCH
    assert len(caught.value.message) <= 500
    assert "\n" not in caught.value.message
    return caught.value.message


def refused(schema: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        answer_format(schema)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_an_answer_that_satisfies_the_schema_is_its_value() -> None:
    text = ' {"label": "good", "count": 3, "items": [{"price": 1}]}\n'
    assert answer_format(SCHEMA).parse(text) == {"label": "good", "count": 3, "items": [{"price": 1}]}


def test_a_mismatch_says_where_and_what() -> None:
    message = mismatch('{"label": "good", "items": [{"price": 1}, {"price": "x"}]}')
    assert message == "the answer fails its schema: $.items[1].price: 'x' is not of type 'number'"


@pytest.mark.parametrize(
    "text", ['```json\n{"label": "good"}\n```', "", "good", '{"label": "good"', '{"label": "\\ud800"}', "NaN"]
)
def test_an_answer_that_is_not_json_is_a_mismatch(text: str) -> None:
    assert "it is not JSON" in mismatch(text)


GOOD = '{"label": "good"}'
WRAPPED = [
    f"```json\n{GOOD}\n```",
    f"```\n{GOOD}\n```\n",
    f"``` JSON\n{GOOD}",
    f"```json {GOOD}```",
    f"<think>\nIs it {{good}}?\n</think>\n\n{GOOD}",
    f"Is it good?\n</think>{GOOD}",
    f"<thinking>so</thinking>```json\n{GOOD}\n```",
]


@pytest.mark.parametrize("text", WRAPPED)
def test_what_stands_around_json_is_named_and_taken_off_on_demand(text: str) -> None:
    assert answer_format(SCHEMA, lenient=True).parse(text) == {"label": "good"}
    message = mismatch(text)
    assert "it begins with " in message
    assert "lenient_json takes it off" in message
    assert ("a block of thoughts" if "</think" in text else "a Markdown fence") in message


@pytest.mark.parametrize("text", [GOOD, f"  {GOOD}\n", '{"label": "good", "more": "```json </think> ```"}'])
def test_json_alone_is_read_the_same_either_way(text: str) -> None:
    assert answer_format(SCHEMA, lenient=True).parse(text) == answer_format(SCHEMA).parse(text)


@pytest.mark.parametrize("text", ["Here it is: {}", "good", f"```json\n{GOOD}\n```\nThere you are.", "```json\n```"])
def test_words_around_json_fail_leniently_too_and_are_shown(text: str) -> None:
    with pytest.raises(BadResponse, match="it is not JSON"):
        answer_format(SCHEMA, lenient=True).parse(text)
    assert f"it begins with {text[:60]!r}" in mismatch(text)


def test_a_huge_answer_does_not_hide_the_rule_it_broke() -> None:
    message = mismatch('{"label": "%s"}' % ("x" * 5000))
    assert 'the rule is {"enum":["good","bad"]}' in message


@pytest.mark.parametrize("number", ["9223372036854775808", "1e30", "-1e19", "9223372036854775807.0"])
def test_an_integer_beyond_64_bits_fails_its_own_row(number: str) -> None:
    assert "does not fit into 64 bits" in mismatch(f'{{"label": "good", "count": {number}}}')


@pytest.mark.parametrize("number", ["9223372036854775807", "-9223372036854775808", "3.0"])
def test_an_integer_of_64_bits_passes(number: str) -> None:
    assert answer_format(SCHEMA).parse(f'{{"label": "good", "count": {number}}}')["label"] == "good"


def test_an_answer_nested_too_deeply_fails_its_own_row() -> None:
    assert "nested too deeply" in mismatch('{"label": "good", "more": ' + "[" * 500 + "]" * 500 + "}")
    tree = {"type": "object", "properties": {"a": {"$ref": "#"}}}
    assert "nested too deeply" in mismatch('{"a":' * 1000 + "{}" + "}" * 1000, tree)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (["object"], "must be a JSON object, not list"),
        ({"type": "objekt"}, "$.type: 'objekt' is not valid"),
        ({**SCHEMA, "properties": {"a": {"type": "string", "pattern": "("}}}, "is not a 'regex'"),
        ({**SCHEMA, "$schema": "https://example.com/own"}, "not a known draft"),
        ({**SCHEMA, "$schema": ["draft-07"]}, "not a known draft"),
        ({**SCHEMA, "properties": {"a": {"$ref": "https://example.com/a.json"}}}, "leaves the schema"),
        ({**SCHEMA, "properties": {"a": {"$ref": "a.json#/b"}}}, "leaves the schema"),
        ({**SCHEMA, "properties": {"a": {"$ref": "#/$defs/Itm"}}}, "'#/$defs/Itm' leads nowhere"),
        ({**SCHEMA, "properties": {"a": {"$ref": "#anchor"}}}, "'#anchor' leads nowhere"),
        ({**SCHEMA, "properties": {"a": {"$ref": "#-type"}}}, "'#-type' leads nowhere"),
        ({**SCHEMA, "properties": {"a": {"items": {"$ref": "#/no"}}}}, "'#/no' leads nowhere"),
        ({**SCHEMA, "properties": {"default": {"$ref": "#/no"}}}, "'#/no' leads nowhere"),
        ({**SCHEMA, "$defs": {"Item": {"anyOf": [{"$ref": "#/$defs/Item/anyOf/1"}]}}}, "anyOf/1' leads nowhere"),
        ({**SCHEMA, "$defs": {"Item": {**ITEM, "$id": "item.json"}}}, "embedded $id"),
        ({"type": "string"}, '"type": "object"'),
        ({"type": "object"}, '"type": "object"'),
        ({"type": "array", "items": ITEM}, '"type": "object"'),
        ({"properties": {"a": {}}}, '"type": "object"'),
        ({"$ref": "#"}, '"type": "object"'),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: Any, said: str) -> None:
    assert said in refused(schema)


def test_the_dialect_that_the_schema_names_is_respected() -> None:
    """In draft 4 an `exclusiveMinimum` is a boolean beside `minimum`; in 2020-12 it is a number."""
    properties = {"a": {"type": "integer", "minimum": 3, "exclusiveMinimum": True}}
    assert "exclusiveMinimum" in refused({"type": "object", "properties": properties})
    draft_4 = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": properties,
    }
    assert "$.a" in mismatch('{"a": 3}', draft_4)


def test_a_property_may_be_called_ref_and_an_example_may_hold_one() -> None:
    properties = {"$ref": {"type": "string"}, "a": {"const": {"$ref": "x"}}}
    schema = {"type": "object", "properties": properties}
    assert answer_format(schema).parse('{"$ref": "u"}') == {"$ref": "u"}


def test_a_reference_into_a_list_is_followed() -> None:
    lists = {"Lists": {"anyOf": [STRING, ITEM]}}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/Lists/anyOf/1"}}, "$defs": lists}
    assert "$.a.price" in mismatch('{"a": {"price": "x"}}', schema)


def test_an_anchor_is_followed() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#item"}},
        "$defs": {"Item": {"$anchor": "item", **ITEM}},
    }
    assert "$.a.price" in mismatch('{"a": {"price": "x"}}', schema)


PRICES = ["19.99", "0.07", "1.1", "0.29", "100.35", "8.41", "4.35", "-0.57", "2", "0", "1e-2", "123456789.01"]


def priced(rule: str, number: str) -> str:
    """Why the number fails the rule; empty if it does not."""
    schema = json.loads(f'{{"type": "object", "properties": {{"a": {{"type": "number", {rule}}}}}}}')
    try:
        answer_format(schema).parse(f'{{"a": {number}}}')
    except BadResponse as error:
        return error.message
    return ""


@pytest.mark.parametrize("number", PRICES)
def test_a_number_of_cents_is_a_multiple_of_a_cent(number: str) -> None:
    assert not priced('"multipleOf": 0.01', number)


@pytest.mark.parametrize(
    ("rule", "number", "fits"),
    [
        ('"multipleOf": 0.01', "19.995", False),
        ('"multipleOf": 0.01', "1e-3", False),
        ('"multipleOf": 0.1', "0.3", True),
        ('"multipleOf": 0.1', "0.30000000000000004", False),
        ('"multipleOf": 10', "1e23", True),
        ('"multipleOf": 0.001', "1e308", True),
        ('"multipleOf": 3', "1e308", False),
        ('"multipleOf": 1e-300', "0.5", True),
        ('"multipleOf": 2.5', "7.5", True),
        ('"multipleOf": 2.5', "8", False),
        ('"multipleOf": 1.0', "9007199254740993", True),
        ('"maximum": 0.3', "0.3", True),
        ('"maximum": 0.3', "0.30000000000000004", False),
        ('"exclusiveMinimum": 0.1', "0.1", False),
        ('"exclusiveMaximum": 9007199254740993', "9007199254740992", True),
        ('"minimum": 9007199254740993', "9007199254740992.0", False),
        ('"const": 0.1', "0.10", True),
        ('"enum": [1.0]', "1", True),
    ],
)
def test_numbers_are_compared_as_decimals(rule: str, number: str, fits: bool) -> None:
    assert (not priced(rule, number)) == fits


@pytest.mark.parametrize("draft", ["http://json-schema.org/draft-04/schema#", None])
def test_decimals_hold_below_a_reference_to_the_whole_schema_too(draft: str | None) -> None:
    tree = {
        "type": "object",
        "properties": {"price": {"type": "number", "multipleOf": 0.01}, "more": {"$ref": "#"}},
    }
    schema = tree | ({"$schema": draft} if draft else {})
    text = '{"price": 0.07, "more": {"price": 19.99, "more": {"price": 1.1}}}'
    assert answer_format(schema).parse(text)["more"]["price"] == 19.99
    assert "$.more.price: 19.999 is not a multiple of 0.01" in mismatch('{"more": {"price": 19.999}}', schema)


@pytest.mark.parametrize("pattern", [r"^\p{L}+$", "(?<year>[0-9]{4})", r"^\u{1F600}$", "("])
def test_a_pattern_that_only_ecmascript_knows_is_refused_as_such(pattern: str) -> None:
    said = refused({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}})
    assert "$.properties.a.pattern" in said
    assert "is not a 'regex' that Python knows" in said
    assert "ECMAScript" in said


def test_a_rule_that_nobody_enforces_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rules = {
        "code": {"type": "string", "pattern": "^[0-9]+$"},
        "share": {"type": "number", "maximum": 1},
        "tags": {"type": "object", "patternProperties": {"^x-": STRING}},
    }
    parse = answer_format({"type": "object", "properties": rules}).parse
    answers = ['{"code": "a"}', '{"code": "b"}', '{"share": 2}', "not JSON", '{"code": "7"}', '{"tags": {"x-a": 1}}']
    for text in answers * 2:
        with suppress(BadResponse):
            parse(text)
    said = [record.getMessage() for record in caplog.records]
    assert [each.split(" in the schema")[0] for each in said] == [
        "the endpoint accepts pattern",
        "the endpoint accepts maximum",
        "the endpoint accepts type",
    ]
    assert "an answer breaks it at $.code." in said[0]
