"""How latencies and lengths are spread."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean, median

import pytest

from prefect_llm.simulation.distributions import parse_distribution
from prefect_llm.values.errors import InvalidInput


def drawn(text: str, count: int = 4_000) -> list[float]:
    draw = parse_distribution("--latency", text).sampler(Random(1))
    return [draw() for _ in range(count)]


def test_a_number_is_drawn_every_time() -> None:
    assert set(drawn("0.25", 10)) == {0.25}


def test_uniform_stays_between_its_bounds() -> None:
    values = drawn("uniform:1,3")
    assert 1 <= min(values) < 1.1 < 2.9 < max(values) <= 3


def test_normal_has_its_mean_and_never_falls_below_zero() -> None:
    assert fmean(drawn("normal:5,1")) == pytest.approx(5, rel=0.02)
    assert min(drawn("normal:0,1")) == 0


def test_lognormal_has_its_median_and_exponential_its_mean() -> None:
    assert median(drawn("lognormal:2,0.5")) == pytest.approx(2, rel=0.05)
    assert fmean(drawn("exponential:3")) == pytest.approx(3, rel=0.05)


def test_a_spread_without_measure_gives_numbers_all_the_same() -> None:
    assert all(math.isfinite(value) for value in drawn("lognormal:1,100000", 100))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fast", "expected a number, uniform:A,B"),
        ("", "expected a number"),
        ("1,2", "expected a number"),
        ("gamma:1,2", "expected a number"),
        ("normal:1", "expected normal:MEAN,SD"),
        ("exponential:1,2", "expected exponential:MEAN"),
        ("uniform:a,b", "expected a number"),
        ("uniform:3,1", "A must not be above B"),
        ("-1", "finite and at least 0"),
        ("nan", "finite and at least 0"),
        ("inf", "finite and at least 0"),
        ("exponential:0", "above 0"),
        ("lognormal:0,1", "above 0"),
    ],
)
def test_anything_else_is_refused_with_what_was_expected(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^--latency '{text}': .*{why}"):
        parse_distribution("--latency", text)
