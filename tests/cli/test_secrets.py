"""Promise 6: the key is sent to its endpoint and stands nowhere else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.cli.commanding import Ended, call, ended, started
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

KEY = "sk-3cr3t-0123456789abcdef"
LOUD = ["--log-level", "DEBUG", "--json", "--keep-raw", "--max-attempts", "2"]


def leaks(finished: Ended, folder: Path) -> list[str]:
    """Where the key stands that it should not."""
    streams = {"standard output": finished.out.encode(), "standard error": finished.err.encode()}
    files = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return [name for name, content in (streams | files).items() if KEY.encode() in content]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (steps.ok(), 0),
        (steps.status(500), 3),
        (steps.status(401), 3),
        (steps.status(404), 3),
        (steps.status(301, headers={"location": "http://127.0.0.1:9/elsewhere"}), 3),
        (steps.not_json(), 4),
        (steps.reset(), 3),
    ],
    ids=["ok", "500", "401", "404", "301", "not JSON", "reset"],
)
def test_whatever_is_answered_the_key_stands_nowhere(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path, answer: steps.Step, status: int
) -> None:
    scripted_server.script_all(answer)
    finished = call(*asking, *LOUD, "--outage-patience", "0.1", cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": KEY})
    assert finished.status in (status, 4), finished.err
    assert scripted_server.log()[0].headers["authorization"] == f"Bearer {KEY}"
    assert leaks(finished, tmp_path) == []


def test_an_endpoint_that_repeats_the_key_does_not_make_us_write_it(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script({"doc-1": steps.error(400, f"Your key {KEY} may not do this.")})
    finished = call(*asking, *LOUD, cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": KEY})
    assert finished.status == 4
    assert leaks(finished, tmp_path) == []


def test_the_sentence_that_stops_a_run_does_not_repeat_the_key(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script_all(steps.error(401, f"Incorrect API key provided: {KEY}."))
    finished = call(*asking, *LOUD, cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": KEY})
    assert finished.status == 3
    assert leaks(finished, tmp_path) == []
    endpoint = asking[asking.index("--base-url") :]
    verified = call("verify", *endpoint, cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": KEY})
    assert verified.status == 3
    assert leaks(verified, tmp_path) == []


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (f"user:{KEY}@", "", "a base URL with a user or password in it would be written down"),
        ("", f"?key={KEY}", "a base URL ends with its path, as https://host/v1"),
        ("", f"#{KEY}", "a base URL ends with its path, as https://host/v1"),
    ],
    ids=["user", "query", "fragment"],
)
def test_credentials_inside_the_base_url_are_refused_and_not_repeated(
    before: str, after: str, sentence: str, scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    address = f"http://{before}127.0.0.1:{scripted_server.port}/v1{after}"
    asking[asking.index(scripted_server.base_url)] = address
    for command in (asking, ["verify", *asking[asking.index("--base-url") :]]):
        refused = call(*command, cwd=tmp_path)
        assert refused.status == 2
        assert sentence in refused.refusals[0]
        assert leaks(refused, tmp_path) == []


def test_the_traceback_of_a_fault_holds_no_key(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script({"doc-4": steps.hang(), "doc-9": steps.hang()})
    with started(*asking, *LOUD, cwd=tmp_path, environ={"PREFECT_LLM_API_KEY": KEY}) as process:
        scripted_server.wait_for(answered=8, in_flight=2)
        shutil.rmtree(tmp_path / "out" / "results")
        (tmp_path / "out" / "results").write_text("")
        scripted_server.release()
        faulted = ended(process)
    assert faulted.status == 1
    assert (tmp_path / "out" / "_run" / "fault.txt").exists()
    assert leaks(faulted, tmp_path) == []
