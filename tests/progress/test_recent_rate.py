"""Rows a second of the last minute; the clock is a number."""

from __future__ import annotations

import pytest

from prefect_llm.progress.progress import RunProgress
from prefect_llm.progress.recent_rate import WINDOW_S, RecentRate
from prefect_llm.values.tally import Tally


def seen(*looks: tuple[float, int]) -> RecentRate:
    """The pace after those looks: seconds since the start, and rows settled until then."""
    pace = RecentRate()
    for seconds, settled in looks:
        pace = pace.after(seconds, settled)
    return pace


def test_before_a_minute_has_passed_it_is_that_since_the_start() -> None:
    pace = seen((10, 50), (20, 100), (59, 290))
    assert pace.rows_per_second(59, 290) == pytest.approx(290 / 59)
    assert RecentRate().rows_per_second(0, 0) == 0


def test_a_minute_later_what_was_fast_before_counts_no_more() -> None:
    pace = seen((60, 6_000), (90, 6_030), (120, 6_060))
    assert pace.rows_per_second(120, 6_060) == 1.0  # the average since the start says 50.5


def test_the_look_of_exactly_a_minute_ago_is_where_it_begins() -> None:
    pace = seen((1, 100), (2, 200), (3, 200))
    assert pace.rows_per_second(61.5, 200) == pytest.approx(100 / 60.5)  # that of second 2 is 59.5 s old
    assert pace.rows_per_second(62, 200) == 0


def test_rarer_looks_than_one_a_minute_tell_the_pace_between_two_of_them() -> None:
    assert seen((300, 3_000), (600, 3_300)).rows_per_second(600, 3_300) == 1.0


def test_a_run_in_which_nothing_ends_has_no_pace_and_no_time_left_after_a_minute() -> None:
    figures = RunProgress(100, Tally(50), settled=50, seconds=70, pace=seen((5, 50), (10, 50)))
    assert (figures.rows_per_second, figures.seconds_left) == (0, None)


def test_rows_of_an_earlier_attempt_are_done_and_are_no_pace() -> None:
    figures = RunProgress(100, Tally(80), settled=10, seconds=10)
    assert (figures.rows_per_second, figures.seconds_left) == (1.0, 20)


def test_rows_that_are_away_for_a_moment_are_not_counted_anew() -> None:
    pace = seen((10, 100), (20, 40), (80, 100))
    assert pace.rows_per_second(80, 100) == 0


def test_of_two_looks_at_the_same_time_the_first_counts() -> None:
    assert seen((10, 100), (10, 50), (9, 50)) == seen((10, 100))


def test_no_more_looks_are_kept_than_a_minute_has() -> None:
    pace = seen(*((float(second), second) for second in range(1, 1_000)))
    assert len(pace.looks) == WINDOW_S + 1
    assert pace.looks[0][0] == 999 - WINDOW_S
