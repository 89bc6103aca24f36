"""Promises 1 and 3: killed at any instant, a run ends with exactly its documents and pays little twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow.dataset
import pytest
from tests.cli.commanding import Ended, call, ended, environment, started
from tests.conftest import WriteDocuments
from tests.run import dying
from tests.run.running import make_old_and_from_elsewhere
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.store.journal import INFLIGHT

DOCUMENTS, CONCURRENCY, KILLS = 600, 16, 6
SMALL, SMALL_CHUNK = 12, 4
DEATHS = [
    *(f"replace:{n}:{when}" for n in (1, 3, 6) for when in ("before", "after")),
    *(f"link:{n}:{when}" for n in (1, 3) for when in ("before", "after")),
    *(f"fsync:{n}:{when}" for n, when in ((1, "before"), (9, "after"), (14, "before"), (20, "after"))),
    *(f"write:{n}:{when}" for n in (1, 12) for when in ("before", "half", "after")),
    *(f"unlink:{n}:after" for n in (1, 8)),
    *(f"rename:1:{when}" for when in ("before", "after")),
    *(f"content:{n}:half" for n in (1, 2, 5)),
    *(f"part:{n}:{when}" for n, when in ((1, "before"), (1, "half"), (2, "half"), (3, "half"), (2, "after"))),
]


@pytest.mark.parametrize("seed", [1])
def test_killed_again_and_again_a_run_pays_twice_at_most_what_was_in_flight(
    scripted_server: ScriptedServer, write_documents: WriteDocuments, tmp_path: Path, seed: int
) -> None:
    scripted_server.delay(0.02)
    chance = random.Random(seed)
    asking = ["run", write_documents(DOCUMENTS), "--output", "out", "--prompt", "{{ text }}", "--chunk-rows", "70"]
    asking += ["--base-url", scripted_server.base_url, "--model", "m", "--concurrency", str(CONCURRENCY)]
    for _ in range(KILLS):
        so_far = scripted_server.stats().requests
        with started(*asking, cwd=tmp_path) as process:
            scripted_server.wait_for(requests=so_far + chance.randint(1, DOCUMENTS // (KILLS + 1)))
            process.kill()
            assert ended(process).status == -signal.SIGKILL
        assert_readable_and_whole(tmp_path / "out", DOCUMENTS, 70)
    last = call(*asking, "--json", cwd=tmp_path)

    assert (last.status, last.summary["ok"]) == (0, DOCUMENTS)
    assert ids_of(tmp_path / "out") == [f"d{n}" for n in range(DOCUMENTS)]
    stats = scripted_server.stats()
    assert len(stats.by_document) == DOCUMENTS
    assert sum(stats.by_document.values()) - DOCUMENTS <= KILLS * CONCURRENCY
    assert not list((tmp_path / "out" / INFLIGHT).iterdir())


@pytest.mark.parametrize("death", DEATHS)
def test_killed_inside_a_change_of_the_disk_the_same_run_ends_with_exactly_the_documents(
    scripted_server: ScriptedServer, write_documents: WriteDocuments, tmp_path: Path, death: str
) -> None:
    source = write_documents(SMALL)
    with dying_run(tmp_path, source, scripted_server, death) as process:
        ended(process)
        assert process.returncode == -signal.SIGKILL
    if (tmp_path / "run" / "results").exists():
        assert_readable_and_whole(tmp_path / "run", SMALL, SMALL_CHUNK)
    with dying_run(tmp_path, source, scripted_server, "none:0:before") as process:
        assert ended(process).out == "completed\n"
    assert ids_of(tmp_path / "run") == [f"d{n}" for n in range(SMALL)]
    assert scripted_server.stats().requests <= SMALL + dying.CONCURRENCY


def test_an_attempt_that_was_paused_and_wakes_up_is_superseded_and_changes_nothing(
    scripted_server: ScriptedServer, write_documents: WriteDocuments, tmp_path: Path
) -> None:
    source = write_documents(SMALL_CHUNK)
    scripted_server.script({"doc-3": steps.hang()})
    with dying_run(tmp_path, source, scripted_server, "none:0:before") as paused:
        scripted_server.wait_for(in_flight=1, answered=3)
        wait_for_rows(tmp_path / "run" / INFLIGHT / "chunk-00000-e1-a1.jsonl", 3)
        paused.send_signal(signal.SIGSTOP)
        make_old_and_from_elsewhere(tmp_path / "run" / "_run" / "lease" / "epoch-00001.json")
        scripted_server.script({"doc-3": steps.ok()})
        with dying_run(tmp_path, source, scripted_server, "none:0:before") as second:
            assert ended(second).out == "completed\n"
        before = {path: path.stat() for path in (tmp_path / "run" / "results").iterdir()}
        scripted_server.release()
        paused.send_signal(signal.SIGCONT)
        assert ended(paused) == Ended(0, "Superseded\n", "")
    after = {path: path.stat() for path in (tmp_path / "run" / "results").iterdir()}
    part = tmp_path / "run" / "results" / "part-00000.parquet"
    assert after.keys() == before.keys()
    assert (after[part].st_ino, after[part].st_mtime_ns) == (before[part].st_ino, before[part].st_mtime_ns)
    assert ids_of(tmp_path / "run") == [f"d{n}" for n in range(SMALL_CHUNK)]
    assert scripted_server.stats().by_document == {"doc-0": 1, "doc-1": 1, "doc-2": 1, "doc-3": 2}
    assert not list((tmp_path / "run" / INFLIGHT).iterdir())


@contextmanager
def dying_run(tmp_path: Path, source: str, server: ScriptedServer, death: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, dying.__file__, str(tmp_path / "run"), source, server.base_url]
    with subprocess.Popen(
        [*command, str(SMALL_CHUNK), death],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_rows(journal: Path, count: int) -> None:
    """Until the process has written down what the server has answered."""
    deadline = time.monotonic() + 10
    while journal.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline
        os.sched_yield()


def ids_of(output: Path) -> list[str]:
    ids: list[str] = pyarrow.dataset.dataset(output / "results").to_table(["id"])["id"].to_pylist()
    return ids


def assert_readable_and_whole(output: Path, rows: int, chunk_rows: int) -> None:
    """Both readers see the same rows: some whole chunks, none twice."""
    ids = ids_of(output)
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT id FROM '{output}/results/*.parquet'").fetchall()
    assert sorted(ids) == sorted(row[0] for row in found)
    chunks = {int(each[1:]) // chunk_rows for each in ids}
    assert len(ids) == len(set(ids))
    assert len(ids) == sum(min(chunk_rows, rows - chunk * chunk_rows) for chunk in chunks)
