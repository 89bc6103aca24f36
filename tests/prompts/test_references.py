"""Which columns a template needs, and which it may use."""

from __future__ import annotations

import pytest

from prefect_llm.prompts import Prompt, PromptSpec


def needed(template: str) -> set[str]:
    return set(Prompt(PromptSpec(model="m", template=template)).columns.needed)


def wanted(template: str) -> set[str] | None:
    found = Prompt(PromptSpec(model="m", template=template)).columns.wanted
    return None if found is None else set(found)


@pytest.mark.parametrize(
    "template",
    [
        "{{ x }}",
        "{{ x | upper }}",
        "{{ x | trim | default('') }}",
        "{{ x.y | default('') }}",
        "{{ x.y is defined }}",
        "{% if x %}{% endif %}",
        "{% if x is none %}{% endif %}",
        "{{ row.x }}",
        "{{ row['x'] }}",
        "{% if x is defined %}{{ x }}{% endif %}{{ x }}",
        "{% if x is not defined %}{{ x }}{% endif %}",
        "{% if x is defined %}{% else %}{{ x }}{% endif %}",
        "{% if x is defined or true %}{{ x }}{% endif %}",
        "{{ 'a' if x is defined else x }}",
        "{{ x is defined or x }}",
        "{% if x is defined %}{% set y = 1 %}{% endif %}{{ x }}",
        "{% set x = 1 %}{{ row.x }}",
        "{% if true is true %}{% set x = 1 %}{% endif %}{{ x }}",
        "{{ x | default(x) }}",
        "{% macro m(y) %}{{ x }}{% endmacro %}",
        "{% for i in [1] if x %}{% endfor %}",
        "{% filter replace(x, 'b') %}a{% endfilter %}",
        "{% set y %}{{ x }}{% endset %}",
        "{% with y = x %}{{ y }}{% endwith %}",
        "{% block b %}{{ x }}{% endblock %}",
        "{% call (i) caller(x) %}{% endcall %}",
        "{% if x | default(true) %}{{ x }}{% endif %}",
        "{% if 'x' in names %}{{ row.x }}{% endif %}",
    ],
)
def test_a_column_that_occurs_unguarded_is_needed(template: str) -> None:
    assert "x" in needed(template)
    assert "x" in (wanted(template) or set())


@pytest.mark.parametrize(
    "template",
    [
        "{{ x | default('') }}",
        "{{ x | d | upper }}",
        "{{ row['x'] | default('') }}",
        "{{ row.x is defined }}",
        "{{ row.get('x', 'none') }}",
        "{% if x is defined %}{{ x }}{% endif %}",
        "{% if x is defined %}{{ row.x }}{% endif %}",
        "{% if row.x is defined %}{{ x }}{% endif %}",
        "{% if x is defined and x %}{{ x }}{% endif %}",
        "{% if x is not defined or not x %}none{% else %}{{ x }}{% endif %}",
        "{% if not (x is undefined) %}{{ x }}{% endif %}",
        "{% if x is undefined %}{% elif x %}{{ x }}{% endif %}",
        "{% if x is undefined %}none{% else %}{{ x }}{% endif %}",
        "{{ x if x is defined else 'none' }}",
        "{{ x if x is defined }}",
        "{{ 'none' if x is undefined else x }}",
        "{% if true and x is defined %}{{ x }}{% endif %}",
        "{% for x in [1] %}{{ x }}{% endfor %}{{ x | default('') }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ x | default('') }}",
        "{% with x = 1 %}{{ x }}{% endwith %}{{ x | default('') }}",
        "{% if 'x' in row %}{{ row.x }}{% endif %}",
        "{% if 'x' not in row %}{% else %}{{ x }}{% endif %}",
        "{% if x | default('') %}{{ x }}{% endif %}",
        "{% set x = x | default('') %}{{ x }}",
        "{{ x | default('') }}{% set x %}a{% endset %}{{ x }}",
        "{% if true %}{% set x = 1 %}{% else %}{% set x = 2 %}{% endif %}{{ x }}",
        "{% if x is not defined %}{% set x = '' %}{% endif %}{{ x }}",
        "{% for i in [1] if x is defined %}{{ x }}{% endfor %}",
    ],
)
def test_a_column_that_is_guarded_everywhere_is_optional(template: str) -> None:
    assert needed(template) == set()
    assert wanted(template) == {"x"}


@pytest.mark.parametrize(
    "template",
    [
        "{% for x in [1] %}{{ x }}{{ loop.index }}{% endfor %}",
        "{% set x = 1 %}{{ x }}",
        "{% set x %}a{% endset %}{{ x }}",
        "{% set x, y = 1, 2 %}{{ x + y }}",
        "{% macro x(y, z=1) %}{{ y }}{{ z }}{{ varargs }}{% endmacro %}{{ x(1) }}",
        "{% with x = 1 %}{{ x }}{% endwith %}",
        "{% for row in [{'x': 1}] %}{{ row.x }}{% endfor %}",
        "{% set ns = namespace(x=1) %}{{ ns.x }}{% for i in range(3) %}{{ i }}{% endfor %}",
        "plain text",
    ],
)
def test_a_templates_own_names_are_no_columns(template: str) -> None:
    assert needed(template) == set()
    assert wanted(template) == set()


@pytest.mark.parametrize(
    "template",
    [
        "{{ row }}",
        "{{ row | tojson }}",
        "{{ row[name] }}",
        "{% for k, v in row.items() %}{{ k }}{% endfor %}",
        "{{ row.get(name) }}",
        "{% if name in row %}{% endif %}",
    ],
)
def test_a_use_of_the_whole_row_wants_every_column(template: str) -> None:
    assert wanted(template) is None
    assert needed(template) <= {"name"}


def test_a_column_named_like_a_global_is_found_where_it_is_printed() -> None:
    assert needed("{{ namespace }} {{ lipsum() }}") == {"namespace", "lipsum"}


def test_the_id_is_wanted_but_never_needed() -> None:
    assert needed("{{ id }} {{ row.id }}") == set()
    assert wanted("{{ id }}") == {"id"}


def test_the_system_template_and_the_row_parameters_count_too() -> None:
    prompt = Prompt(PromptSpec(model="m", template="{{ a }}", system="{{ b }}", row_params="c"))
    assert prompt.columns.needed == {"a", "b", "c"}
    assert prompt.columns.wanted == frozenset({"a", "b", "c"})


def test_without_a_template_the_messages_column_is_needed() -> None:
    prompt = Prompt(PromptSpec(model="m", template=None, row_params="c"))
    assert prompt.columns.needed == {"messages", "c"}
    assert prompt.columns.wanted == frozenset({"messages", "c"})
