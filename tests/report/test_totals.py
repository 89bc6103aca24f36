from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from prefect_llm.report.figures.failures import FORGET_ABOVE, FailureExample
from prefect_llm.report.figures.totals import Times, Totals, fold
from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.rows import ResultRow
from prefect_llm.values.errors import InvalidInput
from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.price import Price
from prefect_llm.values.tally import Discarded, RequestTally, TokenTally

MakeRow = Callable[..., ResultRow]
Commit = Callable[..., None]


def test_a_run_that_has_no_part_yet_is_all_pending(directory: RunDirectory) -> None:
    totals = fold(directory, 7)
    assert totals == Totals(rows=7)
    assert (totals.pending, totals.cost, totals.currency, totals.top_failure) == (7, Decimal(0), None, None)


def test_rows_of_all_parts_are_counted_once(
    directory: RunDirectory, commit: Commit, answered: MakeRow, failed: MakeRow
) -> None:
    unsent = replace(
        failed(ErrorKind.BAD_DOCUMENT, "null"),
        outcome=Outcome(failure=Failure(ErrorKind.BAD_DOCUMENT, "null")),
    )
    commit(0, [answered(), answered(requested_model="n"), failed(ErrorKind.TIMEOUT, "late")])
    commit(2, [answered(reused=True), failed(ErrorKind.TIMEOUT, "late"), unsent])
    totals = fold(directory, 10)
    assert (totals.rows, totals.ok, totals.failed, totals.pending) == (10, 3, 3, 4)
    assert (totals.reused, totals.asked) == (1, 4)
    assert list(totals.failed_by_kind.items()) == [("timeout", 2), ("bad_document", 1)]
    assert totals.models == ("m", "n")


