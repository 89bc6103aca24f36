"""The command `simulate`: its first line, its end, what it refuses, and a run rehearsed against it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commanding import call, result_rows, write_documents
from tests.simulation.simulating import DEADLINE_S, body, next_answer, request, started


@pytest.mark.parametrize("never_answers", [("--latency", "3600"), ("--fault", "hang=1")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_with_a_summary_though_requests_are_in_flight(
    number: signal.Signals, never_answers: tuple[str, str]
) -> None:
    with started(*never_answers) as provider, provider.connect() as sock:
        sock.sendall(request(body()))
        while provider.stats()["in_flight"] != 1:
            pass
        provider.process.send_signal(number)
        out, err = provider.process.communicate(timeout=DEADLINE_S)
    assert (provider.process.returncode, err) == (0, "")
    assert out == (
        "1 requests: 0 answered, 0 throttled (429), 0 refused, 0 abandoned, 1 unfinished, faults: none; "
        "at most 1 in flight; 0 input and 0 output tokens\n"
    )


def test_a_reader_that_has_gone_does_not_make_its_end_a_failure() -> None:
    with started() as provider:
        assert provider.process.stdout is not None
        provider.process.stdout.close()
        provider.process.terminate()
        assert provider.process.wait(DEADLINE_S) == 0
        assert provider.process.stderr is not None
        assert provider.process.stderr.read() == ""


def test_the_key_is_that_of_the_variable() -> None:
    with started("--api-key-env", "EXPECTED", environ={"EXPECTED": "sk-right"}) as provider:
        statuses = [provider.ask(body(), authorization=f"Bearer {key}").status for key in ("sk-right", "sk-wrong")]
    assert statuses == [200, 401]


def test_options_may_be_repeated() -> None:
    with started("--fault", "unavailable=0.5", "--fault", "overloaded=0.5", "--outage", "50,60", "--outage", "70,80",
                 "--seed", "1") as provider:  # fmt: skip
        assert {provider.ask(body()).status for _ in range(30)} == {503, 529}


def test_thousands_of_connections_are_taken() -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3_000:
        pytest.skip("the system lets no process have so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))  # the command inherits it, and raises it
    try:
        with started() as provider:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            connections = [provider.connect() for _ in range(1_500)]
            connections[-1].sendall(request(body()))
            assert next_answer(connections[-1]).status == 200
            assert provider.stats()["connections"] == 1_501
            for connection in connections:
                connection.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--latency", "quick"), "--latency 'quick': expected a number, uniform:A,B,"),
        (("--fault", "explode=1"), "--fault 'explode=1': no such kind; the kinds are"),
        (("--knee", "0"), "--knee '0': expected N[,N@S,...]"),
        (("--port", "70000"), "cannot listen on port 70000: ports are 0 to 65535"),
        (("--token-accounting", "guessed"), 'Invalid value "guessed"'),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(arguments: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    ended = call("simulate", *arguments, cwd=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.refusals) == 1
    assert ended.refusals[0].startswith(sentence)


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = call("simulate", "--port", str(port), cwd=tmp_path)
    assert ended.status == 2
    assert ended.refusals[0].startswith(f"cannot listen on 127.0.0.1 port {port}: ")


def test_it_starts_without_prefect_and_without_arrow() -> None:
    code = (
        "import sys, prefect_llm.cli.app as app, prefect_llm.simulation\n"
        "app.build_app(['simulate'])\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'prefect', 'pyarrow', 'pydantic', 'httpx'}))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize("label", [{"type": "string", "enum": ["billing", "other"]}, {"enum": ["billing", "other"]}])
def test_a_run_with_a_schema_is_rehearsed_to_its_end(label: dict[str, Any], tmp_path: Path) -> None:
    write_documents(tmp_path / "in.jsonl", 10)
    schema = {
        "type": "object",
        "properties": {
            "label": label,
            "parts": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["label", "parts"],
        "additionalProperties": False,
    }
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    with started("--fault", "server_error=0.2", "--seed", "5") as provider:
        ended = call(
            "run", "in.jsonl", "--output", "out", "--base-url", provider.base_url, "--model", "m",
            "--prompt", "{{ text }}", "--schema", "schema.json", "--max-output-tokens", "50", cwd=tmp_path,
        )  # fmt: skip
        stats = provider.stats()
    assert ended.status == 0, ended.err
    rows = result_rows(tmp_path / "out")
    assert [row["output"] for row in rows] == [{"label": "billing", "parts": []}] * 10
    assert {row["output_tokens"] for row in rows} == {50}
    assert stats["answered"] == 10
    # a schema that OpenAI would refuse is refused to those who are in flight first
    assert 0 <= stats["refused"] <= (0 if "type" in label else 4)
    assert stats["faults"] == {"server_error": stats["requests"] - 10 - stats["refused"]}
