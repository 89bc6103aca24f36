from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_llm.settings import load
from prefect_llm.values.errors import InvalidInput

Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("concurrency", "many", "expected auto or a whole number from 1 to 4096, got 'many'"),
        ("concurrency", "0", "expected auto or a whole number from 1 to 4096, got '0'"),
        ("concurrency", "4097", "expected auto or a whole number from 1 to 4096, got '4097'"),
        ("limit", "0", "expected a whole number of 1 or more, got '0'"),
        ("chunk_rows", "1.5", "expected a whole number of 1 or more, got '1.5'"),
        ("max_output_tokens", "-1", "expected a whole number of 1 or more, got '-1'"),
        ("temperature", "2.1", "expected a number from 0 to 2, got '2.1'"),
        ("temperature", "nan", "expected a number from 0 to 2, got 'nan'"),
        ("timeout", "0", "expected a number above 0, got '0'"),
        ("outage_patience", "inf", "expected a number above 0, got 'inf'"),
        ("max_error_share", "5", "expected a number from 0 to 1, got '5'"),
        ("price_input", "-0.1", "expected an amount of 0 or more, got '-0.1'"),
        ("price_output", "free", "expected an amount of 0 or more, got 'free'"),
        ("currency", "usd", "expected three capital letters, for instance USD, got 'usd'"),
        ("log_level", "loud", "expected DEBUG, INFO, WARNING or ERROR, got 'loud'"),
        ("quiet", "maybe", "expected true or false, got 'maybe'"),
        ("keep", "a,,b", "expected all, none or names of columns with commas between them, got 'a,,b'"),
        ("base_url", "api.openai.com/v1", "expected an address that starts with http:// or https://"),
        ("api_key_env", "sk-proj-123", "expected the name of an environment variable, not the key itself"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place_and_what_was_expected(
    refused: Refused, key: str, value: str, expected: str
) -> None:
    section = SECTION[key]
    flag = f"--{key.replace('_', '-')}"
    variable = f"PREFECT_LLM_{key.upper()}"
    assert refused(f"{section}:\n  # why\n  {key}: {value}\n") == f"run.yaml line 3, {section}.{key}: {expected}"
    assert refused(None, {}, {variable: value}) == f"environment {variable}: {expected}"
    assert refused(None, {key: value}) == f"{flag}: {expected}"


SECTION = {
    **dict.fromkeys(["keep", "limit"], "documents"),
    **dict.fromkeys(["concurrency", "chunk_rows", "max_error_share"], "batch"),
    **dict.fromkeys(["max_output_tokens", "temperature", "timeout", "outage_patience"], "api"),
    **dict.fromkeys(["price_input", "price_output", "currency", "base_url", "api_key_env"], "api"),
    "log_level": "logging",
    "quiet": "output",
}


@pytest.mark.parametrize(
    ("yaml", "sentence"),
    [
        (
            "documents:\n  id_colum: x\n",
            "run.yaml line 2: documents has no key 'id_colum'; did you mean 'id_column'?",
        ),
        (
            "documents:\n  id-column: x\n",
            "run.yaml line 2: documents has no key 'id-column'; did you mean 'id_column'?",
        ),
        (
            "documents:\n  ID_COLUMN: x\n",
            "run.yaml line 2: documents has no key 'ID_COLUMN'; did you mean 'id_column'?",
        ),
        (
            "documents:\n  colour: x\n",
            "run.yaml line 2: documents has no key 'colour'; its keys are input, id_column, messages_column, keep, "
            "null_as, limit and on_bad_rows",
        ),
        ("documents:\n  model: x\n", "run.yaml line 2: documents has no key 'model'; it belongs in api"),
        (
            "prompt:\n  schema_file: x\n",
            "run.yaml line 2: prompt has no key 'schema_file'; did you mean 'schema'?",
        ),
        ("\n\nbatches:\n  x: 1\n", "run.yaml line 3: there is no section 'batches'; did you mean 'batch'?"),
        (
            "zoo:\n",
            "run.yaml line 1: there is no section 'zoo'; the sections are documents, prompt, api, batch, output, "
            "logging and monitoring",
        ),
        ("model: x\n", "run.yaml line 1: there is no section 'model'; the key 'model' belongs in api"),
        (
            "prompt: Say {{ it }}\n",
            "run.yaml line 1: prompt is a section: expected its keys below it (prompt, prompt_file, system, schema "
            "and row_params), got 'Say {{ it }}'",
        ),
        (
            "- a\n",
            "run.yaml line 1: expected the sections documents, prompt, api, batch, output, logging and monitoring",
        ),
        ("api:\n  model: a\n\n  model: b\n", "run.yaml line 4: api.model is given twice, first on line 2"),
        ("api:\n  model: a\n\napi:\n  timeout: 1\n", "run.yaml line 4: api is given twice, first on line 1"),
        ("api:\n  model: [1\nbatch: 2\n", "run.yaml line 3: not YAML: expected ',' or ']', but got ':'"),
        ("api:\n\tmodel: x\n", "run.yaml line 2: not YAML: found character '\\t' that cannot start any token"),
        ("api:\n  model: *x\n", "run.yaml line 2: not YAML: found undefined alias 'x'"),
        ("api:\n  ? [a]\n  : 1\n", "run.yaml line 2: expected a name, got a list"),
        (
            "api:\n  model: !env MODEL\n",
            "run.yaml line 2, api.model: the tag !env has no meaning here; write the value itself",
        ),
        ("api:\n  model: [a]\n", "run.yaml line 2, api.model: expected the name of a model, got [\"a\"]"),
        (
            "api:\n  param: 7\n",
            "run.yaml line 2, api.param: expected parameters by name, for instance {\"top_p\": 0.9}, got '7'",
        ),
        ("api:\n  param: {x: .inf}\n", "run.yaml line 2, api.param: .inf is not a JSON value"),
        ("api:\n  param: &x {a: *x}\n", "run.yaml line 2, api.param: the value contains itself"),
        (
            "api:\n  param:\n    a: 1\n    a: 2\n",
            "run.yaml line 2, api.param: 'a' is given twice, again on line 4",
        ),
    ],
)  # fmt: skip
def test_a_wrong_name_or_form_is_refused_with_its_line(refused: Refused, yaml: str, sentence: str) -> None:
    assert refused(yaml) == sentence


def test_every_problem_is_told_at_once(refused: Refused) -> None:
    said = refused(
        "documents:\n  limit: none\nbatch:\n  pace: 3\n", {"timeout": "soon"}, {"PREFECT_LLM_LOG_LEVEL": "loud"}
    )
    assert [line.split(":")[0] for line in said.splitlines()] == [
        "--timeout",
        "environment PREFECT_LLM_LOG_LEVEL",
        "run.yaml line 4",
        "run.yaml line 2, documents.limit",
    ]


def test_a_wrong_value_in_the_file_is_refused_though_a_flag_overrides_it(refused: Refused) -> None:
    said = refused("batch:\n  concurrency: many\n", {"concurrency": "4"})
    assert said == "run.yaml line 2, batch.concurrency: expected auto or a whole number from 1 to 4096, got 'many'"


def test_a_missing_file_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput) as caught:
        load({}, {}, "nowhere.yaml")
    assert caught.value.message == (
        "nowhere.yaml cannot be read: No such file or directory; give the path of a YAML file"
    )


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"api:\n  model: caf\xe9\n")
    with pytest.raises(InvalidInput, match=r"latin\.yaml is not UTF-8 at byte 17: save it as UTF-8"):
        load({}, {}, str(tmp_path / "latin.yaml"))


