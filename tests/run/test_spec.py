"""What is fixed for a run, as the manifest holds it."""

from __future__ import annotations

import json

import pytest

from prefect_llm.prompts import Prompt, PromptSpec
from prefect_llm.run.spec import RunSpec

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
