"""The table of chunks: what waits, what is under way, what is done; never more rows than fit a page."""

from __future__ import annotations

from decimal import Decimal

from prefect_llm.flows.chunk_table import SHOWN_ENDED, SHOWN_RUNNING, ChunkTable, Row
from prefect_llm.run.reference import RunReference
from prefect_llm.store import ChunkStats, EndedRows
from prefect_llm.values.tally import RequestTally, Tally


def run_of(chunks: int, *, pending: int | None = None) -> RunReference:
    """Chunks of 10 documents, the last of 5; the first ones are done where fewer are pending."""
    first = chunks - (chunks if pending is None else pending)
    return RunReference("run", "r", chunks * 10 - 5, 0, 10, tuple(range(first, chunks)), invocation="i")


def shown(rows: list[Row]) -> list[tuple[str, str, str, str]]:
    return [(row["chunk"], row["rows"], row["state"], row["ended"]) for row in rows]


def test_a_run_that_has_not_begun_waits_as_a_whole() -> None:
    assert shown(ChunkTable(run_of(4)).rows({})) == [("4 chunks", "", "pending", "")]


def test_a_chunk_goes_from_pending_over_running_to_done() -> None:
    chunks = ChunkTable(run_of(4, pending=3))
    chunks.started(1)
    chunks.started(2)
    ended = EndedRows("here", Tally(9, {"timeout": 1}, known_cost=Decimal("0.25"), currency="EUR"))
    chunks.ended(1, ChunkStats(RequestTally(12, 2, 1), seconds=3.0, ended=ended))
    table = chunks.rows({2: 7})
    assert shown(table) == [
        ("2", "20-29", "running", "7 of 10"),
        ("1 chunk", "", "pending", ""),
        ("1", "10-19", "done", "10 of 10"),
        ("1 chunk by an earlier attempt", "", "done", ""),
    ]
    took = [table[2][name] for name in ("failed", "cost", "requests", "retries", "throttled", "time")]
    assert took == ["1", "€0.25", "12", "2", "1", "3.0 s"]


def test_a_chunk_that_a_stop_has_ended_is_not_done() -> None:
    chunks = ChunkTable(run_of(2))
    chunks.started(0)
    chunks.ended(0, None)
    assert [row for row in shown(chunks.rows({})) if row[2] == "done"] == []


def test_the_last_chunk_has_the_rows_that_are_left() -> None:
    chunks = ChunkTable(run_of(2))
    chunks.started(1)
    assert ("1", "10-14", "running", "") in shown(chunks.rows({}))


def test_many_chunks_make_no_longer_a_table() -> None:
    chunks = ChunkTable(run_of(1_000))
    for chunk in range(900):
        chunks.started(chunk)
    for chunk in range(800):
        chunks.ended(chunk, ChunkStats())
    table = shown(chunks.rows({}))
    assert len(table) == SHOWN_RUNNING + SHOWN_ENDED + 3
    assert (f"{100 - SHOWN_RUNNING} chunks more", "", "running", "") in table
    assert ("100 chunks", "", "pending", "") in table
    assert (f"{800 - SHOWN_ENDED} chunks before those", "", "done", "") in table
    assert ("799", "7,990-7,999", "done", "10 of 10") in table
