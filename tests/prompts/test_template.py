"""What a template makes of a document: text, or a row that failed with a reason."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest

from prefect_llm.prompts import Prompt, PromptSpec
from prefect_llm.values.errors import BadDocument, InvalidInput


def render(template: str, *, null_as: str | None = None, **fields: Any) -> str:
    prompt = Prompt(PromptSpec(model="m", template=template, null_as=null_as))
    content = prompt.request(0, "doc-1", fields).messages[-1]["content"]
    assert isinstance(content, str)
    return content


def refusal(template: str, *, null_as: str | None = None, **fields: Any) -> str:
    with pytest.raises(BadDocument) as caught:
        render(template, null_as=null_as, **fields)
    return caught.value.message


def test_text_numbers_and_the_template_itself_are_kept_as_they_are() -> None:
    assert render("<b>{{ t }}</b> {{ n }} {{ x }} {{ ok }}\n", t="a & b", n=3, x=1.5, ok=True) == (
        "<b>a & b</b> 3 1.5 True\n"
    )


def test_dates_and_decimals_print() -> None:
    assert render("{{ d }} {{ m }}", d=datetime.date(2024, 5, 1), m=Decimal("1.50")) == "2024-05-01 1.50"


def test_any_column_name_is_reached_through_row() -> None:
    assert render("{{ row['ticket text'] }}/{{ row.title }}", **{"ticket text": "t", "title": "u"}) == "t/u"


def test_a_column_named_row_is_reached_through_row() -> None:
    assert render("{{ row.row }}", row="r") == "r"


def test_the_documents_id_is_there_without_a_column() -> None:
    assert render("{{ id }} {{ row.id }}") == "doc-1 doc-1"


def test_a_column_named_id_wins_over_the_documents_id() -> None:
    assert render("{{ id }}", id="own") == "own"


def test_the_documents_id_does_not_slip_into_the_whole_row() -> None:
    assert render("{{ row | tojson }}", a=1) == '{"a": 1}'


@pytest.mark.parametrize(
    "template",
    [
        "{{ x }}",
        "{{ x | upper }}",
        "{{ x | tojson }}",
        "{{ x | items | list }}",
        "{{ x | pprint }}",
        "{{ x | int }}",
        "{{ x | map('upper') | list }}",
        "{{ x ~ 'a' }}",
        "{{ x + 'a' }}",
        "{{ 'a %s' % x }}",
        "{{ 'a {}'.format(x) }}",
        "{{ [x, 'b'] | join }}",
        "{{ [x] }}",
        "{% for each in x %}{{ each }}{% endfor %}",
        "{{ x.title }}",
        "{{ x[0] }}",
        "{{ x() }}",
        "{{ row.x }}",
        "{% filter upper %}{{ x }}{% endfilter %}",
        "{% set y = x %}{{ y }}",
        "{% macro m(y) %}{{ y }}{% endmacro %}{{ m(x) }}",
    ],
)
def test_using_a_null_fails_the_row_and_names_the_field(template: str) -> None:
    assert refusal(template, x=None) == ("prompt template, line 1: field 'x' is null; give null_as or a default")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% if x %}yes{% else %}no{% endif %}", "no"),
        ("{{ x is none }} {{ x is defined }} {{ x == none }} {{ x == 'a' }}", "True True True False"),
        ("{{ x is iterable }} {{ x is string }} {{ x in ['a'] }}", "False False False"),
        ("{{ x | default('y') }} {{ x | d('y') | upper }}", "y Y"),
        ("{{ x or 'y' }}", "y"),
        ("{{ x.title | default('y') }}", "y"),
    ],
)
def test_a_null_may_be_asked_about_and_replaced(template: str, expected: str) -> None:
    assert render(template, x=None) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ x }}", "n/a"),
        ("{{ x | upper }}", "N/A"),
        ("{{ x ~ '!' }}", "n/a!"),
        ("{{ [x, 'b'] | join('+') }}", "n/a+b"),
        ("{{ x | join('+') }}", "n/a"),
        ("{{ x | default('y') }}", "y"),
        ("{{ x is none }} {{ x is defined }} {{ x == none }} {{ x != none }}", "True True True False"),
        ("{% if x %}yes{% else %}no{% endif %}", "no"),
        ("{{ none }}", "n/a"),
        ("{{ {'a': x} | tojson }}", '{"a": null}'),
    ],
)
def test_with_null_as_a_null_prints_as_that_text_and_stays_a_null(template: str, expected: str) -> None:
    assert render(template, null_as="n/a", x=None) == expected


def test_default_replaces_an_empty_text_only_when_asked_to() -> None:
    assert render("[{{ x | default('y') }}] [{{ x | default('y', true) }}]", x="") == "[] [y]"


def test_an_empty_null_as_prints_nothing() -> None:
    assert render("[{{ x }}]", null_as="", x=None) == "[]"


def test_a_null_inside_a_field_is_named_with_its_path() -> None:
    meta = {"tags": ["a", None]}
    assert "field 'meta.tags[1]' is null" in refusal("{{ meta.tags | join(',') }}", meta=meta)
    assert "field 'meta.tags[1]' is null" in refusal("{{ meta }}", meta=meta)


def test_a_null_without_a_field_fails_too() -> None:
    assert "prints a null" in refusal("{{ {}.get('absent') }}")


def test_a_null_inside_json_is_a_null() -> None:
    meta = {"b": "it's <ü>", "a": None, "c": [None]}
    assert render("{{ meta | tojson }}", meta=meta) == '{"b": "it\'s <ü>", "a": null, "c": [null]}'


def test_tojson_writes_dates_and_decimals() -> None:
    row = {"d": datetime.datetime(2024, 5, 1, 2, 3), "m": Decimal("1.50")}
    assert render("{{ m | tojson }}", m=row) == '{"d": "2024-05-01T02:03:00", "m": "1.50"}'


@pytest.mark.parametrize(
    "template", ["{{ x }}", "{{ x | upper }}", "{{ x ~ 'a' }}", "{{ [x] | join }}", "{{ {'a': x} | tojson }}"]
)
def test_a_binary_field_is_not_text(template: str) -> None:
    assert "field 'x' is binary, not text" in refusal(template, x=b"\xff\x00")


@pytest.mark.parametrize("template", ["{{ x[0:1] }}", "{{ x[0:1] | upper }}"])
def test_a_part_of_a_binary_field_is_not_text_either(template: str) -> None:
    assert "not text" in refusal(template, x=b"ab")


def test_a_binary_field_may_be_decoded() -> None:
    assert render("{{ x.decode() }}", x="ü".encode()) == "ü"


def test_undecodable_text_fails_the_row() -> None:
    assert "surrogates not allowed" in refusal("{{ x }}", x="\ud800")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ 1 / n }}", "ZeroDivisionError"),
        ("{{ n + 'a' }}", "TypeError"),
        ("{{ n.__class__.__mro__ }}", "unsafe"),
        ("{{ range(10 ** 9) | list }}", "OverflowError"),
        ("{{ 'x' * (2 ** 62) }}", "MemoryError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{{ [n] | map('upper') }}", "prints a generator, which is not text"),
        ("{{ row.values }}", "prints a builtin_function_or_method, which is not text"),
    ],
)
def test_a_failing_expression_fails_its_row_only(template: str, said: str) -> None:
    assert said in refusal(template, n=0)


@pytest.mark.parametrize(
    "template",
    [
        "{{ order.items }}",
        "{% for each in order.items %}{{ each }}{% endfor %}",
        "{{ order.items | join }}",
        "{{ order.items | length }}",
        "{{ order.items[0] }}",
        "{{ order.items ~ '' }}",
        "{{ {'a': order.items} | tojson }}",
        "{% if order.items %}x{% endif %}",
        "{{ row.order.items }}",
    ],
)
def test_a_field_that_is_hidden_by_a_method_is_named(template: str) -> None:
    said = '"order.items" is a method; for the field of that name write order["items"]'
    assert said in refusal(template, order={"items": ["a"]})


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ("{{ orders[0].items }}", "orders[0]"),
        ("{{ meta.order.values }}", "meta.order"),
        ("{% for each in orders %}{{ each.items }}{% endfor %}", "orders[0]"),
        ("{{ row.keys }}", "row"),
    ],
)
def test_the_field_is_named_by_its_place(template: str, place: str) -> None:
    fields: dict[str, Any] = {"orders": [{"items": 1}], "meta": {"order": {"values": 2}}, "keys": 3}
    assert f"for the field of that name write {place}[" in refusal(template, **fields)


def test_fields_print_and_are_found_as_those_of_a_dict() -> None:
    order = {"path": "p", "n": {"_fields": 1}}
    assert render("{{ order.path }} {{ order }} {{ order is mapping }}", order=order) == f"p {order} True"


def test_a_field_that_is_hidden_by_a_method_is_reached_by_brackets_and_the_method_by_a_call() -> None:
    order = {"items": ["a"], "n": 1}
    assert render('{{ order["items"] | join }}', order=order) == "a"
    assert render("{% for key, value in order.items() %}{{ key }}{% endfor %}", order=order) == "itemsn"


def test_a_map_is_a_dict_whose_keys_json_has() -> None:
    assert render("{{ x.color }}", x={"color": "red"}) == "red"
    assert render("{{ x | tojson }}", x={datetime.date(2026, 1, 2): 1, 2: None}) == '{"2026-01-02": 1, "2": null}'


def test_a_failure_names_the_templates_line() -> None:
    assert refusal("one\n{{ x }}\n{{ y }}\n{{ y }}", x=None, y="a").startswith("prompt template, line 2: ")


def test_a_missing_optional_column_that_is_printed_elsewhere_fails_the_row() -> None:
    assert "'x' is undefined" in refusal("{{ x }}")


def test_a_message_is_one_short_line() -> None:
    message = refusal("{{ {}[n] }}", n="y\n" * 1000)
    assert len(message) == 500
    assert "\n" not in message


def test_a_template_cannot_change_the_document() -> None:
    fields: dict[str, Any] = {"tags": ["a"], "meta": {"k": [1]}}
    assert render("{% set _ = tags.append('b') %}{% set _ = meta.k.append(2) %}{{ tags | join }}", **fields) == "ab"
    assert fields == {"tags": ["a"], "meta": {"k": [1]}}


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n{{ x", "prompt template, line 2: "),
        ("{{ x", "expected 'end of print statement'. Close it with }}"),
        ("{% if x", "expected 'end of statement block'. Close it with %}"),
        ("{{ x }", "line 1: unexpected '}': close {{ with }} and {% with %}"),
        ("a\n\n{% if x %}", "prompt template, line 3: "),
        ("{% if x %}\n{{ x | shout }}{% endif %}", "line 2: there is no filter named 'shout'"),
        ("{% if x %}{{ x is loud }}{% endif %}", "line 1: there is no test named 'loud'"),
        ("{{ [1, 2] | random }}", "there is no filter named 'random'"),
        ("{% include 'other.txt' %}", "cannot load another file"),
        ("{% extends base %}", "cannot load another file"),
    ],
)
def test_a_template_that_no_document_could_pass_is_refused_with_its_line(template: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Prompt(PromptSpec(model="m", template=template))
    assert said in caught.value.message


def test_a_broken_system_template_is_named_as_such() -> None:
    with pytest.raises(InvalidInput, match=r"^system template, line 1: "):
        Prompt(PromptSpec(model="m", template="x", system="{{"))
