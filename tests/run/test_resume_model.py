"""Promise 1 under any sequence of stops, abandoned attempts and continuations."""

from __future__ import annotations

import tempfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.run.ending_early import abandon_after, stop_after
from tests.run.running import documents, provider_at, rows_of, spec_of
from tests.scripted_server.client import ScriptedServer

from prefect_llm.run.opening import open_run
from prefect_llm.run.threads import infer_pending

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
                written_down += len(abandon_after(run, provider, after))
        summary = infer_pending(open_run(documents(ROWS), output, spec_of(chunk_rows=CHUNK_ROWS)), provider)
        assert [row["id"] for row in rows_of(summary)] == [f"d{n}" for n in range(ROWS)]
        assert (summary.state, summary.totals.ok) == ("completed", ROWS)
    # What a stop leaves in flight ends within its grace: nothing at all is paid twice.
    assert scripted_server.stats().requests == ROWS - written_down
