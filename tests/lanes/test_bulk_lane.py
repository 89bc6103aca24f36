"""A lane whose answers come in bulk, late and after a restart goes through run, flow and resume."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from prefect import flow, unmapped
from tests.lanes.bulk_lane import NAME, BulkLane
from tests.prefect_server import PrefectServer, eventually
from tests.run.running import documents, rows_of, spec_of

from prefect_llm import LLMProvider, Summary, finish_run, infer_chunk, load_documents
from prefect_llm.run.chunk import infer_chunk as infer
from prefect_llm.run.context import context_of
from prefect_llm.run.finishing import finish_run as finish
from prefect_llm.run.finishing import release_run
from prefect_llm.run.opening import open_run, reopen_run
from prefect_llm.run.options import RunOptions
from prefect_llm.run.reference import RunReference
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import ChunkStats
from prefect_llm.store.tickets import TICKETS
from prefect_llm.values.errors import Interrupted, InvalidInput
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

PROJECT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9/v1"
"""Nobody listens there: only the lane answers."""
PROVIDER = Provider(NOWHERE, prices={"*": Price(Decimal(1), Decimal(2))})
IN_BULK = RunOptions(lane=NAME)


def test_answers_that_come_in_bulk_make_rows_like_any_others(
    bulk: BulkLane, output: str, pool: ThreadPoolExecutor
) -> None:
    run = open_run(documents(25), output, spec_of(), options=IN_BULK)
    summary = pool.submit(infer_pending, run, PROVIDER)
    eventually(lambda: batches_at(bulk), lambda batches: batches == 3)
    assert context_of(run).tracker.progress.done == 0
    assert bulk.answer_all() == 25

    rows = rows_of(summary.result())
    assert [row["content"] for row in rows] == [f"answer to doc-{row} hello" for row in range(25)]
    assert {(row["lane"], row["status"], row["cost"]) for row in rows} == {(NAME, "ok", Decimal("0.000020000000"))}
    assert tickets_in(output) == []


def test_a_killed_process_loses_no_ticket_and_nothing_is_handed_in_twice(bulk: BulkLane, output: str) -> None:
    command = [sys.executable, "-m", "tests.lanes.handing_in", output, str(bulk.folder)]
    with subprocess.Popen(command, cwd=PROJECT) as process:
        eventually(lambda: (len(tickets_in(output)), batches_at(bulk)), lambda seen: seen == (3, 3))
        process.send_signal(signal.SIGKILL)
    assert bulk.answer_all() == 25

    summary = infer_pending(reopen_run(output, options=IN_BULK), PROVIDER)
    assert (summary.state, summary.totals.ok) == ("completed", 25)
    assert batches_at(bulk) == 3
    assert tickets_in(output) == []


def test_a_run_that_goes_on_in_another_lane_collects_what_was_handed_in(
    bulk: BulkLane, output: str, pool: ThreadPoolExecutor
) -> None:
    run = open_run(documents(25), output, spec_of(), options=IN_BULK)
    stopped = pool.submit(infer_pending, run, PROVIDER)
    eventually(lambda: tickets_in(output), lambda tickets: len(tickets) == 3)
    context_of(run).stop.set(Interrupted("enough"))
    assert stopped.result().state == "interrupted"
    assert len(tickets_in(output)) == 3
    bulk.answer_all()

    summary = infer_pending(reopen_run(output), PROVIDER)
    assert (summary.totals.ok, {row["lane"] for row in rows_of(summary)}) == (25, {NAME})


def test_what_was_handed_in_is_collected_though_another_chunk_has_the_same_request(
    bulk: BulkLane, output: str, pool: ThreadPoolExecutor
) -> None:
    same = pa.table({"id": ["a", "b", "c", "d"], "text": ["doc-1 x", "doc-2 x", "doc-1 x", "doc-3 x"]})
    spec = spec_of(chunk_rows=2)
    run = open_run(same, output, spec, options=IN_BULK)
    stopped = pool.submit(infer_chunk_of, run, 0)
    eventually(lambda: tickets_in(output), lambda tickets: len(tickets) == 1)
    context_of(run).stop.set(Interrupted("enough"))
    assert isinstance(stopped.exception(), Interrupted)
    release_run(run)

    again = open_run(same, output, spec, options=IN_BULK)
    other = pool.submit(infer_chunk_of, again, 1)  # claims the request of chunk 0's first document
    eventually(lambda: batches_at(bulk), lambda batches: batches == 2)
    resumed = pool.submit(infer_chunk_of, again, 0)
    bulk.answer_all()
    assert (other.result().requests.sent, resumed.result().requests.sent) == (2, 2)
    rows = rows_of(finish(again))
    assert [(row["status"], row["reused"]) for row in rows] == [("ok", False)] * 4
    assert batches_at(bulk) == 2


def test_a_lane_that_forgets_a_document_fails_its_chunk_loudly(bulk: BulkLane, output: str) -> None:
    run = open_run(documents(3), output, spec_of(), options=IN_BULK)
    bulk.collect = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="the lane 'bulk' left documents of this chunk without an outcome"):
        infer_chunk_of(run, 0)
    assert finish(run).totals.pending == 3


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_asks_through_the_lane_of_its_run(
    bulk: BulkLane, output: str, pool: ThreadPoolExecutor, prefect_server: PrefectServer
) -> None:
    @flow
    def in_bulk() -> Summary:
        run = replace(load_documents(documents(25), output, spec_of()), lane=NAME)
        stats = infer_chunk.map(unmapped(run), run.pending, unmapped(LLMProvider(base_url=NOWHERE, model="m")))
        eventually(bulk.answer_all, lambda answered: answered == 25)
        return finish_run(run, stats)

    summary = in_bulk()
    assert (summary.state, summary.totals.ok, summary.requests) == ("completed", 25, 25)
    assert {row["lane"] for row in rows_of(summary)} == {NAME}


def test_a_lane_that_is_not_there_is_refused(output: str) -> None:
    with pytest.raises(InvalidInput, match="no lane is called 'carrier-pigeon': take one of online"):
        open_run(documents(3), output, spec_of(), options=RunOptions(lane="carrier-pigeon"))


def tickets_in(output: str) -> list[Path]:
    folder = Path(output) / TICKETS
    return sorted(path for path in folder.glob("*.json")) if folder.exists() else []


def batches_at(bulk: BulkLane) -> int:
    return len(list(bulk.folder.glob("*.asked")))


def infer_chunk_of(run: RunReference, chunk: int) -> ChunkStats:
    return infer(run, chunk, PROVIDER)
