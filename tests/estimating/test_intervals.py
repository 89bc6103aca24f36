"""The estimator by itself: exact where it can be, wide enough where answers are skewed."""

from __future__ import annotations

import math
import random

import pytest

from prefect_llm.estimating.intervals import Sizes, student_quantile, total_of


def test_a_population_that_was_drawn_whole_is_known_exactly() -> None:
    interval = total_of(Sizes(3, 60.0), [10.0, 20.0, 30.0], [1.0, 5.0, 2.0])
    assert (interval.low, interval.expected, interval.high) == (8.0, 8.0, 8.0)


def test_what_is_proportional_to_size_is_known_from_the_sizes_of_all() -> None:
    sizes = [float(size) for size in range(10, 30)]
    interval = total_of(Sizes(1_000, 40_000.0), sizes, [size / 4 for size in sizes])
    assert interval.expected == pytest.approx(10_000)
    assert interval.high == pytest.approx(10_000)


def test_without_sizes_that_differ_it_is_the_mean_by_student() -> None:
    values = [1.0, 3.0] * 10  # symmetrical: mean 2, variance 20/19
    interval = total_of(Sizes(10_000, 10_000.0), [1.0] * 20, values)
    half = 2.093 * math.sqrt(20 / 19 / 20 * (1 - 20 / 10_000)) * 10_000
    assert interval.expected == pytest.approx(20_000)
    assert interval.low == pytest.approx(20_000 - half, rel=1e-3)
    assert interval.high == pytest.approx(20_000 + half, rel=1e-3)


def test_a_long_tail_widens_the_interval_upwards() -> None:
    values = [1.0] * 28 + [20.0, 40.0]
    interval = total_of(Sizes(1_000, 1_000.0), [1.0] * 30, values)
    assert interval.expected is not None
    assert interval.high is not None
    assert interval.high - interval.expected > 1.5 * (interval.expected - interval.low)


def test_the_interval_never_goes_below_what_the_sample_took() -> None:
    values = [0.0] * 11 + [1_000.0]
    assert total_of(Sizes(13, 13.0), [1.0] * 12, values).low >= 1_000.0


def test_a_sample_that_is_too_small_is_no_sample() -> None:
    with pytest.raises(ValueError, match="at least 10"):
        total_of(Sizes(100, 100.0), [1.0] * 9, [1.0] * 9)


@pytest.mark.parametrize(("freedom", "quantile"), [(8, 2.306), (18, 2.101), (98, 1.984)])
def test_student_s_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(freedom) == pytest.approx(quantile, abs=2e-3)


def test_the_interval_covers_the_truth_in_93_of_100_skewed_populations() -> None:
    random_ = random.Random(20)
    covered = 0
    for _ in range(100):
        sizes = [random_.lognormvariate(6.5, 1.0) for _ in range(1_000)]
        costs = [size / 10 + 1.6 * min(random_.lognormvariate(4.4, 1.0), 1_024) for size in sizes]
        drawn = random_.sample(range(1_000), 60)
        interval = total_of(Sizes(1_000, sum(sizes)), [sizes[i] for i in drawn], [costs[i] for i in drawn])
        assert interval.high is not None
        covered += interval.low <= sum(costs) <= interval.high
    assert covered >= 93
