"""Runs of one process share a provider's engine: its limits hold for all of them together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.run.chunk import infer_chunk
from prefect_llm.run.context import context_of
from prefect_llm.run.opening import open_run
from prefect_llm.values.price import Price


def test_two_runs_side_by_side_stay_within_one_concurrency(
    scripted_server: ScriptedServer, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    scripted_server.script_all(steps.hang())
    provider = provider_at(scripted_server.base_url, concurrency=6)
    priced = replace(provider, model="other", prices={"*": Price(Decimal(1), Decimal(1))})
    one = pool.submit(carry_out, documents(30), str(tmp_path / "one"), provider)
    other = pool.submit(carry_out, documents(30), str(tmp_path / "other"), priced, spec_of(model="other"))
    scripted_server.wait_for(in_flight=6)
    scripted_server.script_all(steps.ok(delay_s=0.01))
    scripted_server.release()
    summaries = [one.result(), other.result()]
    assert [summary.totals.ok for summary in summaries] == [30, 30]
    assert [summary.totals.cost is None for summary in summaries] == [True, False]
    assert scripted_server.stats().max_in_flight == 6
    models = [{row["requested_model"] for row in rows_of(summary)} for summary in summaries]
    assert models == [{"m"}, {"other"}]


def test_one_run_that_stops_at_a_provider_stops_the_other_there_too(
    scripted_server: ScriptedServer, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    scripted_server.script_all(steps.hang())
    provider = provider_at(scripted_server.base_url, concurrency=4)
    running = [pool.submit(carry_out, documents(30), str(tmp_path / name), provider) for name in ("one", "other")]
    scripted_server.wait_for(in_flight=4)
    scripted_server.expect_key("changed")
    scripted_server.release()
    stopped = [each.result().stopped for each in running]
    assert [each and each.kind for each in stopped] == ["AuthenticationFailed"] * 2


def test_chunks_of_one_invocation_count_together_and_other_invocations_apart(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    provider = provider_at(scripted_server.base_url)
    run = open_run(documents(20), str(tmp_path / "run"), spec_of())
    for chunk in run.pending:
        infer_chunk(run, chunk, provider)
    assert (
        context_of(run).tracker.progress.tally.ok,
        context_of(run).tracker.progress.rows,
        context_of(run).tracker.progress.requests.sent,
    ) == (20, 20, 20)
    again = open_run(documents(20), str(tmp_path / "run"), spec_of())
    assert (context_of(again).tracker.progress.tally.ok, context_of(again).tracker.progress.rows) == (0, 0)
