"""Each task on its own, put together with Prefect's usual means."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from prefect import flow, task, unmapped
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from tests.conftest import WriteDocuments, documents_table
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer
from tests.tasks.conftest import SPEC, ids_of

from prefect_llm import (
    InvalidInput,
    LLMProvider,
    ProviderReference,
    Summary,
    finish_run,
    in_thread,
    infer_chunk,
    load_documents,
)
from prefect_llm.values.errors import Interrupted

PROJECT = Path(__file__).resolve().parents[2]
_ONE_AT_A_TIME = cast(TaskRunner[Any], ThreadPoolTaskRunner(max_workers=1))
_PROCESSES = cast(TaskRunner[Any], ProcessPoolTaskRunner(max_workers=2))
IDS = [f"d{row}" for row in range(100)]


def test_a_chunk_can_be_submitted_by_its_number(
    write_documents: WriteDocuments, output: str, provider: ProviderReference, scripted_server: ScriptedServer
) -> None:
    @flow
    def only_the_last_chunk() -> Summary:
        run = load_documents(write_documents(100), output, SPEC)
        assert run.pending == (0, 1, 2, 3)
        figures = infer_chunk.submit(run, 3, provider).result()
        assert (figures.requests.sent, figures.requests.retries) == (10, 0)
        return finish_run(run, [figures])

    summary = only_the_last_chunk()
    assert (summary.totals.ok, summary.totals.pending, summary.requests) == (10, 90, 10)
    assert ids_of(output) == IDS[90:]
    assert scripted_server.stats().requests == 10


def test_chunks_are_mapped_with_the_run_and_the_provider_held_constant(
    write_documents: WriteDocuments, output: str, any_provider: Any
) -> None:
    @flow
    def mapped() -> Summary:
        run = load_documents(write_documents(100), output, SPEC)
        figures = infer_chunk.map(unmapped(run), run.pending, unmapped(any_provider))
        return finish_run(run, figures)

    summary = mapped()
    assert (summary.totals.ok, summary.requests, summary.state) == (100, 100, "completed")
    assert ids_of(output) == IDS


def test_one_chunk_at_a_time_with_another_task_runner(
    write_documents: WriteDocuments, output: str, provider: ProviderReference, scripted_server: ScriptedServer
) -> None:
    scripted_server.script({f"doc-{row}": steps.ok(delay_s=0.02) for row in range(30)})

    @flow(task_runner=_ONE_AT_A_TIME)
    def one_by_one() -> None:
        run = load_documents(write_documents(100), output, SPEC)
        infer_chunk.map(unmapped(run), run.pending, unmapped(provider)).result()

    one_by_one()
    asked = [int((received.document or "").removeprefix("doc-")) // 30 for received in scripted_server.log()]
    assert asked == sorted(asked)
    assert ids_of(output) == IDS


def test_chunks_in_processes_of_their_own_with_a_block_never_saved(
    write_documents: WriteDocuments,
    output: str,
    provider: ProviderReference,
    scripted_server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(PROJECT)  # the flow is handed over by its module's name, `tests...`
    scripted_server.expect_key("k3y")
    settings: dict[str, Any] = {"base_url": provider.api.base_url, "api_key": "k3y"}

    @flow(task_runner=_PROCESSES)
    def elsewhere() -> Summary:
        run = load_documents(write_documents(100), output, SPEC)
        figures = infer_chunk.map(unmapped(run), run.pending, unmapped(LLMProvider(**settings))).result()
        return finish_run(run, figures)

    summary = elsewhere()
    assert (summary.totals.ok, summary.requests) == (100, 100)
    assert ids_of(output) == IDS


def test_a_table_of_a_task_of_one_s_own_is_loaded(output: str, provider: ProviderReference) -> None:
    @task
    def gather() -> pa.Table:
        return documents_table(40)

    @task
    def shorten(table: pa.Table) -> pa.Table:
        return table.slice(0, 35)

    @flow
    def of_one_s_own() -> Summary:
        run = load_documents(shorten(gather()), output, SPEC)
        figures = [infer_chunk(run, chunk, provider) for chunk in run.pending]
        return finish_run(run, figures)

    assert of_one_s_own().totals.ok == 35
    assert ids_of(output) == IDS[:35]


def test_a_task_between_loading_and_inference_sees_the_run(
    write_documents: WriteDocuments, output: str, provider: ProviderReference
) -> None:
    @task
    def only_even(chunks: tuple[int, ...]) -> list[int]:
        return [chunk for chunk in chunks if chunk % 2 == 0]

    @flow
    def half() -> Summary:
        run = load_documents(write_documents(100), output, SPEC)
        futures = infer_chunk.map(unmapped(run), only_even.submit(run.pending), unmapped(provider))
        return finish_run(run, futures.result())

    assert half().totals.ok == 60
    assert ids_of(output) == IDS[:30] + IDS[60:90]


def test_the_tasks_work_in_an_asynchronous_flow(
    write_documents: WriteDocuments, output: str, provider: ProviderReference
) -> None:
    @flow
    async def asynchronous() -> Summary:
        run = load_documents(write_documents(100), output, SPEC)
        figures = [future.result() for future in [infer_chunk.submit(run, each, provider) for each in run.pending]]
        return finish_run(run, figures)

    assert asyncio.run(asynchronous()).totals.ok == 100


def test_an_async_flow_awaits_a_composition(
    write_documents: WriteDocuments, output: str, provider: ProviderReference
) -> None:
    @flow
    def composed() -> Summary:
        run = load_documents(write_documents(100), output, SPEC)
        figures = infer_chunk.map(unmapped(run), run.pending, unmapped(provider)).result()
        return finish_run(run, figures)

    @flow
    async def asynchronous() -> Summary:
        return await in_thread(composed)

    assert asyncio.run(asynchronous()).totals.ok == 100


def test_the_tasks_work_outside_any_flow(
    write_documents: WriteDocuments, output: str, provider: ProviderReference
) -> None:
    run = load_documents(write_documents(40), output, SPEC)
    figures = [infer_chunk(run, chunk, provider) for chunk in run.pending]
    assert finish_run(run, figures).totals.ok == 40


def test_loading_again_gives_only_what_is_pending(
    write_documents: WriteDocuments, output: str, provider: ProviderReference
) -> None:
    first = load_documents(write_documents(100), output, SPEC)
    infer_chunk(first, 1, provider)
    again = load_documents(write_documents(100), output, SPEC)
    assert (again.pending, again.pending_rows, again.run_id) == ((0, 2, 3), 70, first.run_id)


def test_loading_refuses_what_will_not_do_and_asks_nothing(
    write_documents: WriteDocuments, output: str, scripted_server: ScriptedServer
) -> None:
    with pytest.raises(InvalidInput, match="absent"):
        load_documents("absent.parquet", output, SPEC)
    (Path(output) / "results").mkdir(parents=True)
    (Path(output) / "results" / "mine.parquet").touch()
    with pytest.raises(InvalidInput, match=r"is not a run directory: .* holds results/mine\.parquet"):
        load_documents(write_documents(3), output, SPEC)
    assert scripted_server.stats().requests == 0


def test_finishing_a_stopped_run_says_so_in_the_report_and_the_artifacts(
    write_documents: WriteDocuments, output: str, provider: ProviderReference, prefect_server: PrefectServer
) -> None:
    @flow
    def stopped() -> Summary:
        run = load_documents(write_documents(100), output, SPEC)
        figures = infer_chunk(run, 0, provider)
        return finish_run(run, [figures], Interrupted("someone pulled the plug"))

    state = stopped(return_state=True)
    summary = state.result()
    assert (summary.state, summary.totals.ok, summary.totals.pending) == ("interrupted", 30, 70)
    assert "someone pulled the plug" in (Path(output) / "_run" / "report.md").read_text()
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id is not None
    artifacts = eventually(lambda: prefect_server.artifacts(flow_run_id), lambda seen: len(seen) == 4)
    assert sorted(map(str, artifacts)) == ["llm-cost", "llm-figures", "llm-report", "llm-results"]
    assert "someone pulled the plug" in str(artifacts["llm-report"].data)
