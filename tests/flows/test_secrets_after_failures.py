"""A flow run full of failures, looked through everywhere for the key: not one place holds it, however wrapped."""

from __future__ import annotations

import logging
import pickle
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.blocks.making import make_block
from tests.flows.running import Parameters, flow_run_id, state_of
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.secrets.scanning import findings

from prefect_llm.blocks import load_block

KEY = "sk-must-not-leave-9924"
HEADER = "header-must-not-leave-9924"
SECRETS = [KEY, HEADER]
LEAKING = f"Incorrect API key provided: {KEY}. Your tenant is {HEADER}."

FAILURES = {
    "doc-1": [steps.status(500), steps.ok('{"label": "a"}')],
    "doc-2": [steps.error(400, LEAKING)],
    "doc-3": [steps.ok("no JSON at all")],
    "doc-4": [steps.ok('{"label": 5}')],
    "doc-5": [steps.not_json()],
    "doc-6": [steps.reset(), steps.status(503), steps.ok('{"label": "a"}')],
    "doc-7": [steps.empty_choices()],
    "doc-8": [steps.error(429, LEAKING), steps.ok('{"label": "a"}')],
    "doc-9": [steps.close_mid_body()],
}
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}


@pytest.fixture
def failing(
    parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Parameters:
    """Documents that fail in every way there is, by a saved block, with all that may be kept kept."""
    base_url = parameters.pop("api")["base_url"]
    texts = [f"doc-{row} hello" for row in range(20)]
    rows = {"id": [f"d{row}" for row in range(20)], "text": [None if row == 10 else texts[row] for row in range(20)]}
    pq.write_table(pa.table(rows), tmp_path / "documents.parquet")
    make_block(base_url=base_url, api_key=KEY, headers={"x-tenant": HEADER}, max_attempts=3, share_limits=False).save(
        "secret-failing", overwrite=True
    )
    scripted_server.answer_json({"label": "a"})
    scripted_server.script(FAILURES)
    return parameters | {
        "input": str(tmp_path / "documents.parquet"),
        "provider": "secret-failing",
        "answer_schema": SCHEMA,
        "keep_raw": True,
        "batch": {"chunk_rows": 7, "concurrency": 5, "max_error_share": 0, "stop_error_share": 1},
    }


@pytest.mark.parametrize("refused", [False, True], ids=["failed rows", "stopped by a 401"])
def test_after_a_run_full_of_failures_the_key_stands_nowhere(
    refused: bool,
    failing: Parameters,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    if refused:
        scripted_server.script_all(steps.error(401, LEAKING))
    state = state_of(failing)
    assert state.name == ("AuthenticationFailed" if refused else "TooManyFailedRows")
    assert {received.headers["authorization"] for received in scripted_server.log()} == {f"Bearer {KEY}"}
    prefect_server.settled()
    shown = capfd.readouterr()
    places = [
        ("output", f"{shown.out}{shown.err}".encode()),
        ("log at DEBUG", caplog.text.encode()),
        *_told(state),
        *_asked(prefect_server, state),
        *_files("run directory", tmp_path / "run"),
        *_files("Prefect's home, results included", prefect_server.home),
        ("Prefect's database", _database(prefect_server.database)),
    ]
    assert {place.split(":")[0] for place, content in places if len(content) > 10} >= {
        "log at DEBUG", "state", "exception", "repr", "artifact", "parameters", "task runs", "run directory",
        "Prefect's database",
    }  # fmt: skip
    assert any("report.md" in place for place, _ in places)
    assert [line for secret in SECRETS for line in findings(secret, places)] == []


def _told(state: Any) -> Iterator[tuple[str, bytes]]:
    """State, error, traceback, and what a debugger shows of the provider."""
    error = state.result(raise_on_failure=False)
    assert isinstance(error, Exception)
    provider = load_block("secret-failing").get_provider()
    yield "state", f"{state!r} {state.message} {state.model_dump()}".encode()
    yield "exception", f"{error!r} {error} {vars(error)}".encode()
    yield "exception: traceback", "".join(traceback.format_exception(error)).encode()
    yield "exception: pickled", pickle.dumps(error)
    yield "repr", f"{provider!r} {provider} {load_block('secret-failing')!r}".encode()


def _asked(server: PrefectServer, state: Any) -> Iterator[tuple[str, bytes]]:
    """What Prefect's API answers about the run."""
    run = flow_run_id(state)
    yield "parameters", server.flow_run(run).model_dump_json().encode()
    task_runs = eventually(lambda: server.task_runs(run), len)
    yield "task runs", "".join(each.model_dump_json() for each in task_runs).encode()
    yield "logs", "".join(each.model_dump_json() for each in server.logs(run)).encode()
    for key, artifact in server.artifacts(run).items():
        yield f"artifact: {key}", artifact.model_dump_json().encode()


def _files(place: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(filter(Path.is_file, folder.rglob("*"))):
        yield f"{place}: {path.relative_to(folder)}", path.read_bytes()


def _database(path: Path) -> bytes:
    """The database as it is now, with what its log holds beside it."""
    with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(":memory:")) as copy:
        live.backup(copy)
        return copy.serialize()


@pytest.mark.parametrize(
    "place", ["log", "artifact", "task parameters", "persisted result", "run directory", "flow parameters"]
)
def test_a_key_planted_in_a_place_is_found_there(
    place: str,
    parameters: Parameters,
    prefect_server: PrefectServer,
    tmp_path: Path,
) -> None:
    """The same places, after a flow that leaks on purpose."""
    from prefect import flow, get_run_logger, task
    from prefect.artifacts import create_markdown_artifact

    planted = f"sk-planted-{place.replace(' ', '-')}-3141"

    @task(persist_result=True, result_serializer="compressed/pickle")
    def leaking(argument: str) -> str:
        return planted if place == "persisted result" else argument

    @flow(persist_result=True)
    def leak(parameter: str) -> str:
        if place == "log":
            get_run_logger().info("the key is %s", planted)
        if place == "artifact":
            create_markdown_artifact(f"The key is {planted}.", key="leak")
        leaking("nothing")
        if place == "task parameters":  # Prefect writes down those of a task that another process is to run
            leaking.delay(planted)
        return "nothing"

    state = leak(planted if place == "flow parameters" else "nothing", return_state=True)
    if place == "run directory":
        (tmp_path / "run").mkdir()
        pq.write_table(pa.table({"raw": [planted]}), tmp_path / "run" / "part-00000.parquet", compression="zstd")
    prefect_server.settled()
    places = [
        *_asked(prefect_server, state),
        *_files("run directory", tmp_path / "run"),
        *_files("Prefect's home, results included", prefect_server.home),
        ("Prefect's database", _database(prefect_server.database)),
    ]
    assert findings(planted, places)