@pytest.mark.parametrize("name", ["api_key", "api-key", "apikey", "OPENAI_API_KEY"])
def test_an_api_key_in_the_file_is_refused_and_never_repeated(refused: Refused, name: str) -> None:
    sentence = (
        f"run.yaml line 2: {name!r} does not belong in a file: name the variable that holds the key with "
        "api.api_key_env, or a saved block with api.provider"
    )
    assert refused(f"api:\n  {name}: sk-secret\n") == sentence
    assert refused(f"\n{name}: sk-secret\n") == sentence


@pytest.mark.parametrize(
    ("yaml", "flags", "environ"),
    [
        ("api:\n  param: {api_key: sk-secret}\n", {}, {}),
        ("api:\n  api_key_env: sk-secret\n", {}, {}),
        ("api:\n  base_url: ftp://me:sk-secret@host/v1\n", {}, {}),
        (None, {"param": ["api_key=sk-secret"]}, {}),
        (None, {"param": ['api_key="sk-secret"']}, {}),
        (None, {}, {"PREFECT_LLM_PARAM": '{"api_key": "sk-secret"}'}),
        (None, {}, {"PREFECT_LLM_PARAM": '{"api_key": "sk-secret"'}),
        (None, {"limit": "https://me:sk-secret@host"}, {}),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_never_repeated(
    refused: Refused, yaml: str | None, flags: dict[str, Any], environ: dict[str, str]
) -> None:
    assert "sk-secret" not in refused(yaml, flags, environ)


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("stop=END", "--param stop=END: not JSON; write --param 'stop=\"END\"'"),
        ("stop=it's", "--param stop=it's: not JSON; write --param 'stop=\"it'\"'\"'s\"'"),
        ("stop=", "--param stop=: not JSON; write --param 'stop=\"\"'"),
        ("seed", "--param seed: expected NAME=JSON, for instance --param seed=7"),
        ("=7", "--param =7: expected NAME=JSON, for instance --param seed=7"),
        (
            "bias={1:2}",
            "--param bias: not JSON (unexpected character, expected a string key: line 1 column 2 (char 1)), "
            "got '{1:2}'",
        ),
    ],
)
def test_a_parameter_that_is_not_json_is_refused_with_what_to_write(
    refused: Refused, pair: str, sentence: str
) -> None:
    assert refused(None, {"param": [pair]}) == sentence


def test_a_parameter_given_twice_is_refused(refused: Refused) -> None:
    assert refused(None, {"param": ["seed=1", "seed=2"]}) == "--param seed: given twice"


def test_parameters_in_the_environment_are_a_json_object(refused: Refused) -> None:
    assert refused(None, {}, {"PREFECT_LLM_PARAM": "seed=1"}) == (
        'environment PREFECT_LLM_PARAM: expected a JSON object of parameters by name, for instance {"top_p": 0.9}'
    )


def test_a_long_value_is_cut(refused: Refused) -> None:
    said = refused(None, {"limit": "x" * 500})
    assert len(said) < 130
    assert said.endswith("…")


def test_the_input_is_spoken_of_as_the_argument_it_is(refused: Refused) -> None:
    assert refused(None, {"input": ""}) == "INPUT: expected a path or URL, got ''"
