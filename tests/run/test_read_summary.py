"""`read_summary`: what a run's flow returned, read from its directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.run.running import carry_out, documents, provider_at
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm import InvalidInput, read_summary


def _files(folder: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*") if path.is_file()}


def test_it_is_what_the_run_returned_and_nothing_is_written(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-3": steps.status(400)})
    summary = carry_out(documents(12), output, provider_at(scripted_server.base_url))
    before = _files(output)
    read = read_summary(Path(output))
    assert (read.to_json(), read.advice) == (
        summary.to_json() | {"seconds": read.to_json()["seconds"]},
        summary.advice,
    )
    assert (read.state, read.totals.ok, read.totals.failed) == ("completed", 11, 1)
    assert _files(output) == before


def test_of_a_stopped_run_it_says_why_and_what_is_durable(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-7": steps.status(401).after(0.2)})
    carry_out(documents(20), output, provider_at(scripted_server.base_url, concurrency=1))
    read = read_summary(output)
    assert read.stopped is not None
    assert (read.state, read.stopped.kind) == ("stopped", "AuthenticationFailed")
    assert (read.totals.rows, read.totals.ok + read.totals.pending) == (20, 20)


def test_of_a_folder_of_runs_it_is_that_of_the_newest_complete_one(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    provider = provider_at(scripted_server.base_url)
    for night, count in (("1", 3), ("2", 5)):
        carry_out(documents(count), str(tmp_path / night), provider)
    assert (read_summary(tmp_path).totals.rows, read_summary(tmp_path).output) == (5, str(tmp_path / "2"))


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_where_there_is_no_run_it_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="give "):
        read_summary(tmp_path / name)
