"""Two processes started on one run directory at once: one goes on, and after its end the other finishes the run."""

from __future__ import annotations

import signal
import subprocess
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from tests.cli.commanding import Ended, call, ended, result_rows, started, write_documents
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

ROWS, CHUNK_ROWS, CONCURRENCY = 20, 5, 5


@pytest.mark.parametrize("begun", [False, True], ids=["a new directory", "a run begun before"])
def test_of_two_started_at_once_one_is_refused_and_finishes_the_run_when_the_other_is_killed(
    scripted_server: ScriptedServer, tmp_path: Path, pool: ThreadPoolExecutor, begun: bool
) -> None:
    asking = ["run", write_documents(tmp_path / "in.jsonl", ROWS), "--output", "out", "--prompt", "{{ text }}"]
    asking += ["--model", "m", "--base-url", scripted_server.base_url, "--chunk-rows", str(CHUNK_ROWS)]
    asking += ["--concurrency", str(CONCURRENCY)]
    if begun:
        scripted_server.script({f"doc-{row}": steps.status(401) for row in range(CHUNK_ROWS, ROWS)})
        assert call(*asking, cwd=tmp_path).status == 3
        scripted_server.reset()
    scripted_server.script_all(steps.hang())
    with started(*asking, cwd=tmp_path) as one, started(*asking, cwd=tmp_path) as other:
        scripted_server.wait_for(in_flight=CONCURRENCY)
        refused, owner = first_ended(pool, one, other)
        assert (refused.status, refused.out) == (2, "")
        assert [f"going on in process {owner.pid}" in sentence for sentence in refused.refusals] == [True]
        assert scripted_server.stats().requests == CONCURRENCY
        owner.kill()
        assert ended(owner).status == -signal.SIGKILL
    scripted_server.reset()

    last = call(*asking, "--json", cwd=tmp_path)
    assert (last.status, last.summary["ok"]) == (0, ROWS)
    assert [row["id"] for row in result_rows(tmp_path / "out")] == [f"d{row}" for row in range(ROWS)]
    assert set(scripted_server.stats().by_document.values()) == {1}


def first_ended(pool: ThreadPoolExecutor, *processes: subprocess.Popen[str]) -> tuple[Ended, subprocess.Popen[str]]:
    """How the first of two ended, and the one that goes on."""
    ends = {pool.submit(process.wait, 60): process for process in processes}
    done, _ = wait(ends, 60, FIRST_COMPLETED)
    (first,) = (ends[each] for each in done)
    (going_on,) = (process for process in processes if process is not first)
    return ended(first), going_on
