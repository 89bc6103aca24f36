"""Signals and kill -9: nothing is lost, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.cli.commanding import call, ended, result_rows, started
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_while_answers_hang_ends_the_run_within_ten_seconds_and_it_resumes(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    scripted_server.script({f"doc-{n}": steps.hang() for n in range(5, 10)})
    with started(*asking, "--concurrency", "10", "--json", cwd=tmp_path) as process:
        scripted_server.wait_for(in_flight=5, answered=5)
        sent_at = time.monotonic()
        process.send_signal(number)
        interrupted = ended(process)
        took_s = time.monotonic() - sent_at
    assert interrupted.status == STATUS[number]
    assert took_s < 10
    assert len(interrupted.refusals) == 1
    assert interrupted.refusals[0].startswith(f"{number.name}: ")
    assert "Traceback" not in interrupted.err
    assert interrupted.summary["state"] == "interrupted"
    assert interrupted.summary["stopped"] == {"kind": "Interrupted", "message": interrupted.refusals[0]}
    assert (interrupted.summary["rows"], interrupted.summary["ok"], interrupted.summary["requests"]) == (10, 5, 10)
    assert {row["id"] for row in result_rows(tmp_path / "out")} == {f"d{n}" for n in range(5)}

    scripted_server.reset()
    again = call(*asking, cwd=tmp_path)
    assert again.status == 0
    assert sorted(scripted_server.stats().by_document) == [f"doc-{n}" for n in range(5, 10)]
    assert [row["id"] for row in result_rows(tmp_path / "out")] == [f"d{n}" for n in range(10)]


def test_requests_in_flight_at_the_first_signal_may_still_end(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script_all(steps.hang())
    with started(*asking, "--concurrency", "10", "--json", cwd=tmp_path) as process:
        scripted_server.wait_for(in_flight=10)
        process.send_signal(signal.SIGTERM)
        _wait_for_no_signal_pending(process)
        scripted_server.release()
        done = ended(process)
    # Every document had left: with their answers the run is done.
    assert (done.status, done.summary["state"], done.summary["ok"]) == (0, "completed", 10)


@pytest.mark.parametrize("number", STATUS)
def test_a_second_signal_leaves_at_once(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    scripted_server.script_all(steps.hang())
    with started(*asking, "--concurrency", "10", cwd=tmp_path) as process:
        scripted_server.wait_for(in_flight=10)
        # another one than the second: the interpreter makes one call of two equal signals close together
        process.send_signal(signal.SIGINT if number == signal.SIGTERM else signal.SIGTERM)
        _wait_for_no_signal_pending(process)
        sent_at = time.monotonic()
        process.send_signal(number)
        assert ended(process).status == STATUS[number]
    assert time.monotonic() - sent_at < 3


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_while_the_input_is_staged_ends_the_command_and_the_same_one_begins_again(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    small = (tmp_path / "in.jsonl").read_text()
    with (tmp_path / "in.jsonl").open("w") as large:
        large.writelines(f'{{"id": {n}, "text": "doc-{n}"}}\n' for n in range(20_000))
    with started(*asking, cwd=tmp_path) as process:
        _wait_for_file(tmp_path / "out" / "_run" / "input" / "chunk-00000.arrow", process)
        process.send_signal(number)
        interrupted = ended(process)
    assert (interrupted.status, interrupted.out) == (STATUS[number], "")
    assert "Traceback" not in interrupted.err
    assert not (tmp_path / "out" / "_run" / "manifest.json").exists()
    assert scripted_server.stats().requests == 0

    (tmp_path / "in.jsonl").write_text(small)
    assert call(*asking, cwd=tmp_path).status == 0
    assert [row["id"] for row in result_rows(tmp_path / "out")] == [f"d{n}" for n in range(10)]


def test_after_kill_9_in_the_middle_the_same_command_ends_with_exactly_the_documents(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script({"doc-7": steps.hang()})
    with started(*asking, "--concurrency", "2", cwd=tmp_path) as process:
        scripted_server.wait_for(in_flight=1, answered=9)
        process.kill()
        assert ended(process).status == -signal.SIGKILL
    assert {row["id"] for row in result_rows(tmp_path / "out")} <= {f"d{n}" for n in range(5)}
    answered = scripted_server.stats().by_document
    scripted_server.reset()

    again = call(*asking, "--concurrency", "2", "--json", cwd=tmp_path)

    assert (again.status, again.summary["state"], again.summary["ok"]) == (0, "completed", 10)
    assert [row["id"] for row in result_rows(tmp_path / "out")] == [f"d{n}" for n in range(10)]
    asked = scripted_server.stats().by_document
    assert asked["doc-7"] == 1
    assert (len({*answered, *asked}), sum(asked.values()) <= 2) == (10, True)  # what was in flight, at most


@pytest.mark.parametrize("answered", [0, 4, 5, 6, 10])
def test_after_kill_9_at_any_instant_the_rows_are_exactly_the_documents(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path, answered: int
) -> None:
    scripted_server.delay(0.02)
    with started(*asking, "--concurrency", "1", cwd=tmp_path) as process:
        scripted_server.wait_for(requests=1, answered=answered)
        process.kill()
        ended(process)
    sent = scripted_server.stats().requests
    assert call(*asking, "--concurrency", "1", cwd=tmp_path).status == 0
    assert [row["id"] for row in result_rows(tmp_path / "out")] == [f"d{n}" for n in range(10)]
    assert answered <= sent
    assert scripted_server.stats().requests in (10, 11)  # the one in flight, if there was one


def _wait_for_no_signal_pending(process: subprocess.Popen[str]) -> None:
    """Until the process has taken the signal just sent: Linux says which ones still wait."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status = Path(f"/proc/{process.pid}/status").read_text()
        pending = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigPnd", "ShdPnd"))]
        if not any(pending):
            return
    raise TimeoutError("the signal was not taken")


def _wait_for_file(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, f"the command ended before there was {path}"
        os.sched_yield()
