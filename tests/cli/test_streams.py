"""What goes to standard output, what to standard error, and how soon the first request leaves."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import pytest
from tests.cli.commanding import call, result_rows, started, write_documents
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

FIRST_REQUEST_WITHIN_S = 2.0
HELP_CPU_S = 1.0
SCHEDULER = Path("/proc/self/schedstat")


def test_the_summary_is_on_standard_output_and_nothing_on_standard_error(asking: list[str], tmp_path: Path) -> None:
    done = call(*asking, cwd=tmp_path)
    assert done.err == ""
    assert "10" in done.out.splitlines()[0]
    assert f"results     {tmp_path}/out/results" in done.out


def test_with_json_standard_output_is_that_one_line_and_the_summary_moves_aside(
    asking: list[str], tmp_path: Path
) -> None:
    done = call(*asking, "--json", cwd=tmp_path)
    assert len(done.out.splitlines()) == 1
    assert json.loads(done.out)["ok"] == 10
    assert f"results     {tmp_path}/out/results" in done.err


def test_quiet_says_nothing_at_all_and_with_json_only_that(asking: list[str], tmp_path: Path) -> None:
    quiet = call(*asking, "--quiet", cwd=tmp_path)
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")
    again = call(*asking, "--quiet", "--json", cwd=tmp_path)
    assert (len(again.out.splitlines()), again.err) == (1, "")


def test_figures_and_logs_go_to_standard_error(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script({"doc-9": steps.ok(delay_s=0.5)})
    config = tmp_path / "run.yaml"
    config.write_text("monitoring:\n  stats_interval_seconds: 0.1\n")
    done = call(*asking, "--config", str(config), "--json", "--quiet", cwd=tmp_path)
    assert len(done.out.splitlines()) == 1
    assert " INFO 9 of 10 documents, " in done.err
    assert "unknown price" in done.err
    warned = call(*asking, "--config", str(config), "--log-level", "WARNING", "--quiet", cwd=tmp_path)
    assert (warned.status, warned.err) == (0, "")


def test_a_changed_source_is_said_in_the_log_of_an_unfinished_run(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.expect_key("absent")
    assert call(*asking, cwd=tmp_path).status == 3
    scripted_server.reset()
    write_documents(tmp_path / "in.jsonl", 3)
    done = call(*asking, "--quiet", cwd=tmp_path)
    assert done.status == 0
    assert "WARNING in.jsonl has changed since it was staged; the run goes on with its snapshot" in done.err
    assert len(result_rows(tmp_path / "out")) == 10
    write_documents(tmp_path / "in.jsonl", 4)
    refused = call(*asking, cwd=tmp_path)
    assert refused.status == 2
    assert "in.jsonl has changed since this run finished" in refused.refusals[0]


def test_a_finished_run_exits_as_before_where_its_input_was_written_again_or_is_gone(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script({"doc-3": steps.status(400)})
    source = tmp_path / "in.jsonl"
    before = call(*asking, "--json", "--max-error-share", "0.05", cwd=tmp_path)
    assert before.status == 4
    scripted_server.reset()
    source.write_bytes(source.read_bytes())
    for _ in range(2):
        again = call(*asking, "--json", "--max-error-share", "0.05", cwd=tmp_path)
        assert (again.status, again.summary["failed"], again.summary["cost"]) == (4, 1, before.summary["cost"])
        source.unlink(missing_ok=True)
    assert scripted_server.stats().requests == 0


@pytest.mark.skipif(not SCHEDULER.exists(), reason="only Linux tells a process's time from the machine's")
@pytest.mark.parametrize("name", ["in.jsonl", "in.parquet", "in.csv"])
def test_the_first_request_leaves_within_two_seconds(
    scripted_server: ScriptedServer, endpoint: list[str], tmp_path: Path, name: str
) -> None:
    scripted_server.script_all(steps.hang())
    write_documents(tmp_path / name, 10)
    began = time.monotonic()
    with started("run", name, "--output", "out", "--prompt", "{{ text }}", *endpoint, cwd=tmp_path) as process:
        scripted_server.wait_for(requests=1)
        others_s = _waited_for_others_s(process.pid)
    took_s = scripted_server.log()[0].received_at - began
    assert took_s - others_s < FIRST_REQUEST_WITHIN_S, f"after {took_s} s, {others_s} s of them without a processor"


def _waited_for_others_s(pid: int) -> float:
    """How long the command could have gone on, had the machine's processors not been busy with other work."""
    _, waiting_ns, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(waiting_ns) / 1e9


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["verify", "--help"], ["--version"]])
def test_help_takes_less_than_a_second_of_cpu(tmp_path: Path, arguments: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = call(*arguments, cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.strip()
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < HELP_CPU_S


def test_help_names_the_commands(tmp_path: Path) -> None:
    shown = call("--help", cwd=tmp_path).out
    assert all(word in shown for word in ("run", "verify", "demo"))
