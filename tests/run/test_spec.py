"""What is fixed for a run, as the manifest holds it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from prefect_llm.prompts import Prompt, PromptSpec
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import ResultRow
from prefect_llm.values.outcome import Completion, Outcome

FULL = RunSpec(
    prompt=PromptSpec(
        model="m",
        template="{{ text }} {{ more }}",
        system="Be brief, {{ name }}",
        null_as="-",
        row_params="params",
        schema={"type": "object", "properties": {"a": {"type": "string"}}},
        max_output_tokens=9,
        temperature=0.5,
        params={"top_p": 0.9},
    ),
    id_column="nr",
    keep=("text", "more"),
    limit=7,
    chunk_rows=3,
    keep_raw=True,
)
BARE = RunSpec(prompt=PromptSpec(model="m", template=None))


@pytest.mark.parametrize("spec", [FULL, BARE], ids=["full", "bare"])
def test_a_spec_comes_back_from_json_as_it_was(spec: RunSpec) -> None:
    assert RunSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_the_manifest_speaks_the_words_of_the_command_line() -> None:
    assert list(FULL.to_json()) == [
        "prompt", "model", "system", "null_as", "row_params", "schema", "max_output_tokens", "temperature", "params",
        "fail_truncated", "id_column", "keep", "limit", "chunk_rows", "keep_raw", "no_dedup",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["lenient_json", "keep_reasoning", "messages_column"])
def test_a_setting_that_0_1_0_does_not_know_is_written_where_it_is_given(name: str) -> None:
    given: dict[str, Any] = {name: True}
    spec = replace(BARE, prompt=replace(BARE.prompt, **given))
    assert spec.to_json() == {**BARE.to_json(), name: True}
    assert RunSpec.from_json(spec.to_json()) == spec


def test_what_becomes_of_bad_rows_is_written_where_it_is_given() -> None:
    spec = replace(BARE, on_bad_rows="row")
    assert spec.to_json() == {**BARE.to_json(), "on_bad_rows": "row"}
    assert RunSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("keep", ["default", "all", "none"])
def test_a_word_for_the_kept_columns_is_no_list(keep: str) -> None:
    spec = RunSpec.from_json(BARE.to_json() | {"keep": keep})
    assert spec.keep == keep


def test_staging_takes_what_the_prompt_needs_and_the_results_reserve() -> None:
    staging = FULL.staging(Prompt(FULL.prompt))
    assert staging.needed == {"text", "more", "name", "params"}
    assert staging.wanted == frozenset({"text", "more", "name", "params"})
    assert (staging.id_column, staging.keep, staging.limit, staging.chunk_rows) == ("nr", ("text", "more"), 7, 3)
    assert {"id", "content", "output", "raw"} <= set(staging.reserved)
    assert staging.sent is None
    bare = BARE.staging(Prompt(BARE.prompt))
    assert bare.needed == {"messages"}
    assert bare.sent == "messages"


def answered(content: str | None, finish_reason: str | None) -> ResultRow:
    """A row of an earlier run."""
    return ResultRow("a", "f", "m", Outcome(Completion(content, finish_reason)), None, None)


@pytest.mark.parametrize(
    ("content", "finish_reason", "served"),
    [
        ("yes", "stop", True),
        ("yes", None, True),
        ("yes", "something_new", True),
        ("once upon", "length", True),
        ("once upon", "MAX_TOKENS", True),
        ("", "length", False),
        (None, "length", False),
        ("The first half", "error", False),
        ("I", "content_filter", False),
    ],
)
def test_an_earlier_answer_serves_if_it_would_count_today(
    content: str | None, finish_reason: str | None, served: bool
) -> None:
    assert BARE.serves(answered(content, finish_reason)) == served


@pytest.mark.parametrize("changes", [{"fail_truncated": True}, {"schema": {"type": "object"}}], ids=str)
def test_a_cut_answer_serves_no_run_that_fails_it(changes: dict[str, Any]) -> None:
    spec = RunSpec(prompt=replace(BARE.prompt, **changes))
    assert spec.serves(answered("{}", "stop"))
    assert not spec.serves(answered("{", "max_tokens"))
