"""What the chunks of a run share in one process stays theirs as long as the run goes on."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.run.running import documents, provider_at, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.reuse import earlier_runs
from prefect_llm.run import context as contexts
from prefect_llm.run.context import IDLE_CONTEXTS, context_of, working_on
from prefect_llm.run.finishing import finish_run, release_run
from prefect_llm.run.opening import open_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.reference import RunReference
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import RunDirectory, lease
from prefect_llm.system.folders import open_folder
from prefect_llm.values.errors import Interrupted
from prefect_llm.values.provider import Timeouts


class NoAnswers:
    def find(self, fingerprints: object, provider: object) -> dict[str, object]:
        return {}


@pytest.fixture
def run(output: str) -> Iterator[RunReference]:
    opened = open_run(documents(3), output, spec_of())
    yield opened
    release_run(opened)


def test_a_run_that_asks_keeps_its_stop_flag_and_progress_while_seventy_others_begin(
    scripted_server: ScriptedServer, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    scripted_server.script({f"doc-{row}": steps.hang() for row in range(6)})
    first = open_run(documents(6), str(tmp_path / "first"), spec_of())
    patient = replace(provider_at(scripted_server.base_url, concurrency=3), timeouts=Timeouts())
    summary = pool.submit(infer_pending, first, patient)
    scripted_server.wait_for(requests=3, in_flight=3)

    for number in range(70):
        open_run(documents(1), str(tmp_path / str(number)), spec_of())

    assert context_of(first).tracker.progress.requests.sent == 3
    context_of(first).stop.set(Interrupted("enough"))
    scripted_server.release()
    assert summary.result(timeout=20).state == "interrupted"
    assert scripted_server.stats().requests == 3


def test_a_chunk_in_use_keeps_its_context_in_a_process_that_opened_no_run(run: RunReference) -> None:
    elsewhere = replace(run, invocation="of another process")
    with working_on(elsewhere) as context:
        for number in range(2 * IDLE_CONTEXTS):
            context_of(replace(run, invocation=f"another {number}"))
        assert context_of(elsewhere) is context


def test_of_runs_that_are_over_the_last_are_remembered(run: RunReference) -> None:
    over = context_of(replace(run, invocation="over"))
    for number in range(IDLE_CONTEXTS):
        context_of(replace(run, invocation=f"later {number}"))
    assert context_of(replace(run, invocation="over")) is not over


@pytest.fixture
def few_unbegun(monkeypatch: pytest.MonkeyPatch) -> int:
    """So many contexts of runs that were opened and never begun are kept."""
    monkeypatch.setattr(contexts, "UNBEGUN_CONTEXTS", 3)
    return 3


def test_of_runs_that_were_opened_and_never_begun_the_last_are_kept(tmp_path: Path, few_unbegun: int) -> None:
    runs = [open_run(documents(1), str(tmp_path / str(number)), spec_of()) for number in range(few_unbegun + 1)]
    seen = [weakref.ref(context_of(run)) for run in runs]
    gc.collect()
    assert [context() is not None for context in seen] == [False] + [True] * few_unbegun
    for run in runs:
        release_run(run)


@pytest.mark.parametrize("ended_by", ["another process", "the next opening"])
def test_a_run_whose_lease_has_ended_is_remembered_no_longer_than_one_that_is_over(
    run: RunReference, output: str, monkeypatch: pytest.MonkeyPatch, ended_by: str
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.001)
    own = open_run(documents(3), output, spec_of())
    with working_on(own) as context:
        closed = threading.Event()
        monkeypatch.setattr(context, "close", closed.set)
    if ended_by == "another process":
        while not closed.wait(timeout=0.05):  # a heartbeat at the same moment would write over it
            release_elsewhere(own)
    else:
        release_run(open_run(documents(3), output, spec_of()))

    assert closed.wait(timeout=10)
    for number in range(IDLE_CONTEXTS):
        context_of(replace(own, invocation=f"later {number}"))
    assert context_of(own) is not context


def release_elsewhere(run: RunReference) -> None:
    """What another process's `finish_run` leaves of the lease."""
    folder, name = open_folder(run.url), f"_run/lease/epoch-{run.epoch:05d}.json"
    folder.write(name, json.dumps(json.loads(folder.read(name)) | {"released": True}).encode())


def test_a_stopped_run_keeps_its_stop_flag_while_others_are_opened(
    run: RunReference, tmp_path: Path, few_unbegun: int
) -> None:
    context_of(run).stop.set(Interrupted("enough"))
    others = [open_run(documents(1), str(tmp_path / str(number)), spec_of()) for number in range(few_unbegun + 1)]
    assert context_of(run).stop.error is not None
    for other in others:
        release_run(other)


def test_a_finished_run_still_tells_what_it_did(run: RunReference, scripted_server: ScriptedServer) -> None:
    infer_pending(run, provider_at(scripted_server.base_url))
    assert context_of(run).tracker.progress.done == 3


def test_the_context_follows_the_reference_until_a_chunk_begins(run: RunReference) -> None:
    assert context_of(replace(run, reuse=("elsewhere",))).run.reuse == ("elsewhere",)
    assert context_of(run).run.reuse == ()
    with working_on(run):
        assert context_of(replace(run, reuse=("elsewhere",))).run.reuse == ()


def test_a_context_that_is_closed_while_a_chunk_runs_drops_its_memory_when_the_chunk_ends(run: RunReference) -> None:
    with working_on(run) as context:
        deduplicator = context.deduplicator
        release_run(run)
        assert context.deduplicator is deduplicator
    assert context.deduplicator is not deduplicator


def test_an_earlier_run_is_indexed_once_from_its_opening_on(
    run: RunReference, scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer_pending(run, provider_at(scripted_server.base_url))
    read: list[str] = []

    def index(directory: RunDirectory, kept: Sequence[str]) -> NoAnswers:
        read.append(directory.url)
        return NoAnswers()

    monkeypatch.setattr(earlier_runs, "AnswerIndex", index)

    again = open_run(documents(3), str(tmp_path / "again"), spec_of(), options=RunOptions(reuse=run.url))
    assert context_of(again).earlier_runs.find({"f"}, "host", lambda row: True) == {}
    assert read == [run.url]
    release_run(again)


def test_runs_of_one_directory_share_nothing(run: RunReference, output: str) -> None:
    finish_run(run)
    again = open_run(documents(3), output, spec_of())
    assert context_of(again).stop is not context_of(run).stop
    release_run(again)
