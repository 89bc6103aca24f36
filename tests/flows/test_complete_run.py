"""What one run of 100 documents in chunks of 30 leaves, in its directory and in Prefect."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from tests.conftest import documents_table
from tests.flows.running import flow_run_id, rows_of, state_of
from tests.prefect_server import PrefectServer, eventually
from tests.scripted_server.client import ScriptedServer, Stats

from prefect_llm import Summary

ARTIFACTS = [f"llm-{name}" for name in ("chunks", "cost", "figures", "progress", "report", "results")]
TASK_RUNS = 1 + 4 + 1  # load, a chunk each, finish


@dataclass(frozen=True, slots=True)
class Ran:
    flow_run_id: UUID
    output: Path
    summary: Summary
    stats: Stats


@pytest.fixture(scope="module")
def ran(
    prefect_server: PrefectServer,
    scripted_server_process: ScriptedServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ran:
    scripted_server_process.reset()
    scripted_server_process.delay(0.05)
    folder = tmp_path_factory.mktemp("complete")
    pq.write_table(documents_table(100), folder / "in.parquet")
    prices = {"price_input": "1", "price_output": 2, "currency": "EUR"}
    state = state_of(
        {
            "input": str(folder / "in.parquet"),
            "output": str(folder / "run"),
            "model": "m",
            "prompt": "Say: {{ text }}",
            "api": {"base_url": scripted_server_process.base_url, **prices},
            "batch": {"chunk_rows": 30, "concurrency": 10},
            "monitoring": {"stats_interval_seconds": 0.2},
        }
    )
    summary = state.result()
    assert isinstance(summary, Summary)
    prefect_server.settled()
    return Ran(flow_run_id(state), folder / "run", summary, scripted_server_process.stats())


def test_every_document_has_its_row_in_the_input_s_order(ran: Ran) -> None:
    rows = rows_of(ran.output)
    assert [row["id"] for row in rows] == [f"d{number}" for number in range(100)]
    assert [row["content"] for row in rows] == [f"echo: Say: doc-{number} hello" for number in range(100)]
    assert {row["status"] for row in rows} == {"ok"}
    # one input token a character at 1 EUR, 7 output tokens at 2 EUR, per million
    assert rows[0]["cost"] == Decimal(len("Say: doc-0 hello") + 14) / 1_000_000


def test_a_part_is_written_for_each_chunk(ran: Ran) -> None:
    parts = sorted(path.name for path in (ran.output / "results").iterdir())
    assert parts == [*(f"part-0000{chunk}.parquet" for chunk in range(4)), "part-schema.parquet"]
    assert [pq.read_metadata(ran.output / "results" / part).num_rows for part in parts] == [30, 30, 30, 10, 0]


def test_the_summary_counts_what_was_asked_and_what_it_cost(ran: Ran) -> None:
    totals = ran.summary.totals
    assert (totals.rows, totals.ok, totals.failed, ran.summary.requests) == (100, 100, 0, 100)
    assert (totals.cost, totals.currency) == (sum(row["cost"] for row in rows_of(ran.output)), "EUR")
    assert (ran.summary.state, ran.summary.output) == ("completed", str(ran.output))


def test_concurrency_holds_over_all_chunks(ran: Ran) -> None:
    assert ran.stats.requests == 100
    assert ran.stats.max_in_flight == 10


def test_the_flow_run_is_completed(ran: Ran, prefect_server: PrefectServer) -> None:
    flow_run = prefect_server.flow_run(ran.flow_run_id)
    assert flow_run.state is not None
    assert (flow_run.state.type.value, flow_run.state.name) == ("COMPLETED", "Completed")


def test_a_chunk_is_one_task_run(ran: Ran, prefect_server: PrefectServer) -> None:
    task_runs = eventually(
        lambda: prefect_server.task_runs(ran.flow_run_id),
        lambda seen: len(seen) >= TASK_RUNS and all(each.state_name == "Completed" for each in seen),
    )
    assert len(task_runs) == TASK_RUNS
    chunks = sorted(each.name for each in task_runs if each.name.startswith("infer-chunk"))
    rows = ["0-29", "30-59", "60-89", "90-99"]
    assert chunks == [f"infer-chunk-{chunk} (rows {rows[chunk]} of 100)" for chunk in range(4)]
    others = {each.name for each in task_runs} - set(chunks)
    assert others == {"load-documents (in.parquet)", "finish-run (run)"}


def test_progress_report_and_figures_are_artifacts(ran: Ran, prefect_server: PrefectServer) -> None:
    artifacts = prefect_server.artifacts(ran.flow_run_id)
    assert sorted(map(str, artifacts)) == ARTIFACTS
    progress, report, figures = (artifacts[f"llm-{name}"] for name in ("progress", "report", "figures"))
    assert (progress.type, progress.data) == ("progress", 100.0)
    assert progress.description is not None
    assert progress.description.startswith("100 of 100 documents, ")
    assert report.type == "markdown"
    assert "100 of 100 documents answered" in str(report.data)
    assert report.data == (ran.output / "_run" / "report.md").read_text()
    assert figures.type == "table"
    rows = json.loads(str(figures.data))
    assert {"figure": "answered", "value": "100 (100%)"} in rows


def test_the_table_of_chunks_ends_with_all_of_them_done(ran: Ran, prefect_server: PrefectServer) -> None:
    chunks = prefect_server.artifacts(ran.flow_run_id)["llm-chunks"]
    rows = json.loads(str(chunks.data))
    assert {(row["chunk"], row["rows"], row["state"], row["ended"], row["requests"]) for row in rows} == {
        ("0", "0-29", "done", "30 of 30", "30"),
        ("1", "30-59", "done", "30 of 30", "30"),
        ("2", "60-89", "done", "30 of 30", "30"),
        ("3", "90-99", "done", "10 of 10", "10"),
    }
    assert str(chunks.description).endswith("No failures.")
    assert "€" in str(chunks.description)  # the cost


def test_each_artifact_of_the_end_says_in_a_line_what_is_in_it(ran: Ran, prefect_server: PrefectServer) -> None:
    artifacts = prefect_server.artifacts(ran.flow_run_id)
    said = {key: str(artifacts[key].description) for key in ("llm-report", "llm-figures", "llm-cost", "llm-results")}
    assert said["llm-report"] == f"Run at {ran.output}"
    assert said["llm-figures"].startswith("Completed: 100 of 100 documents answered")
    assert said["llm-cost"].startswith("€0.00")
    assert said["llm-cost"].endswith(f" at {ran.output}")
    assert said["llm-results"] == str(ran.output)


def test_cost_and_place_of_the_results_have_artifacts_of_their_own(ran: Ran, prefect_server: PrefectServer) -> None:
    artifacts = prefect_server.artifacts(ran.flow_run_id)
    assert "| cost | €0.00" in str(artifacts["llm-cost"].data)
    assert "per 1,000 asked" in str(artifacts["llm-cost"].data)
    assert f"{ran.output}/results" in str(artifacts["llm-results"].data)
    assert "| id | status | answer |" in str(artifacts["llm-results"].data)
    assert [f"| d{row} | ok | " in str(artifacts["llm-results"].data) for row in (0, 9, 10)] == [True, True, False]
    report = artifacts["llm-report"].id
    assert f"/artifacts/artifact/{report}" in str(artifacts["llm-results"].data)


def test_the_flow_run_is_named_by_its_input_and_model(ran: Ran, prefect_server: PrefectServer) -> None:
    assert prefect_server.flow_run(ran.flow_run_id).name == "in.parquet with m"


def test_beginning_and_end_are_events_of_the_run_and_the_flow_run(ran: Ran, prefect_server: PrefectServer) -> None:
    run_id = json.loads((ran.output / "_run" / "manifest.json").read_text())["run_id"]
    events = eventually(lambda: prefect_server.run_events(ran.flow_run_id), lambda seen: len(seen) == 2)
    started, finished = events
    assert (started.event, finished.event) == ("prefect-llm.run.started", "prefect-llm.run.finished")
    assert {each.resource.id for each in events} == {f"prefect-llm.run.{run_id}"}
    assert started.payload["pending_rows"] == 100
    totals = ran.summary.totals
    assert (finished.payload["state"], finished.payload["ok"]) == ("completed", 100)
    assert Decimal(finished.payload["cost"]) == totals.cost


def test_the_log_tells_of_chunks_and_figures_and_of_no_document(ran: Ran, prefect_server: PrefectServer) -> None:
    logs = eventually(lambda: prefect_server.logs(ran.flow_run_id), lambda seen: _has(seen, "Finished in state"))
    messages = [log.message for log in logs]
    assert f"100 documents, 4 of 4 chunks to infer, in {ran.output}" in messages
    assert "100 of 100 documents answered, 0 failed" in messages
    assert sorted(text[:12] for text in messages if " done in " in text) == [
        f"chunk {chunk} done" for chunk in range(4)
    ]
    assert [text for text in messages if " of 100 documents, " in text and "/s" in text]
    assert [text for text in messages if "doc-" in text or "hello" in text] == []
    assert len(messages) < 50


def _has(logs: Sequence[object], text: str) -> bool:
    return any(text in str(log) for log in logs)