def test_tokens_are_those_of_the_rows_failed_ones_included_and_reused_ones_not(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    refused = replace(
        answered(),
        outcome=Outcome(
            Completion("no", usage=Usage(7, None, 1, None)), Failure(ErrorKind.REFUSED, "no"), attempts=1
        ),
    )
    stats = ChunkStats(discarded=Discarded(1, TokenTally(input_tokens=1000)))
    commit(0, [answered(), refused, answered(reused=True)], stats)
    totals = fold(directory, 3)
    assert totals.tokens == TokenTally(17, 4, 0, 6, 1)
    assert totals.chunk_stats.discarded.tokens.input_tokens == 1000


def test_the_cost_is_that_of_the_rows_and_of_discarded_answers(
    directory: RunDirectory, commit: Commit, answered: MakeRow, failed: MakeRow
) -> None:
    wasted = Discarded(attempts=1, cost=Decimal("0.000000000001"))
    commit(0, [answered(), answered(reused=True), failed(ErrorKind.TIMEOUT, "late")])
    commit(1, [answered()], ChunkStats(RequestTally(2, 1, 1), wasted, seconds=1.5))
    totals = fold(directory, 4)
    assert totals.cost == Decimal("0.020000000001")
    assert totals.currency == "USD"
    assert totals.chunk_stats == ChunkStats(RequestTally(2, 1, 1), wasted, 1.5)


def test_a_billed_row_without_a_price_makes_the_cost_unknown(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    commit(0, [answered(), answered(cost=None, price=None)])
    totals = fold(directory, 2)
    assert totals.cost is None
    assert (totals.prices.unpriced, totals.prices.unmetered) == (1, 0)
    assert totals.known_cost == Decimal("0.01")
    assert totals.to_json()["cost"] is None


def test_an_answer_without_usage_makes_the_cost_unknown(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    commit(0, [answered(), answered(cost=None, usage=None)])
    totals = fold(directory, 2)
    assert totals.cost is None
    assert (totals.prices.unpriced, totals.prices.unmetered) == (0, 1)


def test_an_unknown_cost_of_discarded_answers_makes_the_cost_unknown(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    commit(0, [answered()], ChunkStats(discarded=Discarded(attempts=1, cost=None)))
    totals = fold(directory, 1)
    assert totals.cost is None
    assert totals.known_cost == Decimal("0.01")


def test_failures_that_were_not_billed_leave_the_cost_known_without_a_price(
    directory: RunDirectory, commit: Commit, failed: MakeRow
) -> None:
    commit(0, [failed(ErrorKind.CONNECTION, "refused", price=None)])
    assert fold(directory, 1).cost == Decimal(0)


def test_money_of_two_currencies_is_not_added_up(directory: RunDirectory, commit: Commit, answered: MakeRow) -> None:
    euro = Price(Decimal("1"), Decimal("2"), currency="EUR")
    commit(0, [answered(), answered(price=euro)])
    totals = fold(directory, 2)
    assert (totals.cost, totals.currency, totals.prices.currencies) == (None, None, ("EUR", "USD"))


def test_times_are_those_of_answered_rows_that_were_asked(
    directory: RunDirectory, commit: Commit, answered: MakeRow, failed: MakeRow
) -> None:
    commit(0, [answered(latency_ms=float(ms)) for ms in range(51)])
    commit(1, [answered(latency_ms=float(ms)) for ms in range(51, 101)])
    commit(2, [answered(reused=True, latency_ms=5e6), failed(ErrorKind.TIMEOUT, "late")])
    totals = fold(directory, 103)
    # 0, 1, ... 100: a percentile is its own number, whether interpolated or not
    assert totals.latency == Times(mean_ms=50.0, p50_ms=50.0, p95_ms=95.0, p99_ms=99.0)
    assert totals.queued == Times(10.0, 10.0, 10.0, 10.0)


def test_percentiles_between_two_rows_are_interpolated(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    commit(0, [answered(latency_ms=100.0), answered(latency_ms=200.0)])
    latency = fold(directory, 2).latency
    assert latency is not None
    assert latency.p50_ms == 150.0
    assert latency.p95_ms == pytest.approx(195.0)


def test_without_an_answer_there_are_no_times(directory: RunDirectory, commit: Commit, failed: MakeRow) -> None:
    commit(0, [failed(ErrorKind.TIMEOUT, "late")])
    totals = fold(directory, 1)
    assert (totals.latency, totals.queued) == (None, None)


def test_the_top_failure_is_the_commonest_kind_status_and_message(
    directory: RunDirectory, commit: Commit, failed: MakeRow
) -> None:
    overloaded = failed(ErrorKind.SERVER_ERROR, "upstream overloaded", 503)
    commit(0, [overloaded, failed(ErrorKind.SERVER_ERROR, "upstream overloaded", 502), overloaded])
    commit(1, [overloaded, *[failed(ErrorKind.REJECTED, f"row {n}", 400) for n in range(5)]])
    totals = fold(directory, 9)
    assert totals.top_failure == FailureExample("server_error", 503, "upstream overloaded", 3)
    assert [(example.kind, example.count) for example in totals.failure_examples] == [
        ("rejected", 1),
        ("server_error", 3),
    ]


def test_messages_that_all_differ_are_forgotten_but_every_failure_is_counted(
    directory: RunDirectory, commit: Commit, failed: MakeRow
) -> None:
    common = failed(ErrorKind.REJECTED, "the common one", 400)
    for chunk in range(3):
        different = [failed(ErrorKind.REJECTED, f"{chunk}-{n}", 400) for n in range(FORGET_ABOVE)]
        commit(chunk, [common, *different, common])
    totals = fold(directory, 3 * (FORGET_ABOVE + 2))
    assert totals.failed_by_kind == {"rejected": 3 * (FORGET_ABOVE + 2)}
    assert totals.top_failure == FailureExample("rejected", 400, "the common one", 6)


def test_a_damaged_part_is_reported_by_its_name(directory: RunDirectory) -> None:
    directory.folder.write("results/part-00000.parquet", b"PAR1")
    with pytest.raises(InvalidInput, match=r"results/part-00000\.parquet cannot be read"):
        fold(directory, 1)
