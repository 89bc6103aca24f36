from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from prefect_llm.settings import RunSettings, options, sections, unknown_variables
from prefect_llm.settings.value_types import MAX_CONCURRENCY

Loaded = Callable[..., RunSettings]

YAML = "batch:\n  concurrency: 2\n"
ENVIRON = {"PREFECT_LLM_CONCURRENCY": "3"}
FLAGS = {"concurrency": "4"}


@pytest.mark.parametrize(
    ("yaml", "environ", "flags", "expected"),
    [
        (None, {}, {}, "auto"),
        (YAML, {}, {}, 2),
        (None, ENVIRON, {}, 3),
        (YAML, ENVIRON, {}, 3),
        (YAML, {}, FLAGS, 4),
        (None, ENVIRON, FLAGS, 4),
        (YAML, ENVIRON, FLAGS, 4),
        (YAML, {"PREFECT_LLM_CONCURRENCY": ""}, {"concurrency": None}, 2),
        ("batch:\n  concurrency:\n", {}, {}, "auto"),
    ],
)
def test_a_flag_beats_the_environment_and_that_the_file(
    loaded: Loaded, yaml: str | None, environ: dict[str, str], flags: dict[str, Any], expected: int
) -> None:
    assert loaded(yaml, flags, environ).batch.concurrency == expected


def test_sources_are_merged_option_by_option(loaded: Loaded) -> None:
    settings = loaded("api:\n  model: a\n  timeout: 7\n", {"model": "c"}, {"PREFECT_LLM_MAX_ATTEMPTS": "2"})
    assert (settings.api.model, settings.api.timeout, settings.api.max_attempts) == ("c", 7.0, 2)


def test_what_was_given_is_told_from_defaults_so_that_a_block_can_stand_between(loaded: Loaded) -> None:
    settings = loaded("batch:\n  concurrency: 32\n  requests_per_minute:\n", {"timeout": "120"})
    assert settings.batch.model_fields_set == {"concurrency"}
    assert settings.api.model_fields_set == {"timeout"}
    assert settings.api.max_attempts == 5


def test_every_option_can_be_given_by_each_source(loaded: Loaded) -> None:
    values = {
        "input": "in.csv", "id_column": "key", "keep": "a,b", "null_as": "?x", "limit": "5",
        "prompt": "p", "prompt_file": "p.txt", "system": "s", "schema": "s.json", "row_params": "own",
        "provider": "block", "model": "m", "base_url": "https://h/v1", "api_key_env": "KEY",
        "header": '{"x-tenant": "TENANT"}', "output_limit_name": "max_tokens",
        "max_output_tokens": "6", "temperature": "0.5", "param": '{"seed": 1}', "timeout": "8",
        "max_attempts": "9", "outage_patience": "10", "price_input": "1", "price_cached_input": "2",
        "price_output": "3", "currency": "EUR", "concurrency": "11", "requests_per_minute": "12",
        "tokens_per_minute": "13", "chunk_rows": "14", "flush_interval": "21", "reuse": "earlier", "no_dedup": "true",
        "max_error_share": "0.15", "stop_error_share": "0.16",
        "output": "out", "keep_raw": "true", "json": "true", "quiet": "true", "log_level": "ERROR",
        "stats_interval_seconds": "17", "max_concurrency": "18", "idle_timeout": "19", "deadline": "20",
        "input_tokens_per_minute": "21", "output_tokens_per_minute": "22", "token_accounting": "used",
        "fallback": "backup/m2,/m3", "fail_truncated": "true", "share_limits": "true",
        "max_cost": "23", "price_per_hour": "25", "max_cost_per_month": "24", "alert_error_share": "0.25",
        "lenient_json": "true", "keep_reasoning": "true", "messages_column": "chat", "on_bad_rows": "row",
        "answers_shown": "26",
    }  # fmt: skip
    assert set(values) == set(options())
    environ = {f"PREFECT_LLM_{key.upper()}": value for key, value in values.items()}
    yaml = "".join(
        f"{section}:\n" + "".join(f"  {key}: {_in_yaml(values[key])}\n" for key in known)
        for section, known in sections().items()
    )
    flags = {**values, "param": ["seed=1"], "header": ["x-tenant=TENANT"]}
    from_file, from_environment, from_flags = loaded(yaml), loaded(None, {}, environ), loaded(None, flags)
    assert from_file == from_environment == from_flags
    assert sum(len(getattr(from_file, section).model_fields_set) for section in sections()) == len(options())
    assert from_file.documents.keep == ("a", "b")
    assert from_file.output.json_summary
    assert from_file.prompt.schema_file == "s.json"


def _in_yaml(value: str) -> str:
    return value if value.startswith("{") else value.replace('"', "")


def test_parameters_are_merged_by_name(loaded: Loaded) -> None:
    settings = loaded(
        "api:\n  param: {seed: 1, top_p: 1, k: 1}\n",
        {"param": ["seed=3"]},
        {"PREFECT_LLM_PARAM": '{"seed": 2, "top_p": 2}'},
    )
    assert settings.api.param == {"seed": 3, "top_p": 2, "k": 1}


