"""Prefect tries a chunk again whose first process is only paused: that one changes nothing when it wakes up."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import flow
from tests.conftest import WriteDocuments
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.tasks.conftest import SPEC, ids_of

from prefect_llm import ProviderReference, Run, infer_chunk, load_documents

WORKER = "import pickle, sys; from prefect_llm import infer_chunk; infer_chunk(*pickle.load(sys.stdin.buffer))"
ENDS_WITHIN_S = 60.0


def test_the_retry_s_part_stays_and_only_what_was_in_flight_is_paid_twice(
    write_documents: WriteDocuments,
    output: str,
    provider: ProviderReference,
    scripted_server: ScriptedServer,
    prefect_server: PrefectServer,
    tmp_path: Path,
) -> None:
    scripted_server.script({"doc-2": steps.hang()})
    part = Path(output, "results", "part-00000.parquet")
    run = flow(load_documents.fn)(write_documents(3), output, SPEC)
    attempts: list[int] = []

    @flow(retries=1)
    def one_chunk(worker: subprocess.Popen[bytes]) -> None:
        attempts.append(worker.pid)
        if len(attempts) == 1:
            pause_with_one_in_flight(worker, scripted_server, Path(output))
            raise RuntimeError("the worker is silent")
        scripted_server.script({"doc-2": steps.ok("of the retry")})
        infer_chunk(run, 0, provider)

    with working(run, provider, prefect_server, tmp_path / "log") as worker:
        one_chunk(worker)
        before = (part.stat().st_ino, part.stat().st_mtime_ns)
        scripted_server.release()
        worker.send_signal(signal.SIGCONT)
        assert worker.wait(ENDS_WITHIN_S) != 0
    assert "Superseded" in (tmp_path / "log").read_text()
    assert (part.stat().st_ino, part.stat().st_mtime_ns) == before
    assert len(attempts) == 2
    assert ids_of(output) == ["d0", "d1", "d2"]
    assert scripted_server.stats().by_document == {"doc-0": 1, "doc-1": 1, "doc-2": 2}
    assert not list(Path(output, "_run", "inflight").iterdir())


@contextmanager
def working(
    run: Run, provider: ProviderReference, server: PrefectServer, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The task of chunk 0 in a process of its own."""
    with (
        log.open("wb") as said,
        subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env=server.environ,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(pickle.dumps((run, 0, provider)))
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


def pause_with_one_in_flight(worker: subprocess.Popen[bytes], server: ScriptedServer, output: Path) -> None:
    """Once the two rows that were answered are in its journal."""
    server.wait_for(in_flight=1, answered=2, timeout_s=ENDS_WITHIN_S)
    (journal,) = (output / "_run" / "inflight").iterdir()
    eventually(lambda: journal.read_bytes().count(b"\n"), lambda lines: lines == 2)
    worker.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WNOWAIT)
