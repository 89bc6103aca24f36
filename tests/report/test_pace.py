from __future__ import annotations

import pyarrow as pa
import pytest

from prefect_llm.report.figures.pace import LATENCY_STEPS, MOST_BINS, Pace, PaceFold, percentile
from prefect_llm.store.schema import INSTANT

SECOND_US = 1_000_000


def rows(ends_s: list[float], latency_ms: float = 500.0, attempts: int = 1, status: str = "ok") -> pa.Table:
    """Rows of one model that ended at those seconds: 10 tokens in, 5 out."""
    count = len(ends_s)
    return pa.table(
        {
            "status": [status] * count,
            "requested_model": ["m"] * count,
            "input_tokens": pa.array([10] * count, pa.int64()),
            "output_tokens": pa.array([5] * count, pa.int64()),
            "attempts": pa.array([attempts] * count, pa.int32()),
            "latency_ms": pa.array([latency_ms] * count, pa.float64()),
            "queued_ms": pa.array([0.0] * count, pa.float64()),
            "finished_at": pa.array([int(end * SECOND_US) for end in ends_s], INSTANT),
        }
    )


def folded(*tables: pa.Table) -> Pace:
    fold = PaceFold()
    for table in tables:
        fold.add(table)
    return fold.pace()


def test_rows_are_counted_in_the_second_they_ended() -> None:
    pace = folded(rows([0.1, 0.9, 2.5]), rows([0.5], attempts=3, status="failed"))
    assert [(moment.start.second, moment.rows, moment.ok, moment.retries) for moment in pace.moments] == [
        (0, 3, 2, 2),
        (2, 1, 1, 0),
    ]
    assert pace.moments[0].tokens == 45
    assert pace.seconds == 3.0


def test_requests_in_flight_are_latency_over_time() -> None:
    assert folded(rows([0.5] * 10, latency_ms=2000.0)).in_flight == 20.0


def test_a_longer_run_has_wider_bins_and_no_more_of_them() -> None:
    ends = [float(second) for second in range(10_000)]
    pace = folded(*(rows(ends[first : first + 1000]) for first in range(0, 10_000, 1000)))
    assert len(pace.moments) <= MOST_BINS
    assert sum(moment.rows for moment in pace.moments) == 10_000
    assert {moment.seconds for moment in pace.moments} == {128.0}
    assert sum(sum(moment.latency.values()) for moment in pace.moments) == 10_000
    assert pace == folded(rows(ends))


def test_rows_of_an_earlier_day_that_come_later_are_put_in_their_place() -> None:
    pace = folded(rows([90_000.0]), rows([5.0]))
    assert [moment.rows for moment in pace.moments] == [1, 1]
    assert pace.moments[0].start.day == 1


def test_rows_that_were_not_asked_have_no_time_of_this_run() -> None:
    assert folded(rows([5.0], attempts=0)) == Pace()


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 0.99])
def test_percentiles_are_off_by_less_than_a_bin(share: float) -> None:
    pace = folded(*(rows([1.0], latency_ms=float(ms)) for ms in range(1, 1001)))
    read = percentile(pace.latency, share, LATENCY_STEPS)
    assert read == pytest.approx(share * 1000, rel=0.09)
    assert percentile({}, share, LATENCY_STEPS) is None