@pytest.mark.parametrize(
    ("yaml", "flags", "expected"),
    [
        ("base_url: https://a/v1", {"provider": "block"}, ("block", None, None)),
        ("base_url: https://a/v1\n  api_key_env: A_KEY", {"provider": "block"}, ("block", None, None)),
        ("provider: block", {"base_url": "https://b/v1"}, (None, "https://b/v1", None)),
        # A key follows to no other host than the one it was given for.
        ("base_url: https://a/v1\n  api_key_env: A_KEY", {"base_url": "https://b/v1"}, (None, "https://b/v1", None)),
        ("provider: block\n  api_key_env: A_KEY", {"base_url": "https://b/v1"}, (None, "https://b/v1", None)),
        (
            "base_url: https://a/v1/\n  api_key_env: A_KEY",
            {"base_url": "https://a/v1"},
            (None, "https://a/v1", "A_KEY"),
        ),
        ("api_key_env: B_KEY", {"base_url": "https://b/v1"}, (None, "https://b/v1", "B_KEY")),
    ],
)
def test_a_stronger_source_s_endpoint_replaces_the_weaker_one_s_whole(
    loaded: Loaded, yaml: str, flags: dict[str, str], expected: tuple[str | None, ...]
) -> None:
    api = loaded(f"api:\n  {yaml}\n", flags).api
    assert (api.provider, api.base_url, api.api_key_env) == expected


def test_a_prompt_replaces_a_weaker_source_s_prompt_file(loaded: Loaded) -> None:
    prompt = loaded("prompt:\n  prompt_file: a.txt\n", {}, {"PREFECT_LLM_PROMPT": "{{ text }}"}).prompt
    assert (prompt.prompt, prompt.prompt_file) == ("{{ text }}", None)


def test_yaml_numbers_stay_what_was_written(loaded: Loaded) -> None:
    settings = loaded(
        "documents:\n  id_column: 007\napi:\n  price_input: 0.1000000000000000055\n  price_output: 3\n  model: 4.10\n"
    )
    assert settings.documents.id_column == "007"
    assert settings.api.price_input == Decimal("0.1000000000000000055")
    assert settings.api.model == "4.10"


def test_parameters_in_the_file_are_typed_as_json(loaded: Loaded) -> None:
    param = "{seed: 7, top_p: 0.5, text: 'yes', flag: true, none: null, stop: [a, 1], day: 2026-01-31, deep: {a: 1}}"
    assert loaded(f"api:\n  param: {param}\n").api.param == {
        "seed": 7, "top_p": 0.5, "text": "yes", "flag": True, "none": None, "stop": ["a", 1],
        "day": "2026-01-31", "deep": {"a": 1},
    }  # fmt: skip


@pytest.mark.parametrize("word", ["true", "True", "1", "yes"])
def test_a_switch_in_the_environment_takes_the_usual_words(loaded: Loaded, word: str) -> None:
    assert loaded(None, {}, {"PREFECT_LLM_QUIET": word}).output.quiet


@pytest.mark.parametrize("word", ["false", "0", "no"])
def test_the_environment_can_switch_off_what_the_file_switches_on(loaded: Loaded, word: str) -> None:
    assert not loaded("output:\n  quiet: true\n", {}, {"PREFECT_LLM_QUIET": word}).output.quiet


def test_other_programs_variables_are_ignored(loaded: Loaded) -> None:
    environ = {"PREFECT_LLM_API_KEY": "sk-1", "PREFECT_LLM_FUTURE": "x", "PREFECT_API_URL": "http://x"}
    assert not any(section.model_fields_set for _, section in loaded(None, {}, environ))


def test_a_misspelt_variable_is_told_with_what_was_meant() -> None:
    environ = {"PREFECT_LLM_CONCURENCY": "8", "PREFECT_LLM_SAMPLE": "1", "PREFECT_LLMS": "x"}
    ours = {f"PREFECT_LLM_{name}": "x" for name in ("MODEL", "API_KEY", "CACHE", "OWN_KEY")}
    assert unknown_variables(environ | ours) == [
        "environment PREFECT_LLM_CONCURENCY sets nothing: did you mean PREFECT_LLM_CONCURRENCY?",
        "environment PREFECT_LLM_SAMPLE sets nothing: no option goes by that name there",
    ]


def test_names_to_keep_may_have_blanks_after_the_commas(loaded: Loaded) -> None:
    assert loaded(None, {"keep": "a, b"}).documents.keep == ("a", "b")


def test_an_empty_text_prints_nothing_for_null(loaded: Loaded) -> None:
    assert loaded('documents:\n  null_as: ""\n').documents.null_as == ""
    assert loaded(None, {"null_as": ""}).documents.null_as == ""


@pytest.mark.parametrize("yaml", ["", "# nothing yet\n", "documents:\n", "---\n"])
def test_an_empty_file_gives_nothing(loaded: Loaded, yaml: str) -> None:
    assert loaded(yaml) == RunSettings()


def test_the_bounds_are_inclusive(loaded: Loaded) -> None:
    settings = loaded(None, {"concurrency": str(MAX_CONCURRENCY), "temperature": "2", "max_error_share": "1"})
    assert (settings.batch.concurrency, settings.api.temperature) == (4096, 2.0)
