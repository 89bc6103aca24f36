"""A flow run full of failures, looked through everywhere for the key: not one place holds it, however wrapped."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.blocks.making import make_block
from tests.flows.running import Parameters, state_of
from tests.prefect_server import PrefectServer
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.secrets.places import PLACES, Left, contents_of, parameters_noted, results_persisted
from tests.secrets.scanning import findings

from prefect_llm.blocks import load_block
from prefect_llm.tasks import finish_run, infer_chunk, load_documents

KEY = "sk-must-not-leave-9924"
HEADER = "header-must-not-leave-9924"
SECRETS = [KEY, HEADER]
TASKS = (load_documents, infer_chunk, finish_run)
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
    """Results persisted as well, of tasks and flow, whose error is then a result too."""
    caplog.set_level(logging.DEBUG)
    if refused:
        scripted_server.script_all(steps.error(401, LEAKING))
    results = tmp_path / "persisted"
    with results_persisted(results), parameters_noted(TASKS) as handed:
        state = state_of(failing)
    assert state.name == ("AuthenticationFailed" if refused else "TooManyFailedRows")
    assert {received.headers["authorization"] for received in scripted_server.log()} == {f"Bearer {KEY}"}
    prefect_server.settled()
    said = capfd.readouterr()
    block = load_block("secret-failing")
    left = Left(
        prefect_server,
        state,
        directory=tmp_path / "run",
        results=results,
        output=said.out + said.err,
        log=caplog.text,
        handed=handed,
        shown=(block, block.get_provider()),
    )
    found = {place: contents_of(place, left) for place in PLACES}
    empty = {place for place, contents in found.items() if not any(content for _, content in contents)}
    assert empty <= {"output"}  # it may all have gone where Prefect's log was first set up; the log has it too
    assert {name for name, _ in found["report"]} >= {"report.html", "report.md"}
    leaks = {place: [findings(secret, found[place]) for secret in SECRETS] for place in PLACES}
    assert {place: each for place, each in leaks.items() if any(each)} == {}
