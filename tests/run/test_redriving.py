"""Failed rows are asked again: only those, of whom and of what kinds one wants; nothing else changes."""

from __future__ import annotations

import csv
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.run.running import carry_out, documents, provider_at, rows_of, spec_of
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

from prefect_llm.report import Summary
from prefect_llm.run.opening import open_run
from prefect_llm.run.redrive import open_redrive, redrive_chunk, redrive_pending
from prefect_llm.store import RunDirectory
from prefect_llm.store.cleaning import clean_run
from prefect_llm.values.errors import AuthenticationFailed, InvalidInput
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.price import Price
from prefect_llm.values.provider import Provider

PRICES = {"m": Price(Decimal(1), Decimal(2)), "n": Price(Decimal(10), Decimal(20))}
FAILING = {"doc-3": steps.status(400), "doc-14": steps.not_json(), "doc-17": steps.status(400)}


def with_failures(scripted_server: ScriptedServer, output: str, **spec: Any) -> tuple[Summary, Provider]:
    """A finished run of 25 documents in three chunks, three of which failed; the server answers all from now on."""
    scripted_server.script(FAILING)
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    summary = carry_out(documents(25), output, provider, spec_of(**spec))
    assert summary.totals.failed == 3
    scripted_server.reset()
    return summary, provider


def make_delta_log(output: str) -> Path:
    """As a converter leaves it."""
    log = Path(output, "results", "_delta_log", "00000000000000000000.json")
    log.parent.mkdir()
    log.write_text("{}")
    return log


