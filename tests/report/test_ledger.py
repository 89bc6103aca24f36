"""The ledger adds up: rows and discarded answers to the known cost, to the last digit, and estimates to nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_llm.report.figures.folding import fold_all
from prefect_llm.report.figures.ledger import RunLedger, Sizes
from prefect_llm.report.figures.totals import fold
from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.rows import ResultRow, as_reused, result_table
from prefect_llm.store.schema import result_schema
from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.price import Price
from prefect_llm.values.tally import TOKEN_COLUMNS, Discarded, TokenTally

MakeRow = Callable[..., ResultRow]
Commit = Callable[..., None]

DAY_US = 86_400_000_000
EXACT = Context(prec=60)
MONEY = st.decimals(0, 10**6, places=12)
TOKENS = st.none() | st.integers(0, 10**6)


@st.composite
def result_rows(draw: st.DrawFn) -> ResultRow:
    """Any row: answered or not, counted or not, priced or not, reused, of any model, day and currency."""
    usage = draw(st.none() | st.builds(Usage, *[TOKENS] * len(TOKEN_COLUMNS)))
    failure = draw(st.none() | st.just(Failure(ErrorKind.REFUSED, "no")))
    ended = draw(st.integers(0, 3)) * DAY_US + draw(st.integers(0, DAY_US - 1))
    outcome = Outcome(Completion("x", usage=usage), failure, attempts=1, latency_ms=5.0, finished_at_us=ended)
    price = draw(st.none() | st.builds(Price, MONEY, MONEY, st.sampled_from(["USD", "EUR"])))
    model, host = draw(st.sampled_from(["a", "b"])), draw(st.sampled_from(["h", "i"]))
    row = ResultRow("id", "f", model, outcome, draw(st.none() | MONEY), price, provider=host)
    return as_reused(row, "twin") if draw(st.booleans()) else row


@st.composite
def chunks(draw: st.DrawFn) -> tuple[list[ResultRow], ChunkStats]:
    tokens = st.builds(TokenTally, *[st.integers(0, 99)] * len(TOKEN_COLUMNS))
    discarded = st.builds(Discarded, st.integers(1, 9), tokens, st.none() | MONEY)
    return draw(st.lists(result_rows(), max_size=6)), ChunkStats(discarded=draw(discarded | st.just(Discarded())))


@settings(max_examples=60, deadline=None)
@given(run=st.lists(chunks(), max_size=4))
def test_lines_add_up_to_the_rows_and_the_discarded_answers_to_the_last_digit(
    run: list[tuple[list[ResultRow], ChunkStats]], tmp_path_factory: Any
) -> None:
    directory = _directory(tmp_path_factory.mktemp("ledger"), run)
    figures = fold_all(directory, 100)
    rows = [row for chunk, _ in run for row in chunk]
    ledger = figures.ledger
    spent = Decimal(0)
    for amount in [*(row.cost for row in rows), *_discarded_costs(run)]:
        spent = EXACT.add(spent, amount or Decimal(0))
    assert ledger.known_cost == figures.totals.known_cost == spent
    assert sum(line.rows.total for line in ledger.rows) == len(rows)
    assert sum((line.tokens for line in ledger.rows), TokenTally()) == figures.totals.tokens
    assert sum(line.rows.unpriced for line in ledger.lines) == figures.totals.prices.unpriced
    assert sum(line.rows.unmetered for line in ledger.lines) == figures.totals.prices.unmetered
    read = ledger.to_json(run_id="r", cost=figures.totals.cost, cost_uncertain=None)
    assert EXACT.create_decimal(read["totals"]["known_cost"]) == spent
    assert figures.totals == fold(directory, 100)


def _discarded_costs(run: list[tuple[list[ResultRow], ChunkStats]]) -> list[Decimal | None]:
    """An unknown cost of one chunk makes the sum of all unknown."""
    costs = [stats.discarded.cost for _, stats in run]
    return [] if None in costs else costs


def _directory(path: Path, run: list[tuple[list[ResultRow], ChunkStats]]) -> RunDirectory:
    directory = RunDirectory.open(str(path / "run"))
    schema = result_schema(kept=pa.schema([]), output_type=None, keep_raw=False)
    for chunk, (rows, stats) in enumerate(run):
        table = result_table(rows, schema=schema, run_id="r", kept=pa.table({}), output=None)
        directory.commit_part(chunk, table, stats)
    return directory


def _ledger(directory: RunDirectory, sizes: Callable[[], Sizes] = Sizes) -> RunLedger:
    return fold_all(directory, 10, sizes).ledger


def _on_day(row: ResultRow, day: int, **changes: Any) -> ResultRow:
    return replace(row, outcome=replace(row.outcome, finished_at_us=day * DAY_US), **changes)


def test_a_line_is_a_day_a_model_and_a_provider(directory: RunDirectory, commit: Commit, answered: MakeRow) -> None:
    commit(0, [_on_day(answered(), 0, provider="h"), _on_day(answered(), 0, provider="h")])
    commit(1, [_on_day(answered(), 1, provider="h"), _on_day(answered(), 1, provider="h", requested_model="n")])
    lines = [(str(line.key.day), line.key.model, line.rows.total, line.cost) for line in _ledger(directory).lines]
    assert lines == [
        ("1970-01-01", "m", 2, Decimal("0.02")),
        ("1970-01-02", "m", 1, Decimal("0.01")),
        ("1970-01-02", "n", 1, Decimal("0.01")),
    ]


def test_discarded_answers_have_a_line_of_their_own(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    tokens = TokenTally(input_tokens=20, cache_write_tokens=8, output_tokens=9)
    commit(0, [answered()], ChunkStats(discarded=Discarded(2, tokens, Decimal("0.000000000001"))))
    line = _ledger(directory).lines[-1]
    assert (line.entry, line.rows.total, line.tokens, line.cost) == (
        "discarded",
        2,
        tokens,
        Decimal("0.000000000001"),
    )
    assert line.key.model == "m"  # no other was asked


def test_a_line_whose_cost_is_not_all_known_says_null_and_what_is(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    commit(0, [answered(), answered(cost=None)])
    (line,) = _ledger(directory).to_json(run_id="r", cost=None, cost_uncertain=None)["lines"]
    assert (line["cost"], line["known_cost"], line["unpriced"]) == (None, "0.01", 1)


def test_an_answer_without_usage_is_estimated_apart_from_the_cost(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    dear = answered(requested_model="n", cost=Decimal(5), usage=Usage(1000, None, 9))
    commit(0, [answered(), answered(usage=Usage(20, 0, 7), cost=Decimal("0.03")), dear])
    commit(1, [answered(usage=None, cost=None)])
    ledger = _ledger(directory)
    assert ledger.unmetered is not None
    assert (ledger.unmetered.rows, ledger.unmetered.input_tokens, ledger.unmetered.output_tokens) == (1, 15, 6)
    assert ledger.unmetered.cost == Decimal("0.02")
    assert ledger.known_cost == Decimal("5.04")
    read = ledger.to_json(run_id="r", cost=None, cost_uncertain=None)
    assert (read["unmetered"]["estimate"], read["totals"]["cost"]) == (True, None)


def test_where_no_answer_has_usage_the_estimate_goes_by_size(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    commit(0, [answered(usage=None, cost=None)] * 3)
    estimate = _ledger(directory, lambda: Sizes(request=400.0, answer=40.0)).unmetered
    assert estimate is not None
    assert (estimate.input_tokens, estimate.output_tokens, estimate.cost) == (300, 30, None)


def test_what_reuse_saved_is_what_it_would_have_cost_at_the_mean(
    directory: RunDirectory, commit: Commit, answered: MakeRow
) -> None:
    commit(0, [answered(), *[as_reused(answered(), f"twin-{n}") for n in range(3)]])
    ledger = _ledger(directory)
    assert ledger.reused is not None
    assert (ledger.reused.rows, ledger.reused.input_tokens, ledger.reused.cost) == (
        3,
        30,
        Decimal("0.03"),
    )
    assert ledger.known_cost == Decimal("0.01")
    assert [line.key.day for line in ledger.lines if line.rows.reused] == [None]


def test_what_cached_input_saved_is_kept_with_the_chunk(directory: RunDirectory, commit: Commit) -> None:
    commit(0, [], ChunkStats(cache_saved=Decimal("0.5")))
    commit(1, [], ChunkStats(cache_saved=Decimal("0.25")))
    read = _ledger(directory).to_json(run_id="r", cost=None, cost_uncertain=None)
    assert read["saved"]["cached_input_cost"] == "0.75"
