"""What ends a run before its last document, and what is left then (promises 7 and 10)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer, free_port

from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.context import context_of
from prefect_llm.run.finishing import check_failed_share
from prefect_llm.run.opening import open_run
from prefect_llm.run.threads import chunks_at_once, infer_pending
from prefect_llm.store import RunDirectory
from prefect_llm.values.errors import Interrupted, RunError, TooManyFailedRows

FLAGGED = steps.error(400, "Flagged.", code="content_filter")
"""The document's own fault, whatever others meet."""


def test_a_refused_key_costs_ten_thousand_documents_no_more_than_the_requests_in_flight(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.expect_key("right")
    provider = provider_at(scripted_server.base_url, concurrency=16, key="wrong")
    summary = carry_out(documents(10_000), output, provider, spec_of(chunk_rows=1000))
    assert 1 <= scripted_server.stats().requests <= 16
    assert summary.stopped is not None
    assert summary.stopped.kind == "AuthenticationFailed"
    assert summary.stopped.message == (
        "127.0.0.1 refused the key (HTTP 401: Incorrect API key provided.): check the key and its owner"
    )
    assert (summary.state, summary.totals.rows, summary.totals.pending) == ("stopped", 10_000, 10_000)
    assert rows_of(summary) == []
    manifest = RunDirectory.open(output).manifest()
    assert manifest is not None
    assert (manifest.state, manifest.stopped) == ("stopped", summary.stopped)


def test_an_unknown_model_stops_small_chunks_side_by_side(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.know_models("n")
    summary = carry_out(documents(200), output, provider_at(scripted_server.base_url, concurrency=20))
    assert summary.stopped is not None
    assert summary.stopped.kind == "ModelNotFound"
    assert scripted_server.stats().requests <= 20


def test_a_host_nobody_listens_at_stops_the_run_with_one_sentence(output: str) -> None:
    provider = provider_at(f"http://127.0.0.1:{free_port()}/v1")
    summary = carry_out(documents(50), output, provider)
    assert summary.stopped is not None
    assert summary.stopped.kind == "ProviderDown"
    assert f"{provider.base_url} cannot be reached" in summary.stopped.message
    assert summary.totals.pending == 50


def test_too_large_a_share_of_failures_stops_the_run_after_a_hundred_outcomes(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script({f"doc-{n}": FLAGGED for n in range(40, 1000)})
    provider = provider_at(scripted_server.base_url, concurrency=1)
    summary = carry_out(documents(1000), output, provider, spec_of(chunk_rows=50), stop_error_share=0.5)
    # The first 40 succeed; at the hundredth outcome 60 of 100 have failed.
    assert scripted_server.stats().requests <= 100 + 1
    assert summary.stopped is not None
    assert summary.stopped.kind == "TooManyFailures"
    assert summary.stopped.message == (
        "60% of 100 documents failed, more than stop_error_share allows (50%); the last one: HTTP 400: Flagged."
    )
    assert (summary.state, summary.totals.ok) == ("stopped", 40)
    assert summary.totals.failed in (60, 61)  # what was in flight had still ended


def test_a_run_that_goes_on_is_judged_by_its_new_outcomes_not_by_the_failures_it_was_stopped_for(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script_all(FLAGGED)
    provider, spec = provider_at(scripted_server.base_url, concurrency=1), spec_of(chunk_rows=300)
    stopped = carry_out(documents(300), output, provider, spec)
    assert stopped.stopped is not None
    failed = stopped.totals.failed
    assert failed in (100, 101)
    scripted_server.reset()
    scripted_server.script({f"doc-{failed}": FLAGGED})

    summary = carry_out(documents(300), output, provider, spec)

    assert (summary.state, summary.totals.failed, summary.totals.ok) == ("completed", failed + 1, 299 - failed)
    assert scripted_server.stats().requests == 300 - failed


def test_a_chunk_whose_last_outcome_stops_the_run_is_kept(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(FLAGGED)
    provider, spec = provider_at(scripted_server.base_url), spec_of(chunk_rows=100)
    summary = carry_out(documents(100), output, provider, spec)
    assert (summary.state, summary.totals.failed) == ("completed", 100)
    assert carry_out(documents(100), output, provider, spec).requests == 0


def test_a_share_that_is_allowed_stops_nothing(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({f"doc-{n}": FLAGGED for n in range(60, 300)})
    provider = provider_at(scripted_server.base_url)
    summary = carry_out(documents(120), output, provider, stop_error_share=0.5)
    assert (summary.state, summary.totals.failed) == ("completed", 60)


def test_fewer_than_a_hundred_outcomes_say_nothing_of_the_share(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script_all(steps.ok(), FLAGGED)
    scripted_server.script({f"doc-{n}": FLAGGED for n in range(1, 99)})
    summary = carry_out(documents(99), output, provider_at(scripted_server.base_url))
    assert (summary.state, summary.totals.failed) == ("completed", 98)


def test_bad_documents_count_in_the_share_that_stops(scripted_server: ScriptedServer, output: str) -> None:
    source = pa.table({"id": [str(n) for n in range(500)], "text": pa.nulls(500, pa.string())})
    summary = carry_out(source, output, provider_at(scripted_server.base_url))
    assert summary.stopped is not None
    assert summary.stopped.kind == "TooManyFailures"
    assert scripted_server.stats().requests == 0


@pytest.mark.parametrize(("allowed", "passes"), [(0.2, True), (0.19, False), (0.0, False), (1.0, True)])
def test_a_finished_run_is_judged_by_max_error_share(
    scripted_server: ScriptedServer, output: str, allowed: float, passes: bool
) -> None:
    scripted_server.script({"doc-1": FLAGGED, "doc-2": FLAGGED})
    summary = carry_out(documents(10), output, provider_at(scripted_server.base_url))
    if passes:
        check_failed_share(summary, allowed)
        return
    with pytest.raises(TooManyFailedRows, match=r"^2 of 10 documents failed, more than max_error_share allows"):
        check_failed_share(summary, allowed)


def test_a_stopped_run_is_not_judged_by_max_error_share(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({f"doc-{n}": FLAGGED for n in range(200)})
    summary = carry_out(documents(200), output, provider_at(scripted_server.base_url))
    assert summary.state == "stopped"
    check_failed_share(summary, 0.0)


def test_a_part_that_cannot_be_written_stops_the_run_loudly(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-105": steps.hang()})
    run = open_run(documents(110), output, spec_of())
    _replace_by_a_file(Path(output, "results"))
    with pytest.raises(OSError, match="results"):
        infer_pending(run, provider_at(scripted_server.base_url, concurrency=2))
    # What was in flight may still end; the chunks behind it are never asked.
    assert scripted_server.stats().requests < 60
    assert not list(Path(output, "_run", "tmp").iterdir())


def test_requests_in_flight_at_the_first_signal_are_kept_if_they_end_their_chunk(
    scripted_server: ScriptedServer, pool: ThreadPoolExecutor, output: str
) -> None:
    scripted_server.script_all(steps.hang())
    run = open_run(documents(20), output, spec_of())
    provider = provider_at(scripted_server.base_url, concurrency=10)
    running = pool.submit(infer_pending, run, provider)
    scripted_server.wait_for(in_flight=10)
    context_of(run).stop.set(Interrupted("SIGTERM: stop"))
    scripted_server.release()
    summary = running.result()
    kept = [row["id"] for row in rows_of(summary)]
    assert kept in ([f"d{n}" for n in range(10)], [f"d{n}" for n in range(10, 20)])
    assert (summary.state, summary.totals.ok, summary.totals.pending) == ("interrupted", 10, 10)
    assert scripted_server.stats().requests == 10


def test_an_interrupted_run_is_finished_by_the_same_call(
    scripted_server: ScriptedServer, pool: ThreadPoolExecutor, output: str
) -> None:
    scripted_server.script({f"doc-{n}": steps.hang() for n in range(10, 30)})
    run = open_run(documents(30), output, spec_of())
    provider = provider_at(scripted_server.base_url, concurrency=5)
    running = pool.submit(infer_pending, run, provider)
    scripted_server.wait_for(in_flight=5)
    context_of(run).stop.set(Interrupted("SIGTERM: stop"))
    scripted_server.reset()
    summary = running.result()
    assert (summary.state, summary.stopped and summary.stopped.kind) == ("interrupted", "Interrupted")
    assert summary.totals.ok in (0, 10)
    again = carry_out(documents(30), output, provider)
    assert [row["id"] for row in rows_of(again)] == [f"d{n}" for n in range(30)]
    assert again.state == "completed"


def test_a_chunk_of_a_stopped_invocation_is_not_begun(scripted_server: ScriptedServer, output: str) -> None:
    run = open_run(documents(10), output, spec_of())
    context_of(run).stop.set(Interrupted("no more"))
    with pytest.raises(RunError, match="no more"):
        infer_chunk(run, 0, provider_at(scripted_server.base_url))
    assert scripted_server.stats().requests == 0


def test_chunks_smaller_than_the_concurrency_fill_the_wire(
    scripted_server: ScriptedServer, pool: ThreadPoolExecutor, output: str
) -> None:
    scripted_server.script_all(steps.hang())
    provider = provider_at(scripted_server.base_url, concurrency=50)
    running = pool.submit(carry_out, documents(200), output, provider, spec_of(chunk_rows=4))
    scripted_server.wait_for(in_flight=50)
    scripted_server.script_all(steps.ok())
    assert scripted_server.release() == 50
    summary = running.result()
    assert scripted_server.stats().max_in_flight == 50
    assert summary.totals.ok == 200


def test_one_chunk_more_than_fills_the_wire_is_worked_on(output: str) -> None:
    run = open_run(documents(100), output, spec_of(chunk_rows=10))
    at_once = [chunks_at_once(run, provider_at("http://h/v1", concurrency=n)) for n in (1, 10, 11, 45, 4000)]
    assert at_once == [2, 2, 3, 6, 10]


def _replace_by_a_file(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("")
