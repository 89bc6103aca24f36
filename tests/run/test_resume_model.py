"""Promise 1 under any sequence of stops, abandoned attempts and continuations."""

from __future__ import annotations

import tempfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.run.running import documents, provider_at, rows_of, spec_of
from tests.scripted_server.client import ScriptedServer

from prefect_llm.errors import Interrupted
from prefect_llm.opening import open_run
from prefect_llm.records import Completion, Outcome, Provider
from prefect_llm.run import Run, infer_pending
from prefect_llm.store import RunDirectory, claim, open_journal
from prefect_llm.store.journal import Entry
from prefect_llm.store.rows import ResultRow

ROWS, CHUNK_ROWS = 10, 4

Stops = st.tuples(st.just("stop"), st.integers(0, ROWS))
Abandons = st.tuples(st.just("abandon"), st.integers(0, CHUNK_ROWS))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(Stops | Abandons, max_size=6), concurrency=st.integers(1, 4))
def test_whatever_went_before_the_run_ends_with_exactly_its_documents_and_pays_none_twice(
    scripted_server: ScriptedServer, history: list[tuple[str, int]], concurrency: int
) -> None:
    scripted_server.reset()
    provider = provider_at(scripted_server.base_url, concurrency=concurrency)
    written_down = 0
    with tempfile.TemporaryDirectory() as output:
        for what, after in history:
            run = open_run(documents(ROWS), output, spec_of(chunk_rows=CHUNK_ROWS))
            if what == "stop":
                stop_after(run, provider, after)
            else:
                written_down += abandon_after(run, after)
        summary = infer_pending(open_run(documents(ROWS), output, spec_of(chunk_rows=CHUNK_ROWS)), provider)
        assert [row["id"] for row in rows_of(summary)] == [f"d{n}" for n in range(ROWS)]
        assert (summary.state, summary.totals.ok) == ("completed", ROWS)
    # What a stop leaves in flight ends within its grace: nothing at all is paid twice.
    assert scripted_server.stats().requests == ROWS - written_down


def stop_after(run: Run, provider: Provider, requests: int) -> None:
    """Infer until so many requests have left, then stop as a signal does."""
    live = run.live
    sent = live.sent

    def counted(attempt: int) -> None:
        sent(attempt)
        if live.figures.requests >= requests:
            live.stop.set(Interrupted("enough"))

    live.sent = counted  # type: ignore[method-assign]
    if not requests:
        live.stop.set(Interrupted("at once"))
    infer_pending(run, provider)


def abandon_after(run: Run, rows: int) -> int:
    """Leave what a killed process leaves: a claim of the first pending chunk and some rows."""
    if not run.pending:
        return 0
    chunk, folder = run.pending[0], RunDirectory.open(run.url).folder
    attempt, done = claim(folder, chunk, run.epoch)
    first = chunk * CHUNK_ROWS
    open_places = [n for n in range(min(CHUNK_ROWS, ROWS - first)) if n not in {entry.place for entry in done}]
    journal = open_journal(folder, chunk, attempt)
    for place in open_places[:rows]:
        answered = Outcome(Completion("written down"), attempts=1)
        journal.append(Entry(place, ResultRow(f"d{first + place}", None, "m", answered, None, None)))
    return len(open_places[:rows])
