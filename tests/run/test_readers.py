"""Promise 2: the results can be read by pyarrow, DuckDB and Polars at every instant of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import polars
import pyarrow.dataset
from tests.run.running import carry_out, documents, provider_at, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.finishing import finish_run
from prefect_llm.run.opening import open_run

Ids = list[str]


def _arrow(results: str) -> Ids:
    ids: Ids = pyarrow.dataset.dataset(results).to_table(["id"])["id"].to_pylist()
    return ids


def _duckdb(results: str) -> Ids:
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT id FROM '{results}/*.parquet'").fetchall()
    return [row[0] for row in found]


def _polars(results: str) -> Ids:
    return polars.read_parquet(results)["id"].to_list()


READERS: tuple[Callable[[str], Ids], ...] = (_arrow, _duckdb, _polars)


def test_the_results_are_readable_before_the_first_request(output: str) -> None:
    open_run(documents(3), output, spec_of())
    assert [read(f"{output}/results") for read in READERS] == [[], [], []]


def test_between_two_chunks_every_reader_sees_exactly_the_finished_ones(
    scripted_server: ScriptedServer, output: str, pool: ThreadPoolExecutor
) -> None:
    scripted_server.script({"doc-15": steps.hang()})
    provider = provider_at(scripted_server.base_url, concurrency=4)
    run = open_run(documents(20), output, spec_of())
    infer_chunk(run, 0, provider)
    assert _seen_by_all(output) == [f"d{n}" for n in range(10)]

    second = pool.submit(infer_chunk, run, 1, provider)
    scripted_server.wait_for(in_flight=1, answered=19)
    assert _seen_by_all(output) == [f"d{n}" for n in range(10)]

    scripted_server.release()
    second.result()
    assert _seen_by_all(output) == [f"d{n}" for n in range(20)]
    finish_run(run)
    assert _seen_by_all(output) == [f"d{n}" for n in range(20)]


def test_readers_that_never_pause_see_whole_chunks_and_never_fewer_rows_than_before(
    scripted_server: ScriptedServer, output: str, pool: ThreadPoolExecutor
) -> None:
    scripted_server.delay(0.02)
    ended = threading.Event()
    open_run(documents(200), output, spec_of(chunk_rows=5))

    def poll(read: Callable[[str], Ids]) -> list[int]:
        counts = []
        while not ended.is_set():
            ids = read(f"{output}/results")
            assert len(ids) == len(set(ids))
            counts.append(len(ids))
        return counts

    polls = [pool.submit(poll, read) for read in READERS]
    try:
        summary = carry_out(documents(200), output, provider_at(scripted_server.base_url), spec_of(chunk_rows=5))
    finally:
        ended.set()
    assert summary.totals.ok == 200
    for polled in polls:
        counts = polled.result()
        assert counts == sorted(counts)
        assert all(count % 5 == 0 for count in counts)
    assert not list(Path(output, "_run", "tmp").iterdir())


def _seen_by_all(output: str) -> Ids:
    """The ids in the order of the input, which all three readers see alike."""
    first, *others = (sorted(read(f"{output}/results"), key=lambda each: int(each[1:])) for read in READERS)
    assert all(other == first for other in others)
    return first
