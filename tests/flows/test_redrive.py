"""The flow `redrive_failures`, on a real server: failed rows asked again, and how its end shows."""

from __future__ import annotations

from pathlib import Path

from tests.flows.running import Parameters, rows_of, run
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm import redrive_failures


def test_failed_rows_are_asked_again_in_place(
    parameters: Parameters, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    scripted_server.script({f"doc-{n}": steps.status(400) for n in (3, 42)})
    assert run(parameters).totals.failed == 2
    scripted_server.reset()
    summary = redrive_failures(output=parameters["output"], api=parameters["api"])
    assert (summary.totals.ok, summary.totals.failed, summary.requests) == (100, 0, 2)
    assert sorted(scripted_server.stats().by_document) == ["doc-3", "doc-42"]
    assert {row["status"] for row in rows_of(tmp_path / "run")} == {"ok"}


def test_a_directory_without_a_run_is_refused(parameters: Parameters, tmp_path: Path) -> None:
    state = redrive_failures(output=str(tmp_path / "none"), api=parameters["api"], return_state=True)
    assert state.name == "Refused"
    assert state.message is not None
    assert "is not a run directory" in state.message
