"""A chunk that Prefect tries again is asked again, and counted once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.scripted_server.client import ScriptedServer

from prefect_llm.documents import StagedChunk, read_chunk
from prefect_llm.prompts import PromptSpec
from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.context import context_of
from prefect_llm.run.opening import open_run
from prefect_llm.run.spec import RunSpec
from prefect_llm.store import ChunkStats
from prefect_llm.values.provider import Limits, Provider


def test_a_chunk_that_is_tried_again_counts_its_documents_once(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    documents = pa.table({"text": [f"doc-{row}" for row in range(20)]})
    spec = RunSpec(prompt=PromptSpec(model="m", template="{{ text }}"))
    run = open_run(documents, str(tmp_path / "run"), spec)
    provider = Provider(scripted_server.base_url, limits=Limits(concurrency=4))
    results = tmp_path / "run" / "results"
    shutil.move(results, tmp_path / "aside")
    results.write_text("in the way")

    with pytest.raises(OSError, match="results"):
        infer_chunk(run, 0, provider)
    assert (context_of(run).tracker.progress.done, context_of(run).tracker.progress.requests.sent) == (0, 20)

    results.unlink()
    shutil.move(tmp_path / "aside", results)
    infer_chunk(run, 0, provider)
    assert (context_of(run).tracker.progress.done, context_of(run).tracker.progress.requests.sent) == (20, 20)


def test_a_chunk_that_another_attempt_finishes_after_the_first_look_is_not_asked_again(
    scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = pa.table({"text": [f"doc-{row}" for row in range(20)]})
    run = open_run(documents, str(tmp_path / "run"), RunSpec(prompt=PromptSpec(model="m", template="{{ text }}")))
    provider = Provider(scripted_server.base_url, limits=Limits(concurrency=4))
    read = read_chunk

    def read_slowly(*arguments: Any) -> StagedChunk:
        monkeypatch.undo()
        infer_chunk(run, 0, provider)
        return read(*arguments)

    monkeypatch.setattr("prefect_llm.run.chunk.read_chunk", read_slowly)
    assert infer_chunk(run, 0, provider) == ChunkStats()
    assert scripted_server.stats().requests == 20
    assert not list((tmp_path / "run" / "_run" / "inflight").iterdir())