def listed(output: str) -> list[list[str]]:
    with Path(output, "_run", "failed.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_only_failed_rows_are_asked_and_every_other_row_stays(scripted_server: ScriptedServer, output: str) -> None:
    summary, provider = with_failures(scripted_server, output)
    before = rows_of(summary)
    untouched = Path(output, "results", "part-00002.parquet").stat().st_mtime_ns

    after = rows_of(again := redrive_pending(open_redrive(output), provider))

    assert sorted(scripted_server.stats().by_document) == ["doc-14", "doc-17", "doc-3"]
    assert [row["id"] for row in after] == [f"d{n}" for n in range(25)]
    assert (again.state, again.totals.ok, again.totals.failed, again.requests) == ("completed", 25, 0, 3)
    assert [row for row in after if row["id"] not in ("d3", "d14", "d17")] == [
        row for row in before if row["status"] == "ok"
    ]
    assert Path(output, "results", "part-00002.parquet").stat().st_mtime_ns == untouched
    assert not Path(output, "_run", "failed.csv").exists()


def test_the_rows_that_stay_failed_are_listed_in_one_file(scripted_server: ScriptedServer, output: str) -> None:
    _, provider = with_failures(scripted_server, output)
    assert [line[0] for line in listed(output)] == ["id", "d3", "d14", "d17"]
    scripted_server.script({"doc-14": steps.status(422)})
    summary = redrive_pending(open_redrive(output), provider)
    assert summary.totals.failed_by_kind == {"rejected": 1}
    assert [line[:3] for line in listed(output)] == [["id", "error_kind", "error_status"], ["d14", "rejected", "422"]]


def test_one_kind_of_failure_alone_can_be_asked_again(scripted_server: ScriptedServer, output: str) -> None:
    _, provider = with_failures(scripted_server, output)
    summary = redrive_pending(open_redrive(output, kinds=[ErrorKind.BAD_RESPONSE]), provider)
    assert sorted(scripted_server.stats().by_document) == ["doc-14"]
    assert summary.totals.failed_by_kind == {"rejected": 2}


def test_another_model_can_be_asked_at_its_own_price(scripted_server: ScriptedServer, output: str) -> None:
    _, provider = with_failures(scripted_server, output)
    rows = rows_of(redrive_pending(open_redrive(output, model="n"), provider))
    redriven = [row for row in rows if row["id"] in ("d3", "d14", "d17")]
    assert {row["requested_model"] for row in redriven} == {"n"}
    other = next(row for row in rows if row["id"] == "d4")
    assert redriven[0]["cost"] == 10 * other["cost"]
    assert redriven[0]["fingerprint"] != other["fingerprint"]


def test_what_a_replaced_row_was_billed_stays_in_the_cost(scripted_server: ScriptedServer, output: str) -> None:
    scripted_server.script({"doc-3": steps.null_content(), "doc-4": steps.null_content()})
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    first = carry_out(documents(10), output, provider).totals
    assert (first.failed, first.chunk_stats.discarded.attempts) == (2, 4)
    scripted_server.reset()
    second = redrive_pending(open_redrive(output), provider).totals
    assert (second.failed, second.chunk_stats.discarded.attempts) == (0, 6)
    assert first.cost is not None
    assert second.cost is not None
    assert second.cost > first.cost


def test_a_redrive_that_was_stopped_goes_on_where_it_was(scripted_server: ScriptedServer, output: str) -> None:
    _, provider = with_failures(scripted_server, output)
    scripted_server.script({"doc-17": steps.status(401)})
    redrive = open_redrive(output)
    assert (redrive.run.pending, redrive.run.pending_rows) == ((0, 1), 3)
    redrive_chunk(redrive, 0, provider_at(scripted_server.base_url, concurrency=1))
    with pytest.raises(AuthenticationFailed):
        redrive_chunk(redrive, 1, provider_at(scripted_server.base_url, concurrency=1))
    scripted_server.script({"doc-17": steps.ok()})
    summary = redrive_pending(open_redrive(output), provider)
    assert (summary.totals.ok, scripted_server.stats().by_document["doc-14"]) == (25, 1)


def test_a_structured_row_is_replaced_with_its_output(scripted_server: ScriptedServer, output: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    scripted_server.script_all(steps.ok('{"a": 1}'))
    scripted_server.script({"doc-1": steps.status(400)})
    provider = provider_at(scripted_server.base_url)
    carry_out(documents(3), output, provider, spec_of(schema=schema))
    scripted_server.script({"doc-1": steps.ok('{"a": 2}')})
    rows = rows_of(redrive_pending(open_redrive(output), provider))
    assert [row["output"] for row in rows] == [{"a": 1}, {"a": 2}, {"a": 1}]


def test_a_run_that_is_not_finished_is_refused(scripted_server: ScriptedServer, output: str) -> None:
    open_run(documents(25), output, spec_of())
    with pytest.raises(InvalidInput, match="3 of 3 chunks still to be asked"):
        open_redrive(output)


def test_a_run_whose_documents_were_removed_is_refused(scripted_server: ScriptedServer, output: str) -> None:
    with_failures(scripted_server, output)
    clean_run(output)
    with pytest.raises(InvalidInput, match="cannot be redriven: the documents of 2 of its 3 chunks were removed"):
        open_redrive(output)


def test_a_directory_without_a_run_is_refused(output: str) -> None:
    with pytest.raises(InvalidInput, match="is not a run directory"):
        open_redrive(output)
    assert not Path(output).exists()


def test_a_redrive_of_a_run_without_failures_asks_nothing(scripted_server: ScriptedServer, output: str) -> None:
    provider = provider_at(scripted_server.base_url)
    carry_out(documents(5), output, provider)
    scripted_server.reset()
    assert redrive_pending(open_redrive(output), provider).totals.ok == 5
    assert scripted_server.stats().requests == 0
    assert RunDirectory.open(output).complete_chunks() == {0}


def test_a_redrive_says_that_a_log_of_delta_is_stale_and_leaves_it(
    scripted_server: ScriptedServer, output: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, provider = with_failures(scripted_server, output)
    log = make_delta_log(output)
    assert open_run(documents(25), output, spec_of()).pending == ()
    assert caplog.messages == []

    again = redrive_pending(open_redrive(output), provider)

    assert (again.totals.failed, log.read_text()) == (0, "{}")
    stale = f"{output}/results/_delta_log lists the parts as they were when it was made: it is stale once"
    assert [message.startswith(stale) for message in caplog.messages] == [True]
    caplog.clear()
    assert redrive_pending(open_redrive(output), provider).requests == 0
    assert caplog.messages == []


def test_a_run_that_goes_on_says_it_too(
    scripted_server: ScriptedServer, output: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, provider = with_failures(scripted_server, output)
    make_delta_log(output)
    Path(output, "results", "part-00001.parquet").unlink()
    assert carry_out(documents(25), output, provider).totals.rows == 25
    assert any("_delta_log lists the parts as they were" in message for message in caplog.messages)


def test_documents_that_always_fail_end_in_their_rows_at_every_redrive_and_probes_are_in_the_cost(
    scripted_server: ScriptedServer, output: str
) -> None:
    scripted_server.script({f"doc-{row}": steps.status(500) for row in range(15, 30)})
    provider = provider_at(scripted_server.base_url, prices=PRICES)
    provider = replace(provider, retries=replace(provider.retries, backoff_s=0.01, max_backoff_s=0.02, outage_s=1))
    first = carry_out(documents(30), output, provider, spec_of(chunk_rows=30))
    assert (first.state, first.totals.failed_by_kind) == ("completed", {"server_error": 15})

    again = redrive_pending(open_redrive(output), provider)
    assert (again.state, again.totals.failed_by_kind) == ("completed", {"server_error": 15})
    bodies = [received.body for received in scripted_server.log() if received.status == 200]
    assert len(bodies) > 15
    characters = sum(len(message["content"]) for body in bodies for message in body["messages"])
    assert again.totals.cost == Decimal(characters + 7 * 2 * len(bodies)) / 1_000_000
