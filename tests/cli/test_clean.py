"""`clean DIR`: the documents leave a completed run's directory, and it stays a completed run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.commanding import call, result_rows
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

STAYS = [
    "_run/ledger.json",
    "_run/manifest.json",
    "_run/report.html",
    "_run/report.md",
    "results/part-00000.parquet",
    "results/part-00001.parquet",
    "results/part-schema.parquet",
]


@pytest.fixture
def unfinished(scripted_server: ScriptedServer, asking: list[str], tmp_path: Path) -> list[str]:
    """The command line of a run that stopped in the second of its two chunks."""
    scripted_server.script({f"doc-{n}": steps.status(401) for n in range(5, 10)})
    command = [*asking, "--concurrency", "1"]
    assert call(*command, cwd=tmp_path).status == 3
    scripted_server.reset()
    return command


def _files(output: Path) -> list[str]:
    """Those of the run; its lease says who had it last."""
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    return [name for name in files if not name.startswith("_run/lease/")]


def test_a_completed_run_keeps_results_manifest_and_report_only(asking: list[str], tmp_path: Path) -> None:
    assert call(*asking, "--keep", "none", cwd=tmp_path).status == 0
    rows = result_rows(tmp_path / "out")
    (tmp_path / "out" / "_run" / "tmp" / "left-by-a-killed-process").write_text("doc-3 hello")
    cleaned = call("clean", "out", cwd=tmp_path)
    assert (cleaned.status, cleaned.out) == (0, "removed the snapshot of out, 3 files\n")
    assert _files(tmp_path / "out") == STAYS
    assert {path.name for path in (tmp_path / "out" / "_run").iterdir()} <= {
        "ledger.json",
        "manifest.json",
        "report.html",
        "report.md",
        "lease",
        "tmp",
    }
    assert result_rows(tmp_path / "out") == rows


def test_a_traceback_that_may_quote_a_document_goes_too(asking: list[str], tmp_path: Path) -> None:
    call(*asking, cwd=tmp_path)
    traceback = tmp_path / "out" / "_run" / "fault.txt"
    traceback.write_text("ValueError: doc-3 hello")
    assert call("clean", "out", cwd=tmp_path).status == 0
    assert not traceback.exists()


def test_a_second_time_there_is_nothing_left_to_remove(asking: list[str], tmp_path: Path) -> None:
    assert call(*asking, cwd=tmp_path).status == 0
    assert call("clean", "out", cwd=tmp_path).status == 0
    again = call("clean", "out", cwd=tmp_path)
    assert (again.status, again.out, again.err) == (0, "out is clean already\n", "")


def test_after_it_run_and_resume_still_know_that_the_run_is_finished(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script({"doc-3": steps.status(400)})
    before = call(*asking, "--json", cwd=tmp_path)
    assert before.status == 4
    assert call("clean", "out", cwd=tmp_path).status == 0
    scripted_server.reset()
    for command in (asking, ["resume", "out"]):
        again = call(*command, "--json", cwd=tmp_path)
        assert (again.status, again.refusals) == (4, before.refusals)
        assert {**again.summary, "requests": 10, "seconds": 0} == {**before.summary, "seconds": 0}
    assert scripted_server.stats().requests == 0
    assert call("clean", "out", cwd=tmp_path).out == "out is clean already\n"


def test_after_it_another_input_is_still_refused(asking: list[str], tmp_path: Path) -> None:
    assert call(*asking, cwd=tmp_path).status == 0
    assert call("clean", "out", cwd=tmp_path).status == 0
    (tmp_path / "in.jsonl").write_text('{"id": "x", "text": "other"}\n')
    refused = call(*asking, cwd=tmp_path)
    assert refused.status == 2
    assert "has changed since this run finished" in refused.refusals[0]


def test_an_unfinished_run_is_refused_with_what_would_be_lost_and_can_still_be_finished(
    unfinished: list[str], tmp_path: Path
) -> None:
    before = _files(tmp_path / "out")
    written = len(result_rows(tmp_path / "out"))
    refused = call("clean", "out", cwd=tmp_path)
    assert (refused.status, refused.out, len(refused.refusals)) == (2, "", 1)
    assert f"{10 - written} of its 10 documents never get a result row" in refused.refusals[0]
    assert "--force" in refused.refusals[0]
    assert _files(tmp_path / "out") == before
    assert call(*unfinished, cwd=tmp_path).status == 0
    assert call("clean", "out", cwd=tmp_path).status == 0


def test_forced_it_cleans_an_unfinished_run_which_is_then_refused_and_keeps_its_results(
    scripted_server: ScriptedServer, unfinished: list[str], tmp_path: Path
) -> None:
    rows = result_rows(tmp_path / "out")
    assert call("clean", "out", "--force", cwd=tmp_path).status == 0
    assert not [name for name in _files(tmp_path / "out") if name.startswith(("_run/input", "_run/inflight"))]
    for command in (unfinished, ["resume", "out", "--base-url", scripted_server.base_url]):
        refused = call(*command, cwd=tmp_path)
        assert (refused.status, len(refused.refusals)) == (2, 1)
        assert "were removed from _run/input (prefect-llm clean does that)" in refused.refusals[0]
    assert scripted_server.stats().requests == 0
    assert result_rows(tmp_path / "out") == rows


def test_a_completed_run_that_lost_a_part_needs_its_snapshot(asking: list[str], tmp_path: Path) -> None:
    assert call(*asking, cwd=tmp_path).status == 0
    (tmp_path / "out" / "results" / "part-00001.parquet").unlink()
    refused = call("clean", "out", cwd=tmp_path)
    assert refused.status == 2
    assert "5 of its 10 documents never get a result row, 0 answers in its journals included" in refused.refusals[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent"], "absent is not a run directory: it has no _run/manifest.json"),
        (["."], "is not a run directory"),
        (["nowhere://x"], "nowhere://x cannot be opened"),
        ([], "DIR"),
        ([".", "--forse"], "--forse"),
    ],
)
def test_what_is_no_run_exits_2_with_one_sentence_and_nothing_is_removed(
    asking: list[str], tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "_run" / "input").mkdir(parents=True)
    (tmp_path / "_run" / "input" / "mine.txt").write_text("mine")
    refused = call("clean", *arguments, cwd=tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert len(refused.err.splitlines()) == len(refused.refusals) == 1, refused.err
    assert said in refused.refusals[0]
    assert (tmp_path / "_run" / "input" / "mine.txt").exists()
