"""A run's figures while it goes on, and the share of failures that stops it."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from prefect_llm.progress.progress import RunProgress, line_of
from prefect_llm.progress.recent_rate import RecentRate
from prefect_llm.progress.tracker import REMEMBERED_RUNS, RunTracker, run_tracker, watched
from prefect_llm.store import ChunkStats, RowFigures
from prefect_llm.values.errors import Interrupted, TooManyFailures
from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.price import Price

PRICE = Price(Decimal(1), Decimal(2), currency="EUR")
ANSWERED = Outcome(completion=Completion("Yes", usage=Usage(10, 2, 3, 1)), attempts=1)
FAILED = Outcome(failure=Failure(ErrorKind.TIMEOUT, "no complete answer within 1 s"), attempts=5, throttled=2)
BILLED_FAILURE = Outcome(
    completion=Completion("No", usage=Usage(10, 0, 3, 0)), failure=Failure(ErrorKind.REFUSED, "the model refused")
)


def test_outcomes_add_up_to_rows_tokens_and_cost() -> None:
    live = RunTracker(rows=10, stop_error_share=0.5)
    live.count(ANSWERED, Decimal("0.25"), PRICE)
    live.count(FAILED, None, PRICE)
    live.count(BILLED_FAILURE, Decimal("0.5"), PRICE)
    figures = live.figures
    assert (figures.rows, figures.done, figures.ok, figures.failed) == (10, 3, 1, 2)
    assert (figures.input_tokens, figures.output_tokens, figures.throttled) == (20, 6, 2)
    assert (figures.cost, figures.currency) == (Decimal("0.75"), "EUR")


def test_what_an_answer_cost_that_was_thrown_away_is_spent_too() -> None:
    live = RunTracker(rows=10, stop_error_share=0.5)
    live.count(ANSWERED, Decimal("0.25"), PRICE, (Decimal("0.1"), None))  # the other may have been billed
    live.count(FAILED, None, PRICE, (Decimal("0.4"),))
    assert live.figures.cost == Decimal("0.75")


def test_an_outcome_changes_nothing_that_is_not_of_its_row() -> None:
    figures = RunProgress(10, requests=7, retries=2, seconds=5.0, pace=RecentRate(((1.0, 2), (3.0, 4))))
    added = figures.plus(Outcome(failure=Failure(ErrorKind.TIMEOUT, "late")), None, None)
    assert added == replace(figures, failed=1, failed_by_kind={"timeout": 1}, settled=1)


def test_the_currency_is_known_before_the_first_answer_is() -> None:
    live = RunTracker(rows=10, stop_error_share=0.5)
    live.priced_at(None)
    before = live.figures.currency
    live.priced_at(PRICE)
    live.priced_at(replace(PRICE, currency="USD"))  # of a fallback
    figures = live.figures
    assert (before, figures.currency, figures.cost) == (None, "EUR", Decimal(0))


def test_the_cost_is_unknown_as_soon_as_one_billed_answer_has_none() -> None:
    live = RunTracker(rows=3, stop_error_share=0.5)
    live.count(ANSWERED, None, None)
    live.count(ANSWERED, Decimal(1), PRICE)
    assert live.figures.cost is None


def test_a_failure_that_was_not_billed_leaves_the_cost_known() -> None:
    live = RunTracker(rows=3, stop_error_share=1)
    live.count(FAILED, None, None)
    assert live.figures.cost == 0


def test_requests_after_the_first_of_a_document_are_retries() -> None:
    live = RunTracker(rows=2, stop_error_share=0.5)
    for attempt in (1, 1, 2, 3):
        live.sent(attempt)
    assert (live.figures.requests, live.figures.retries) == (4, 2)


def test_no_outcome_is_lost_when_many_threads_count() -> None:
    live = RunTracker(rows=4_000, stop_error_share=1)

    def count(_: int) -> None:
        for _ in range(500):
            live.sent(1)
            live.count(ANSWERED, Decimal(1), PRICE)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    figures = live.figures
    assert (figures.requests, figures.ok, figures.input_tokens, figures.cost) == (
        4_000,
        4_000,
        40_000,
        Decimal(4_000),
    )


@pytest.mark.parametrize(
    ("ok", "failed", "share", "stops"),
    [
        (0, 99, 0.5, False),  # too few to judge
        (50, 50, 0.5, False),  # as much as is allowed
        (49, 51, 0.5, True),
        (99, 1, 0.0, True),
        (0, 100, 1.0, False),
    ],
)
def test_the_share_of_failures_is_judged_after_a_hundred_outcomes(
    ok: int, failed: int, share: float, stops: bool
) -> None:
    live = RunTracker(rows=1_000, stop_error_share=share)
    for outcome in [ANSWERED] * ok + [FAILED] * failed:
        live.count(outcome, None, None)
    assert isinstance(live.stop.error, TooManyFailures) == stops
    if stops:
        assert str(live.stop.error).endswith("; the last one: no complete answer within 1 s")


def test_failures_in_other_processes_count_with_those_here_as_their_chunks_end() -> None:
    live = RunTracker(rows=1_000, stop_error_share=0.5)
    elsewhere = RowFigures("elsewhere", ok=40, failed=60, failed_by_kind={"timeout": 45, "rejected": 15})
    for _ in range(99):
        live.count(ANSWERED, None, None)
    live.take_over(ChunkStats(ended=replace(elsewhere, new=100, new_failed=60)))
    assert live.error_share == pytest.approx(60 / 199)
    assert live.stop.error is None
    live.take_over(ChunkStats(ended=replace(elsewhere, new=100, new_failed=100)))
    assert str(live.stop.error).endswith("; 45 of the last chunk by timeout")


def test_failures_of_an_earlier_attempt_in_other_processes_stop_no_later_one() -> None:
    live = RunTracker(rows=1_000, stop_error_share=0.5)
    live.take_over(ChunkStats(ended=RowFigures("elsewhere", failed=200, failed_by_kind={"timeout": 200})))
    assert (live.stop.error, live.error_share, live.figures.failed) == (None, None, 200)


def test_another_reason_to_stop_is_not_replaced() -> None:
    live = RunTracker(rows=1_000, stop_error_share=0.1)
    live.stop.set(Interrupted("SIGTERM"))
    for _ in range(200):
        live.count(FAILED, None, None)
    assert isinstance(live.stop.error, Interrupted)


def test_the_same_invocation_is_the_same_run_and_another_is_another() -> None:
    one, other = uuid.uuid4().hex, uuid.uuid4().hex
    assert run_tracker(one, 5, 0.5) is run_tracker(one, 5, 0.5)
    assert run_tracker(one, 5, 0.5) is not run_tracker(other, 5, 0.5)


def test_a_process_that_lives_for_long_forgets_its_oldest_runs() -> None:
    first = uuid.uuid4().hex
    begun = run_tracker(first, 5, 0.5)
    for _ in range(REMEMBERED_RUNS - 1):
        run_tracker(uuid.uuid4().hex, 5, 0.5)
    assert run_tracker(first, 5, 0.5) is begun
    run_tracker(uuid.uuid4().hex, 5, 0.5)
    assert run_tracker(first, 5, 0.5) is not begun


def test_figures_are_shown_at_the_interval_until_the_block_ends() -> None:
    shown: list[RunProgress] = []
    twice = threading.Event()

    def show(figures: RunProgress) -> None:
        shown.append(figures)
        if len(shown) == 2:
            twice.set()

    live = RunTracker(rows=3, stop_error_share=0.5)
    with watched(live, 0.01, show):
        assert twice.wait(10)
    count = len(shown)
    assert [figures.rows for figures in shown] == [3] * count
    assert not [thread for thread in threading.enumerate() if thread.name == "llm-figures"]


@pytest.mark.parametrize(
    ("figures", "line"),
    [
        (RunProgress(rows=10), "0 of 10 documents, 0.00/s, 0 tokens"),
        (RunProgress(rows=10, currency="EUR"), "0 of 10 documents, 0.00/s, 0 tokens, €0.00"),
        (
            RunProgress(
                rows=10_000, ok=1_197, failed=3, input_tokens=30_000, output_tokens=1_000, cost=Decimal("0.12"),
                currency="USD", throttled=2, settled=1_200, seconds=30.0,
            ),
            "1,200 of 10,000 documents (3 failed), 40.0/s, 31,000 tokens, 2 throttled, $0.12, 3 min 40 s left",
        ),
        (
            RunProgress(rows=2, ok=1, cost=None, settled=1, seconds=1.0),
            "1 of 2 documents, 1.00/s, 0 tokens, unknown price, 1.0 s left",
        ),
        (
            RunProgress(rows=20, ok=19, cost=None, settled=19, seconds=1.0),
            "19 of 20 documents, 19.0/s, 0 tokens, unknown price, almost done",
        ),
        (
            RunProgress(rows=2, ok=2, cost=None, settled=2, seconds=1.0),
            "2 of 2 documents, 2.00/s, 0 tokens, unknown price",
        ),
    ],
)  # fmt: skip
def test_figures_are_one_line_of_the_log(figures: RunProgress, line: str) -> None:
    assert line_of(figures) == line


def test_failures_are_counted_by_kind() -> None:
    live = RunTracker(rows=10, stop_error_share=1)
    for outcome in (FAILED, ANSWERED, BILLED_FAILURE, FAILED):
        live.count(outcome, None, None)
    assert live.figures.failed_by_kind == {"timeout": 2, "refused": 1}
    live.restore(FAILED)
    live.take_back([FAILED, FAILED, ANSWERED, BILLED_FAILURE])
    assert live.figures.failed_by_kind == {"timeout": 1}
    assert (live.figures.ok, live.figures.failed) == (0, 1)


def test_the_error_share_is_known_after_a_hundred_outcomes_of_this_invocation() -> None:
    live = RunTracker(rows=200, stop_error_share=1)
    live.restore(FAILED)
    for number in range(99):
        live.count(FAILED if number < 20 else ANSWERED, None, None)
    assert live.error_share is None
    live.count(ANSWERED, None, None)
    assert live.error_share == 0.2


def test_the_pace_is_that_of_rows_settled_now_here_and_elsewhere() -> None:
    live = RunTracker(rows=10, stop_error_share=1)
    live.restore(ANSWERED)
    live.count(ANSWERED, None, None)
    live.take_over(ChunkStats(ended=RowFigures("elsewhere", ok=5, new=3)))
    live.take_back([ANSWERED])  # it is asked once more, and was settled all the same
    assert (live.figures.done, live.figures.settled) == (6, 4)
    paced = live.paced(live.figures)
    assert paced.rows_per_second == 4 / paced.seconds
    later = live.paced(replace(paced, seconds=paced.seconds + 60))
    assert (later.rows_per_second, later.seconds_left) == (0, None)


def test_a_chunk_is_under_way_while_it_is_asked() -> None:
    live = RunTracker(rows=10, stop_error_share=1)
    with live.asking(3, lambda: 7):
        assert live.under_way == {3: 7}
    assert live.under_way == {}
