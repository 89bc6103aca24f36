"""Prefect retries what may pass by itself; what needs a person, a `RunError` or a refusal, is one line in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import Task, flow
from prefect.client.schemas.objects import State, TaskRun
from tests.conftest import WriteDocuments
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.tasks.conftest import SPEC, ids_of

from prefect_llm import ProviderReference, infer_chunk, load_documents
from prefect_llm.values.errors import AuthenticationFailed, InvalidInput

AT_ONCE = infer_chunk.with_options(retries=2, retry_delay_seconds=0)

InferOneChunk = Callable[..., None]
Counted = Callable[[Task[..., Any]], Task[..., object]]


@pytest.fixture
def attempts() -> list[str]:
    """The names of the states that a `counted` task has begun in."""
    return []


@pytest.fixture
def counted(attempts: list[str]) -> Counted:
    """A task that tells its attempts."""

    def count(task: Task[..., object], task_run: TaskRun, state: State) -> None:
        attempts.append(state.name or "")

    return lambda task: task.with_options(on_running=[count])


@pytest.fixture
def infer_with(write_documents: WriteDocuments, output: str, provider: ProviderReference) -> InferOneChunk:
    """Runs a flow that loads three documents and infers their only chunk with the given task."""

    def infer(chunk_task: Task[..., object], *, part_is_blocked: bool = False) -> None:
        @flow
        def one_chunk() -> None:
            run = load_documents(write_documents(3), output, SPEC)
            if part_is_blocked:
                _part(output).mkdir()  # the rename of the part then fails, for root too
            chunk_task(run, 0, provider)

        one_chunk()

    return infer


def test_a_fault_that_passes_costs_an_attempt_and_the_chunk_completes(
    infer_with: InferOneChunk, output: str, scripted_server: ScriptedServer
) -> None:
    seen: list[str] = []

    def unblock_after_the_first(task: Task[..., object], task_run: TaskRun, state: State) -> None:
        seen.append(state.name or "")
        if len(seen) == 2:
            _part(output).rmdir()

    infer_with(AT_ONCE.with_options(on_running=[unblock_after_the_first]), part_is_blocked=True)
    assert len(seen) == 2
    assert ids_of(output) == ["d0", "d1", "d2"]
    assert scripted_server.stats().by_document == {"doc-0": 1, "doc-1": 1, "doc-2": 1}  # the journal has the answers


def test_a_fault_that_stays_is_raised_after_the_last_attempt(
    infer_with: InferOneChunk, counted: Counted, attempts: list[str], scripted_server: ScriptedServer
) -> None:
    with pytest.raises(IsADirectoryError):
        infer_with(counted(AT_ONCE), part_is_blocked=True)
    assert len(attempts) == 3
    assert scripted_server.stats().by_document["doc-0"] == 1


def test_what_needs_a_person_is_not_tried_again(
    infer_with: InferOneChunk, counted: Counted, attempts: list[str], scripted_server: ScriptedServer
) -> None:
    scripted_server.expect_key("another")
    with pytest.raises(AuthenticationFailed):
        infer_with(counted(AT_ONCE))
    assert len(attempts) == 1
    assert max(scripted_server.stats().by_document.values()) == 1


def test_an_input_that_is_refused_is_not_tried_again_and_one_line_in_the_log(
    counted: Counted, attempts: list[str], output: str, caplog: pytest.LogCaptureFixture
) -> None:
    loading = counted(load_documents)

    @flow
    def load() -> None:
        loading("nowhere.jsonl", output, SPEC)

    caplog.set_level(logging.INFO, "prefect.task_runs")
    with pytest.raises(InvalidInput, match="nowhere"):
        load()
    (error,) = [each for each in caplog.records if (each.name, each.levelname) == ("prefect.task_runs", "ERROR")]
    assert len(attempts) == 1
    assert "check the path of the input" in error.getMessage()
    assert error.exc_info is None


def test_failed_documents_are_rows_and_no_reason_to_try_the_chunk_again(
    infer_with: InferOneChunk, output: str, scripted_server: ScriptedServer
) -> None:
    scripted_server.script({"doc-1": steps.status(400)})
    infer_with(AT_ONCE)
    assert ids_of(output) == ["d0", "d1", "d2"]
    assert scripted_server.stats().requests == 3


def _part(output: str) -> Path:
    return Path(output) / "results" / "part-00000.parquet"
