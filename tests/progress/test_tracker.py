"""A run's figures while it goes on, and the share of failures that stops it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from prefect_llm.progress.progress import RunProgress, line_of
from prefect_llm.progress.recent_rate import RecentRate
from prefect_llm.progress.tracker import RunTracker, watched
from prefect_llm.store import ChunkStats, EndedRows
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import Interrupted, TooManyFailures
from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Outcome, Usage
from prefect_llm.values.price import Price
from prefect_llm.values.request import Parameters, Request
from prefect_llm.values.tally import RequestTally, Tally, TokenTally

PRICE = Price(Decimal(1), Decimal(2), currency="EUR")
ANSWERED = Outcome(completion=Completion("Yes", usage=Usage(10, 2, 3, 1)), attempts=1)
FAILED = Outcome(failure=Failure(ErrorKind.TIMEOUT, "no complete answer within 1 s"), attempts=5, throttled=2)
BILLED_FAILURE = Outcome(
    completion=Completion("No", usage=Usage(10, 0, 3, 0)), failure=Failure(ErrorKind.REFUSED, "the model refused")
)


def test_outcomes_add_up_to_rows_tokens_and_cost() -> None:
    tracker = RunTracker(10, 0.5, StopFlag())
    tracker.count(ANSWERED, Decimal("0.25"), PRICE)
    tracker.count(FAILED, None, PRICE)
    tracker.count(BILLED_FAILURE, Decimal("0.5"), PRICE)
    progress, tally = tracker.progress, tracker.progress.tally
    assert (progress.rows, progress.done, tally.ok, tally.failed) == (10, 3, 1, 2)
    assert (tally.tokens.input_tokens, tally.tokens.output_tokens, progress.requests.throttled) == (20, 6, 2)
    assert (tally.cost, tally.currency) == (Decimal("0.75"), "EUR")


def test_what_an_answer_cost_that_was_discarded_is_spent_too() -> None:
    tracker = RunTracker(10, 0.5, StopFlag())
    tracker.count(ANSWERED, Decimal("0.25"), PRICE, (Decimal("0.1"), None))  # the other may have been billed
    tracker.count(FAILED, None, PRICE, (Decimal("0.4"),))
    assert tracker.progress.tally.cost == Decimal("0.75")


def test_an_outcome_changes_nothing_that_is_not_of_its_row() -> None:
    rate = RecentRate(((1.0, 2), (3.0, 4)))
    progress = RunProgress(10, requests=RequestTally(sent=7, retries=2), seconds=5.0, pace=rate)
    added = progress.plus(Outcome(failure=Failure(ErrorKind.TIMEOUT, "late")), None, None)
    assert added == replace(progress, tally=Tally(failed_by_kind={"timeout": 1}), settled=1)


def test_the_currency_is_known_before_the_first_answer_is() -> None:
    tracker = RunTracker(10, 0.5, StopFlag())
    tracker.priced_at(None)
    before = tracker.progress.tally.currency
    tracker.priced_at(PRICE)
    tracker.priced_at(replace(PRICE, currency="USD"))  # of a fallback
    tally = tracker.progress.tally
    assert (before, tally.currency, tally.cost) == (None, "EUR", Decimal(0))


def test_the_cost_is_unknown_as_soon_as_one_billed_answer_has_none() -> None:
    tracker = RunTracker(3, 0.5, StopFlag())
    tracker.count(ANSWERED, None, None)
    tracker.count(ANSWERED, Decimal(1), PRICE)
    assert tracker.progress.tally.cost is None


def test_a_failure_that_was_not_billed_leaves_the_cost_known() -> None:
    tracker = RunTracker(3, 1, StopFlag())
    tracker.count(FAILED, None, None)
    assert tracker.progress.tally.cost == 0


def test_requests_after_the_first_of_a_document_are_retries() -> None:
    tracker = RunTracker(2, 0.5, StopFlag())
    for attempt in (1, 1, 2, 3):
        tracker.sent(attempt)
    assert tracker.progress.requests == RequestTally(sent=4, retries=2)


def test_no_outcome_is_lost_when_many_threads_count() -> None:
    tracker = RunTracker(4_000, 1, StopFlag())

    def count(_: int) -> None:
        for _ in range(500):
            tracker.sent(1)
            tracker.count(ANSWERED, Decimal(1), PRICE)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    sent, tally = tracker.progress.requests.sent, tracker.progress.tally
    assert (sent, tally.ok, tally.tokens.input_tokens, tally.cost) == (
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
    tracker = RunTracker(1_000, share, stop := StopFlag())
    for outcome in [ANSWERED] * ok + [FAILED] * failed:
        tracker.count(outcome, None, None)
    assert isinstance(stop.error, TooManyFailures) == stops
    if stops:
        assert str(stop.error).endswith("; the last one: no complete answer within 1 s")


def test_failures_in_other_processes_count_with_those_here_as_their_chunks_end() -> None:
    tracker = RunTracker(1_000, 0.5, stop := StopFlag())
    elsewhere = EndedRows("elsewhere", Tally(40, {"timeout": 45, "rejected": 15}))
    for _ in range(99):
        tracker.count(ANSWERED, None, None)
    tracker.add_remote(ChunkStats(ended=replace(elsewhere, new=100, new_failed=60)))
    assert tracker.error_share.value == pytest.approx(60 / 199)
    assert stop.error is None
    tracker.add_remote(ChunkStats(ended=replace(elsewhere, new=100, new_failed=100)))
    assert str(stop.error).endswith("; 45 of the last chunk by timeout")


def test_failures_of_an_earlier_attempt_in_other_processes_stop_no_later_one() -> None:
    tracker = RunTracker(1_000, 0.5, stop := StopFlag())
    tracker.add_remote(ChunkStats(ended=EndedRows("elsewhere", Tally(failed_by_kind={"timeout": 200}))))
    assert (stop.error, tracker.error_share.value, tracker.progress.tally.failed) == (None, None, 200)


def test_another_reason_to_stop_is_not_replaced() -> None:
    tracker = RunTracker(1_000, 0.1, stop := StopFlag())
    stop.set(Interrupted("SIGTERM"))
    for _ in range(200):
        tracker.count(FAILED, None, None)
    assert isinstance(stop.error, Interrupted)


def test_figures_are_shown_at_the_interval_until_the_block_ends() -> None:
    shown: list[RunProgress] = []
    twice = threading.Event()

    def show(figures: RunProgress) -> None:
        shown.append(figures)
        if len(shown) == 2:
            twice.set()

    tracker = RunTracker(3, 0.5, StopFlag())
    with watched(tracker, 0.01, show):
        assert twice.wait(10)
    count = len(shown)
    assert [figures.rows for figures in shown] == [3] * count
    assert not [thread for thread in threading.enumerate() if thread.name == "llm-progress"]


@pytest.mark.parametrize(
    ("figures", "line"),
    [
        (RunProgress(rows=10), "0 of 10 documents, 0.00/s, 0 tokens"),
        (RunProgress(10, Tally(currency="EUR")), "0 of 10 documents, 0.00/s, 0 tokens, €0.00"),
        (
            RunProgress(
                10_000,
                Tally(1_197, {"timeout": 3}, TokenTally(30_000, 0, 0, 1_000), Decimal("0.12"), currency="USD"),
                RequestTally(throttled=2),
                settled=1_200,
                seconds=30.0,
            ),
            "1,200 of 10,000 documents (3 failed), 40.0/s, 31,000 tokens, 2 throttled, $0.12, 3 min 40 s left",
        ),
        (
            RunProgress(2, Tally(1, unknown_costs=1), settled=1, seconds=1.0),
            "1 of 2 documents, 1.00/s, 0 tokens, unknown price, 1.0 s left",
        ),
        (
            RunProgress(20, Tally(19, unknown_costs=1), settled=19, seconds=1.0),
            "19 of 20 documents, 19.0/s, 0 tokens, unknown price, almost done",
        ),
        (
            RunProgress(2, Tally(2, unknown_costs=1), settled=2, seconds=1.0),
            "2 of 2 documents, 2.00/s, 0 tokens, unknown price",
        ),
    ],
)  # fmt: skip
def test_figures_are_one_line_of_the_log(figures: RunProgress, line: str) -> None:
    assert line_of(figures) == line


def test_failures_are_counted_by_kind() -> None:
    tracker = RunTracker(10, 1, StopFlag())
    for outcome in (FAILED, ANSWERED, BILLED_FAILURE, FAILED):
        tracker.count(outcome, None, None)
    assert tracker.progress.tally.failed_by_kind == {"timeout": 2, "refused": 1}
    tracker.restore(FAILED)
    tracker.take_back([FAILED, FAILED, ANSWERED, BILLED_FAILURE])
    assert tracker.progress.tally.failed_by_kind == {"timeout": 1}
    assert (tracker.progress.tally.ok, tracker.progress.tally.failed) == (0, 1)


def test_the_error_share_is_known_after_a_hundred_outcomes_of_this_invocation() -> None:
    tracker = RunTracker(200, 1, StopFlag())
    tracker.restore(FAILED)
    for number in range(99):
        tracker.count(FAILED if number < 20 else ANSWERED, None, None)
    assert tracker.error_share.value is None
    tracker.count(ANSWERED, None, None)
    assert tracker.error_share.value == 0.2


def test_the_pace_is_that_of_rows_settled_now_here_and_elsewhere() -> None:
    tracker = RunTracker(10, 1, StopFlag())
    tracker.restore(ANSWERED)
    tracker.count(ANSWERED, None, None)
    tracker.add_remote(ChunkStats(ended=EndedRows("elsewhere", Tally(5), new=3)))
    tracker.take_back([ANSWERED])  # it is asked once more, and was settled all the same
    assert (tracker.progress.done, tracker.progress.settled) == (6, 4)
    paced = tracker.with_rate(tracker.progress)
    assert paced.rows_per_second == 4 / paced.seconds
    later = tracker.with_rate(replace(paced, seconds=paced.seconds + 60))
    assert (later.rows_per_second, later.seconds_left) == (0, None)


def test_a_chunk_is_under_way_while_it_is_asked() -> None:
    tracker = RunTracker(10, 1, StopFlag())
    with tracker.chunk_running(3, lambda: 7):
        assert tracker.running_chunks == {3: 7}
    assert tracker.running_chunks == {}


def test_429s_count_at_once_and_once() -> None:
    tracker, request = RunTracker(10, 0.5, StopFlag()), Request(0, "doc-0", (), Parameters("m"), "print")
    for _ in range(3):
        tracker.throttled(request)
    assert tracker.progress.requests.throttled == 3
    tracker.count(replace(ANSWERED, throttled=2), None, None)
    assert tracker.progress.requests.throttled == 3
