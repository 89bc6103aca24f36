"""`prefect-llm verify`: one answer of one token, or one sentence that says what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.cli.commanding import call, write_documents
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port


def test_what_answers_is_said_and_one_token_was_asked_for(
    scripted_server: ScriptedServer, endpoint: list[str], tmp_path: Path
) -> None:
    verified = call("verify", *endpoint, cwd=tmp_path)
    assert (verified.status, verified.err) == (0, "")
    assert re.fullmatch(r"127\.0\.0\.1 answers with m in [\d.]+ m?s\n", verified.out)
    (received,) = scripted_server.log()
    assert received.body["max_tokens"] == 1


def test_the_key_is_that_of_the_variable(
    scripted_server: ScriptedServer, endpoint: list[str], tmp_path: Path
) -> None:
    scripted_server.expect_key("right")
    environ = {"OWN_KEY": "right", "PREFECT_LLM_API_KEY": "wrong"}
    verified = call("verify", *endpoint, "--api-key-env", "OWN_KEY", cwd=tmp_path, environ=environ)
    assert verified.status == 0
    refused = call("verify", *endpoint, cwd=tmp_path, environ=environ)
    assert (refused.status, refused.out) == (3, "")
    assert refused.refusals == [
        "127.0.0.1 refused the key (HTTP 401: Incorrect API key provided.): check the key and its owner"
    ]


def test_endpoint_and_model_may_stand_in_the_environment(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    environ = {"PREFECT_LLM_BASE_URL": scripted_server.base_url, "PREFECT_LLM_MODEL": "m"}
    assert call("verify", cwd=tmp_path, environ=environ).status == 0


def test_an_unknown_model_is_answered_with_the_nearest_names(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.know_models("gpt-small", "gpt-large")
    refused = call("verify", "--base-url", scripted_server.base_url, "--model", "gpt-smal", cwd=tmp_path)
    assert refused.status == 3
    assert refused.refusals == ["127.0.0.1 does not know the model 'gpt-smal'; it lists gpt-small, gpt-large"]


def test_a_base_url_without_its_v1_is_told_so(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    refused = call("verify", "--base-url", scripted_server.url, "--model", "m", cwd=tmp_path)
    assert refused.status == 3
    assert refused.refusals == [f"base_url {scripted_server.url} lacks /v1: write {scripted_server.url}/v1"]


def test_nobody_there_is_said_with_the_place(tmp_path: Path) -> None:
    port = free_port()
    refused = call("verify", "--base-url", f"http://127.0.0.1:{port}/v1", "--model", "m", cwd=tmp_path)
    assert refused.status == 3
    assert refused.refusals == [
        f"connection refused: nothing listens at 127.0.0.1:{port}; is the server running, the port right?"
    ]


def test_an_exhausted_account_is_said(scripted_server: ScriptedServer, endpoint: list[str], tmp_path: Path) -> None:
    scripted_server.script_all(steps.error(429, "You exceeded your quota.", code="insufficient_quota"))
    refused = call("verify", *endpoint, cwd=tmp_path)
    assert refused.status == 3
    assert refused.refusals[0].startswith("the account at 127.0.0.1 is exhausted")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no provider: give --provider BLOCK, or --base-url URL"),
        (["--base-url", "localhost:8000/v1", "--model", "m"], "--base-url: expected an address that starts with"),
        (["--base-url", "http://127.0.0.1:9/v1"], "no model to verify"),
        (["--base-url", "http://127.0.0.1:9/v1", "--provider", "b", "--model", "m"], "leave one out"),
        (["--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--api-key-env", "ABSENT"], "ABSENT"),
        (["--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--api-key-env", "sk-1/2"], "--api-key-env: exp"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_one_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    refused = call("verify", *arguments, cwd=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert len(refused.err.splitlines()) == len(refused.refusals) == 1, refused.err
    assert said in refused.refusals[0]
    assert "sk-1/2" not in refused.err


def test_a_header_is_sent_with_the_variables_value_and_written_nowhere(
    scripted_server: ScriptedServer, endpoint: list[str], tmp_path: Path
) -> None:
    environ = {"TENANT": "seven-0123456789"}
    documents = write_documents(tmp_path / "in.jsonl", 3)
    header = ["--header", "x-tenant=TENANT"]
    assert call("verify", *endpoint, *header, cwd=tmp_path, environ=environ).status == 0
    asked = ["run", documents, "--prompt", "{{ text }}", "--output", "out", *endpoint, *header]
    finished = call(*asked, "--log-level", "DEBUG", cwd=tmp_path, environ=environ)
    assert finished.status == 0, finished.err
    assert {received.headers["x-tenant"] for received in scripted_server.log()} == {"seven-0123456789"}
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"seven-0123456789" not in written
    assert "seven-0123456789" not in finished.out + finished.err
