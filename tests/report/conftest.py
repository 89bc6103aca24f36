"""A run directory of ten documents with figures one can add up in the head, and the summary of its run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from prefect_llm.report.figures.failures import FailureExample
from prefect_llm.report.figures.summary import Summary
from prefect_llm.report.figures.totals import RowPrices, Times, Totals
from prefect_llm.store.chunk_stats import ChunkStats
from prefect_llm.store.directory import RunDirectory
from prefect_llm.store.rows import ResultRow, result_table
from prefect_llm.store.schema import result_schema
from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.price import Price
from prefect_llm.values.tally import Discarded, RequestTally, Tally, TokenTally

PRICE = Price(Decimal("1"), Decimal("2"))


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.open(str(tmp_path / "run"))


@pytest.fixture
def answered() -> Callable[..., ResultRow]:
    """An answered row: 10 tokens in (4 cached), 5 out (1 reasoning), cost 0.01, 100 ms, 10 ms waiting."""

    def make(**changes: Any) -> ResultRow:
        latency_ms = changes.pop("latency_ms", 100.0)
        usage = changes.pop("usage", Usage(10, 4, 5, 1))
        outcome = Outcome(Completion("yes", usage=usage), attempts=1, latency_ms=latency_ms, queued_ms=10.0)
        row = ResultRow("id", "f", "m", outcome, Decimal("0.01"), PRICE)
        return replace(row, **changes)

    return make


@pytest.fixture
def failed() -> Callable[..., ResultRow]:
    """A failed row without an answer."""

    def make(kind: ErrorKind, message: str, status: int | None = None, **changes: Any) -> ResultRow:
        outcome = Outcome(failure=Failure(kind, message, status), attempts=5, latency_ms=9_999.0)
        return replace(ResultRow("id", "f", "m", outcome, None, PRICE), **changes)

    return make


@pytest.fixture
def commit(directory: RunDirectory) -> Callable[..., None]:
    schema = result_schema(kept=pa.schema([]), output_type=None, keep_raw=False)

    def write(chunk: int, rows: list[ResultRow], stats: ChunkStats | None = None) -> None:
        table = result_table(rows, schema=schema, run_id="r", kept=pa.table({}), output=None)
        directory.commit_part(chunk, table, stats or ChunkStats())

    return write


@pytest.fixture
def summary() -> Summary:
    """1,000 documents: 959 answered (9 reused), 41 failed; 960 asked at 10 + 5 tokens; 1.23 dollars."""
    totals = Totals(
        rows=1000,
        tally=Tally(
            ok=959,
            failed_by_kind={"server_error": 38, "bad_document": 3},
            tokens=TokenTally(
                input_tokens=9600,
                cached_input_tokens=1200,
                output_tokens=4800,
                reasoning_tokens=48,
            ),
            known_cost=Decimal("1.230000000000"),
        ),
        failure_examples=(
            FailureExample("server_error", 503, "HTTP 503: upstream overloaded", 37),
            FailureExample("bad_document", None, "field 'a|b'\nis null", 3),
        ),
        reused=9,
        asked=960,
        prices=RowPrices(("USD",)),
        models=("gpt-5",),
        latency=Times(412.0, 400.0, 1500.0, 3200.0),
        queued=Times(2.0, 1.0, 8.0, 9.0),
        chunk_stats=ChunkStats(
            RequestTally(1000, 40, 12), Discarded(2, TokenTally(20, output_tokens=10), Decimal("0.03")), 64.0
        ),
    )
    return Summary(totals, "completed", "runs/today", requests=1000, retries=40, throttled=12, seconds=64.0)
