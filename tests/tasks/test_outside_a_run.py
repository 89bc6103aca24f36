"""The function of a task in a unit test: `.fn`, without a flow run, a task run or a server."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from tests.conftest import documents_table
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.tasks.conftest import SPEC

from prefect_llm import (
    InvalidInput,
    ProviderReference,
    finish_run,
    in_thread,
    infer_chunk,
    load_documents,
    read_results,
)
from prefect_llm import redrive_chunk as redrive_task
from prefect_llm.engine import close_engines
from prefect_llm.run.redrive import open_redrive
from prefect_llm.settings import ApiOptions


@pytest.fixture
def reference(scripted_server: ScriptedServer) -> ProviderReference:
    close_engines()
    return ProviderReference(api=ApiOptions(base_url=scripted_server.base_url))


def test_documents_are_loaded_and_chunks_inferred_and_redriven(
    reference: ProviderReference,
    scripted_server: ScriptedServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="prefect_llm")
    scripted_server.script({"doc-3": [steps.status(400), steps.ok()]})
    run = load_documents.fn(documents_table(40), str(tmp_path), SPEC)
    figures = [infer_chunk.fn(run, chunk, reference) for chunk in run.pending]
    assert [each.requests.sent for each in figures] == [30, 10]
    assert finish_run.fn(run, figures).totals.failed == 1

    redrive = open_redrive(str(tmp_path))
    assert redrive_task.fn(redrive, 0, reference).requests.sent == 1
    finish_run.fn(redrive.run)
    assert read_results(tmp_path).count_rows() == 40
    said = [record.getMessage() for record in caplog.records if record.name.startswith("prefect_llm.tasks")]
    assert [line.split(" in ")[0] for line in said] == [
        "40 documents, 2 of 2 chunks to infer,",
        "chunk 0 done",
        "chunk 1 done",
        "39 of 40 documents answered, 1 failed",
        "chunk 0 redriven",
        "40 of 40 documents answered, 0 failed",
    ]


def test_in_an_event_loop_a_chunk_is_refused_and_awaited_in_a_thread(
    reference: ProviderReference, scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    run = load_documents.fn(documents_table(10), str(tmp_path), SPEC)

    async def called() -> None:
        infer_chunk.fn(run, 0, reference)

    async def awaited() -> int:
        return (await in_thread(infer_chunk.fn, run, 0, reference)).requests.sent

    with pytest.raises(InvalidInput, match=r"write await in_thread\(infer_chunk, \.\.\.\)"):
        asyncio.run(called())
    assert scripted_server.stats().requests == 0
    assert asyncio.run(awaited()) == 10
