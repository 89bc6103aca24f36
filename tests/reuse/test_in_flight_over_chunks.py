"""Identical requests of several chunks are asked once, and nobody waits for an answer that does not come."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.reuse.test_in_flight import PRICES, SCHEMA, twins
from tests.run.running import carry_out, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.documents import read_chunk
from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.chunk_requests import ChunkRequests
from prefect_llm.run.chunk_rows import ChunkRows
from prefect_llm.run.claimed_chunk import ClaimedChunk
from prefect_llm.run.context import context_of
from prefect_llm.run.finishing import finish_run
from prefect_llm.run.opening import open_run
from prefect_llm.run.redrive import open_redrive, redrive_pending
from prefect_llm.run.reference import RunReference
from prefect_llm.run.rendering import render_requests
from prefect_llm.run.threads import infer_pending
from prefect_llm.store import JournalEntry, JournalKind, claim
from prefect_llm.store.tickets import ChunkTickets
from prefect_llm.values.provider import Provider

IN_PAIRS = spec_of(chunk_rows=2)
TWO_PAIRS = twins("doc-1 x", "doc-2 x", "doc-1 x", "doc-3 x")


@pytest.fixture
def provider(scripted_server: ScriptedServer) -> Provider:
    return provider_at(scripted_server.base_url, prices=PRICES)


def opened(output: str, documents: pa.Table = TWO_PAIRS, **spec: Any) -> RunReference:
    return open_run(documents, output, replace(IN_PAIRS, **spec))


def obstructed(output: str) -> Path:
    """Something in the way of every part."""
    results = Path(output, "results")
    shutil.move(results, f"{output}-aside")
    results.write_text("in the way")
    return results


def cleared(output: str) -> None:
    Path(output, "results").unlink()
    shutil.move(f"{output}-aside", f"{output}/results")


def test_a_request_in_flight_for_another_chunk_is_waited_for(
    scripted_server: ScriptedServer, provider: Provider, output: str, pool: ThreadPoolExecutor
) -> None:
    scripted_server.script_all(steps.hang())
    carried_out = pool.submit(carry_out, TWO_PAIRS, output, provider, IN_PAIRS)
    scripted_server.wait_for(requests=3, in_flight=3)
    scripted_server.release()
    rows = rows_of(summary := carried_out.result())
    assert scripted_server.stats().by_document == {"doc-1": 1, "doc-2": 1, "doc-3": 1}
    assert sorted(row["reused"] for row in (rows[0], rows[2])) == [False, True]
    assert rows[0]["content"] == rows[2]["content"]
    (taken,) = (row for row in rows if row["reused"])
    assert (taken["cost"], taken["attempts"], taken["input_tokens"], taken["output_tokens"]) == (0, 0, 0, 0)
    assert (summary.totals.reused, summary.requests) == (1, 3)


def test_what_a_finished_chunk_has_answered_is_read_from_its_part(
    scripted_server: ScriptedServer, provider: Provider, output: str
) -> None:
    scripted_server.script_all(steps.ok('{"a": 7}'))
    spec = {"prompt": replace(IN_PAIRS.prompt, schema=SCHEMA), "keep_raw": True}
    run = opened(output, **spec)
    infer_chunk(run, 0, provider)
    assert len(context_of(run).deduplicator) == 0
    infer_chunk(run, 1, provider)
    rows = rows_of(finish_run(run))
    assert scripted_server.stats().requests == 3
    assert [(row["reused"], row["output"]) for row in rows] == [
        (each, {"a": 7}) for each in (False, False, True, False)
    ]
    assert rows[2]["raw"] == rows[0]["raw"] is not None


def test_a_resumed_run_takes_the_parts_of_its_earlier_invocation(
    scripted_server: ScriptedServer, provider: Provider, output: str
) -> None:
    infer_chunk(first := opened(output), 0, provider)
    finish_run(first)
    summary = infer_pending(opened(output), provider)
    assert scripted_server.stats().by_document == {"doc-1": 1, "doc-2": 1, "doc-3": 1}
    assert (summary.totals.reused, summary.requests) == (1, 1)


@pytest.mark.parametrize("resumed", [False, True], ids=["the_same_invocation", "resumed"])
def test_the_journal_of_a_chunk_that_could_not_be_written_counts(
    scripted_server: ScriptedServer, provider: Provider, output: str, resumed: bool
) -> None:
    run = opened(output)
    obstructed(output)
    with pytest.raises(OSError, match="results"):
        infer_chunk(run, 0, provider)
    cleared(output)
    if resumed:
        finish_run(run)
        run = opened(output)
    infer_chunk(run, 1, provider)
    assert scripted_server.stats().by_document == {"doc-1": 1, "doc-2": 1, "doc-3": 1}
    infer_chunk(run, 0, provider)
    assert scripted_server.stats().requests == 3
    assert finish_run(run).totals.ok == 4


def test_a_taken_answer_lies_in_the_taker_s_own_journal(
    scripted_server: ScriptedServer, provider: Provider, output: str
) -> None:
    run = opened(output)
    obstructed(output)
    for chunk in (0, 1):
        with pytest.raises(OSError, match="results"):
            infer_chunk(run, chunk, provider)
    cleared(output)
    for journal in Path(output, "_run", "inflight").glob("chunk-00000-*"):
        journal.unlink()
    finish_run(run)
    again = opened(output)
    assert infer_chunk(again, 1, provider).requests.sent == 0
    finish_run(again)
    assert scripted_server.stats().requests == 3


def test_a_failure_is_not_taken_from_another_chunk(
    scripted_server: ScriptedServer, provider: Provider, output: str, pool: ThreadPoolExecutor
) -> None:
    scripted_server.script_all(steps.hang())
    scripted_server.script({"doc-1": [steps.hang(steps.status(400)), steps.ok("after all")]})
    carried_out = pool.submit(carry_out, TWO_PAIRS, output, provider, IN_PAIRS)
    scripted_server.wait_for(requests=3, in_flight=3)
    scripted_server.release()
    rows = rows_of(carried_out.result())
    assert scripted_server.stats().by_document == {"doc-1": 2, "doc-2": 1, "doc-3": 1}
    assert sorted((rows[place]["status"], rows[place]["reused"]) for place in (0, 2)) == [
        ("failed", False),
        ("ok", False),
    ]


def test_nobody_waits_for_a_chunk_that_was_given_up(
    scripted_server: ScriptedServer, provider: Provider, output: str, pool: ThreadPoolExecutor
) -> None:
    scripted_server.script({f"doc-{number}": [steps.hang(), steps.ok("asked")] for number in (1, 2, 3)})
    context = context_of(run := opened(output))
    plan = context.plan
    staged = read_chunk(plan.directory.folder, plan.snapshot, 0)
    attempt, done = claim(plan.directory.folder, 0, run.epoch)
    tickets = ChunkTickets(plan.directory.folder, JournalKind.CHUNK, 0)
    work = ClaimedChunk(0, JournalKind.CHUNK, attempt, staged, plan.prompt, range(2), done, frozenset(), tickets)

    def full(_: JournalEntry) -> None:
        raise OSError("the disk is full")

    rows = ChunkRows(staged.ids, plan.prompt, context.tracker)
    rows.journal_to(full)
    requests = render_requests(staged, plan.prompt, (0, 1))
    first = pool.submit(ChunkRequests(context, work, requests, rows, provider).ask)
    scripted_server.wait_for(requests=2, in_flight=2)
    second = pool.submit(infer_chunk, run, 1, provider)
    scripted_server.wait_for(requests=3, in_flight=3)
    scripted_server.release()
    with pytest.raises(OSError, match="full"):
        first.result()
    assert second.result().requests.sent == 2
    assert scripted_server.stats().by_document["doc-1"] == 2


def test_a_stop_lets_go_whoever_waits(
    scripted_server: ScriptedServer, provider: Provider, output: str, pool: ThreadPoolExecutor
) -> None:
    scripted_server.script({"doc-1": steps.hang(steps.status(401)), "doc-2": steps.hang(), "doc-3": steps.ok()})
    carried_out = pool.submit(carry_out, TWO_PAIRS, output, provider, IN_PAIRS)
    scripted_server.wait_for(requests=3, in_flight=2)
    scripted_server.release()
    summary = carried_out.result()
    assert summary.stopped is not None
    assert (summary.state, summary.stopped.kind) == ("stopped", "AuthenticationFailed")
    scripted_server.reset()
    assert infer_pending(opened(output), provider).totals.ok == 4
    assert scripted_server.stats().by_document.get("doc-3") is None


def test_without_deduplication_each_chunk_asks_for_itself(
    scripted_server: ScriptedServer, provider: Provider, output: str
) -> None:
    carry_out(TWO_PAIRS, output, provider, replace(IN_PAIRS, no_dedup=True))
    assert scripted_server.stats().requests == 4


def test_a_redrive_takes_what_another_chunk_has_been_answered(
    scripted_server: ScriptedServer, provider: Provider, output: str
) -> None:
    scripted_server.script({"doc-1": [steps.status(400), steps.ok("after all")]})
    run = opened(output)
    infer_chunk(run, 0, provider)
    infer_chunk(run, 1, provider)
    assert finish_run(run).totals.failed == 1
    rows = rows_of(summary := redrive_pending(open_redrive(output), provider))
    assert (summary.totals.ok, summary.requests, scripted_server.stats().requests) == (4, 0, 4)
    assert (rows[0]["content"], rows[0]["reused"]) == ("after all", True)


def test_twins_share_the_answer_of_a_fallback_s_model(
    scripted_server: ScriptedServer, provider: Provider, output: str
) -> None:
    scripted_server.script(
        {"doc-1": [steps.error(400, "Too long.", code="context_length_exceeded"), steps.ok("long")]}
    )
    long = replace(provider, fallbacks=(replace(provider, model="long"),))
    rows = rows_of(carry_out(twins("doc-1 x", "doc-1 x"), output, long, IN_PAIRS))
    assert [(row["content"], row["requested_model"]) for row in rows] == [("long", "long")] * 2
    assert scripted_server.stats().requests == 2
