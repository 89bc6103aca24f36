"""Flag over environment over run.yaml over default, through the real command and onto the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commanding import Ended, call, result_rows, write_documents
from tests.scripted_server.client import ScriptedServer, free_port

CONFIG = """
documents:
  input: in.jsonl
  limit: 3
prompt:
  prompt: "from the file: {{{{ text }}}}"
api:
  base_url: {base_url}
  api_key_env: FILE_KEY
  model: of-the-file
  temperature: 0
  max_output_tokens: 50
  param:
    top_p: 0.9
    seed: 1
batch:
  concurrency: 2
output:
  output: out
  json: true
"""


@pytest.fixture
def config(scripted_server: ScriptedServer, tmp_path: Path) -> Path:
    """A complete run.yaml beside its input."""
    write_documents(tmp_path / "in.jsonl", 10)
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG.format(base_url=scripted_server.base_url))
    return path


def run(config: Path, *flags: str, environ: Mapping[str, str] | None = None) -> Ended:
    """`run --config run.yaml`, with the key that it names in the environment."""
    keys = {"FILE_KEY": "of-the-file", "PREFECT_LLM_API_KEY": "of-the-default"}
    return call("run", "--config", "run.yaml", *flags, cwd=config.parent, environ=keys | dict(environ or {}))


def asked(scripted_server: ScriptedServer) -> dict[str, Any]:
    """What was asked of doc-0."""
    (received,) = scripted_server.requests_for("doc-0")
    body = dict(received.body)
    return body | {"messages": body["messages"][-1]["content"], "key": received.headers.get("authorization")}


def test_run_yaml_alone_makes_a_run(scripted_server: ScriptedServer, config: Path) -> None:
    done = run(config)
    assert (done.status, done.summary["rows"]) == (0, 3)
    assert asked(scripted_server) == {
        "model": "of-the-file",
        "messages": "from the file: doc-0 hello",
        "max_tokens": 50,
        "temperature": 0,
        "top_p": 0.9,
        "seed": 1,
        "key": "Bearer of-the-file",
    }


def test_the_environment_is_stronger_than_run_yaml(scripted_server: ScriptedServer, config: Path) -> None:
    environ = {
        "PREFECT_LLM_MODEL": "of-the-environment",
        "PREFECT_LLM_LIMIT": "2",
        "PREFECT_LLM_OUTPUT": "other",
        "PREFECT_LLM_PARAM": '{"seed": 2}',
    }
    done = run(config, environ=environ)
    assert (done.status, done.summary["rows"], done.summary["output"]) == (0, 2, str(config.parent / "other"))
    body = asked(scripted_server)
    assert (body["model"], body["seed"], body["top_p"]) == ("of-the-environment", 2, 0.9)


def test_a_flag_is_stronger_than_the_environment_and_run_yaml(scripted_server: ScriptedServer, config: Path) -> None:
    environ = {"PREFECT_LLM_MODEL": "of-the-environment", "PREFECT_LLM_TEMPERATURE": "1.5"}
    flags = ["--model", "of-the-flag", "--limit", "1", "--param", "seed=3", "--prompt", "{{ text }}!"]
    done = run(config, *flags, environ=environ)
    assert (done.status, done.summary["rows"]) == (0, 1)
    body = asked(scripted_server)
    assert (body["model"], body["temperature"], body["seed"], body["top_p"]) == ("of-the-flag", 1.5, 3, 0.9)
    assert body["messages"] == "doc-0 hello!"


def test_an_input_on_the_command_line_is_stronger_than_that_of_run_yaml(
    scripted_server: ScriptedServer, config: Path
) -> None:
    config.with_name("other.csv").write_text("id,text\n007,doc-0 other\n")
    done = call("run", "other.csv", "--config", "run.yaml", cwd=config.parent, environ={"FILE_KEY": "k"})
    assert (done.status, done.summary["rows"]) == (0, 1)
    assert [row["id"] for row in result_rows(config.parent / "out")] == ["007"]


def test_the_key_of_one_host_does_not_follow_to_another(
    scripted_server: ScriptedServer, second_scripted_server: ScriptedServer, config: Path
) -> None:
    assert run(config, "--base-url", second_scripted_server.base_url).status == 0
    assert scripted_server.stats().requests == 0
    assert asked(second_scripted_server)["key"] == "Bearer of-the-default"


def test_an_empty_key_sends_no_authorization(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    assert call(*asking, cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": ""}).status == 0
    assert all("authorization" not in received.headers for received in scripted_server.log())


def test_faults_of_every_source_are_named_together(config: Path) -> None:
    config.write_text(config.read_text().replace("concurrency: 2", "concurrency: lots"))
    refused = run(config, "--temperature", "hot", environ={"PREFECT_LLM_LIMIT": "none"})
    assert (refused.status, refused.out) == (2, "")
    assert [sentence.split(": expected")[0] for sentence in refused.refusals] == [
        "--temperature",
        "environment PREFECT_LLM_LIMIT",
        "run.yaml line 17, batch.concurrency",
    ]


def test_a_prompt_file_is_sent_as_it_is_and_a_schema_file_types_the_output(
    scripted_server: ScriptedServer, endpoint: list[str], tmp_path: Path
) -> None:
    write_documents(tmp_path / "in.jsonl", 2)
    (tmp_path / "prompt.txt").write_text("Label  this:\n\n{{ text }}\n")
    (tmp_path / "schema.json").write_text(
        '{"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}'
    )
    files = ["--prompt-file", "prompt.txt", "--schema", "schema.json"]
    done = call("run", "in.jsonl", "--output", "out", *files, *endpoint, cwd=tmp_path)
    assert done.status == 0
    assert asked(scripted_server)["messages"] == "Label  this:\n\ndoc-0 hello\n"
    assert [row["output"] for row in result_rows(tmp_path / "out")] == [{"label": "positive"}] * 2


def test_a_messages_column_is_sent_as_it_is_where_no_prompt_is_given(
    scripted_server: ScriptedServer, endpoint: list[str], tmp_path: Path
) -> None:
    messages = '[{"role": "system", "content": "Brief"}, {"role": "user", "content": "doc-0 hi"}]'
    (tmp_path / "in.jsonl").write_text(f'{{"id": 1, "messages": {messages}}}\n')
    assert call("run", "in.jsonl", "--output", "out", *endpoint, cwd=tmp_path).status == 0
    (received,) = scripted_server.log()
    assert [message["role"] for message in received.body["messages"]] == ["system", "user"]


def test_the_output_may_be_named_by_the_day(asking: list[str], tmp_path: Path) -> None:
    asking[asking.index("out")] = "runs/{scheduled:%Y-%m-%d}"
    days = {datetime.now(UTC).date().isoformat()}
    assert call(*asking, cwd=tmp_path).status == 0
    days.add(datetime.now(UTC).date().isoformat())
    (written,) = (tmp_path / "runs").iterdir()
    assert written.name in days
    assert len(result_rows(written)) == 10


def test_rates_and_timeouts_given_as_flags_reach_the_engine(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    asking[asking.index(scripted_server.base_url)] = f"http://127.0.0.1:{free_port()}/v1"
    stopped = call(*asking, "--outage-patience", "0.1", "--max-attempts", "1", "--json", cwd=tmp_path)
    assert (stopped.status, stopped.summary["stopped"]["kind"]) == (3, "ProviderDown")


@pytest.mark.parametrize("command", ["run", "resume", "verify"])
def test_a_misspelt_variable_is_a_warning_and_no_refusal(
    command: str, scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    environ = {"PREFECT_LLM_CONCURENCY": "8"}
    endpoint = ["--base-url", scripted_server.base_url]
    if command == "resume":
        assert call(*asking, cwd=tmp_path).status == 0
    commands = {
        "run": asking,
        "resume": ["resume", "out", *endpoint],
        "verify": ["verify", *endpoint, "--model", "m"],
    }
    done = call(*commands[command], cwd=tmp_path, environ=environ)
    assert done.status == 0
    sentence = "environment PREFECT_LLM_CONCURENCY sets nothing: did you mean PREFECT_LLM_CONCURRENCY?"
    assert done.err.count(sentence) == 1
