"""One owner per run directory: a second process is refused, a dead one replaced, a late one commits nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commanding import call, ended, result_rows, started, write_documents
from tests.run.running import documents, make_old_and_from_elsewhere, provider_at, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.documents import Snapshot, stage
from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.context import context_of
from prefect_llm.run.finishing import finish_run, release_run
from prefect_llm.run.opening import open_run
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import lease
from prefect_llm.store.lease import acquire
from prefect_llm.store.process import Process, this_process
from prefect_llm.system.folders import LocalFolder
from prefect_llm.values.errors import InvalidInput, Superseded

ELSEWHERE = Process("elsewhere", 17, "boot-2 pid:[1]", 5)


@pytest.fixture
def asking(scripted_server: ScriptedServer, tmp_path: Path) -> list[str]:
    """A command over ten documents in two chunks; its output is `out`."""
    write_documents(tmp_path / "in.jsonl", 10)
    options = {"--output": "out", "--prompt": "{{ text }}", "--chunk-rows": "5", "--model": "m", "--concurrency": "5"}
    given = [word for option in options.items() for word in option]
    return ["run", "in.jsonl", *given, "--base-url", scripted_server.base_url]


def lease_of(output: Path) -> Path:
    (file,) = (output / "_run" / "lease").iterdir()
    return file


def files_of(output: Path) -> dict[str, bytes]:
    """All files but journals and temps."""
    passing = (output / "_run" / "inflight", output / "_run" / "tmp")
    found = [path for path in output.rglob("*") if path.is_file() and not path.is_relative_to(passing[0])]
    return {str(path): path.read_bytes() for path in found if not path.is_relative_to(passing[1])}


def acquire_as_another_host(output: str) -> None:
    """Take the directory over from this process, an hour from now."""
    assert acquire(LocalFolder(Path(output)), ELSEWHERE, lambda: time.time() + 3600) == 2


def test_a_second_process_is_refused_while_the_first_lives_and_changes_nothing(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script_all(steps.hang())
    with started(*asking, "--json", cwd=tmp_path) as first:
        scripted_server.wait_for(in_flight=5)
        before = files_of(tmp_path / "out")
        second = call(*asking, cwd=tmp_path)
        assert (second.status, second.out) == (2, "")
        (refusal,) = second.refusals
        assert refusal.startswith(
            f"{tmp_path}/out belongs to a run that is going on in process {first.pid} on this host"
        )
        assert refusal.endswith("wait for it to end or stop it")
        assert files_of(tmp_path / "out") == before
        assert scripted_server.stats().requests == 5
        scripted_server.script_all(steps.ok("late"))
        scripted_server.release()
        done = ended(first)
    assert (done.status, done.summary["ok"]) == (0, 10)
    assert call(*asking, cwd=tmp_path).status == 0


def test_a_killed_owner_is_taken_over_at_once(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script_all(steps.hang())
    with started(*asking, cwd=tmp_path) as first:
        scripted_server.wait_for(in_flight=5)
        first.kill()
        assert ended(first).status == -signal.SIGKILL
    assert json.loads(lease_of(tmp_path / "out").read_text())["released"] is False
    scripted_server.reset()

    assert call(*asking, cwd=tmp_path).status == 0
    assert [row["id"] for row in result_rows(tmp_path / "out")] == [f"d{n}" for n in range(10)]
    assert lease_of(tmp_path / "out").name == "epoch-00002.json"


def test_an_owner_that_was_paused_and_taken_over_commits_nothing_when_it_wakes_up(
    scripted_server: ScriptedServer, asking: list[str], tmp_path: Path
) -> None:
    scripted_server.script_all(steps.hang())
    with started(*asking, "--json", cwd=tmp_path) as first, paused(first, scripted_server):
        make_old_and_from_elsewhere(lease_of(tmp_path / "out"))
        scripted_server.script_all(steps.ok("of the second"))
        second = call(*asking, "--json", cwd=tmp_path)
        assert (second.status, second.summary["ok"]) == (0, 10)
        after_the_second = files_of(tmp_path / "out")

        first.send_signal(signal.SIGCONT)
        scripted_server.release()  # its five requests are answered now: a whole chunk
        late = ended(first)
    assert late.status == 3
    assert late.summary["stopped"]["kind"] == "Superseded"
    (said,) = late.refusals
    assert said == f"{tmp_path}/out was taken over by another process, which finishes it: nothing is left to do"
    assert files_of(tmp_path / "out") == after_the_second
    assert {row["content"] for row in result_rows(tmp_path / "out")} == {"of the second"}


@contextmanager
def paused(process: subprocess.Popen[str], server: ScriptedServer) -> Iterator[None]:
    """The process stands still from the moment its first chunk is in flight; whoever goes on wakes it up."""
    server.wait_for(in_flight=5)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_a_chunk_that_is_being_asked_when_the_run_is_taken_over_is_not_committed(
    scripted_server: ScriptedServer, output: str, pool: ThreadPoolExecutor
) -> None:
    scripted_server.script_all(steps.hang())
    run = open_run(documents(10), output, spec_of(chunk_rows=5))
    asking = pool.submit(infer_chunk, run, 0, provider_at(scripted_server.base_url))
    scripted_server.wait_for(in_flight=5)
    acquire_as_another_host(output)
    before = files_of(Path(output))
    scripted_server.release()

    with pytest.raises(Superseded, match="was taken over by another process"):
        asking.result(20)
    with pytest.raises(Superseded):
        infer_chunk(run, 1, provider_at(scripted_server.base_url))
    assert scripted_server.stats().requests == 5
    summary = finish_run(run, [], Superseded("taken over"))
    assert summary.state == "stopped"
    assert files_of(Path(output)) == before


def test_an_owner_that_was_taken_over_asks_no_more(
    scripted_server: ScriptedServer, output: str, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.01)
    scripted_server.script_all(steps.hang())
    run = open_run(documents(100), output, spec_of(chunk_rows=50))
    told = threading.Event()
    context_of(run).stop.listen(told.set)
    asking = pool.submit(infer_pending, run, provider_at(scripted_server.base_url, concurrency=5))
    scripted_server.wait_for(in_flight=5)
    acquire_as_another_host(output)
    assert told.wait(10)
    scripted_server.release()

    summary = asking.result(20)
    assert summary.stopped is not None
    assert summary.stopped.kind == "Superseded"
    assert scripted_server.stats().requests == 5


def test_staging_that_is_overtaken_writes_no_manifest(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stage_slowly(*arguments: Any) -> Snapshot:
        snapshot = stage(*arguments)
        acquire_as_another_host(output)
        return snapshot

    monkeypatch.setattr("prefect_llm.run.opening.stage", stage_slowly)
    with pytest.raises(Superseded):
        open_run(documents(10), output, spec_of())
    assert not Path(output, "_run", "manifest.json").exists()
    assert json.loads(lease_of(Path(output)).read_text())["process"]["host"] == ELSEWHERE.host


@pytest.mark.parametrize("ending", ["finished", "stopped", "released", "faulted"])
def test_however_a_run_ends_another_process_may_go_on_at_once(
    scripted_server: ScriptedServer, output: str, ending: str
) -> None:
    if ending == "stopped":
        scripted_server.script_all(steps.status(401))
    run = open_run(documents(10), output, spec_of())
    if ending == "released":
        release_run(run)
    elif ending == "faulted":
        inputs = Path(output, "_run", "input")
        inputs.rename(inputs.with_name("lost"))
        with pytest.raises(FileNotFoundError):
            infer_pending(run, provider_at(scripted_server.base_url))
    else:
        infer_pending(run, provider_at(scripted_server.base_url))
    assert acquire(LocalFolder(Path(output)), ELSEWHERE) == 2


def test_an_opened_run_belongs_to_this_process(output: str) -> None:
    open_run(documents(10), output, spec_of())
    with pytest.raises(InvalidInput, match=f"process {os.getpid()} on this host"):
        acquire(LocalFolder(Path(output)), replace(this_process(), pid=1, started=1))


def test_a_directory_of_an_earlier_version_without_a_lease_goes_on(
    scripted_server: ScriptedServer, output: str
) -> None:
    run = open_run(documents(20), output, spec_of())
    infer_chunk(run, 0, provider_at(scripted_server.base_url))
    lease_of(Path(output)).unlink()
    again = open_run(documents(20), output, spec_of())
    assert again.pending == (1,)
    assert infer_pending(again, provider_at(scripted_server.base_url)).totals.ok == 20
