"""The account's rates, on a clock that the tests turn."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_llm.simulation.buckets import WINDOW_S, Buckets, Rates

ASKS = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 400), st.integers(1, 400)), max_size=120)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 5_000), st.sampled_from([1.0, 10.0, 60.0]), ASKS)
def test_no_window_admits_more_than_a_full_bucket_and_its_refill(
    limit: int, burst_s: float, asks: list[tuple[float, int, int]]
) -> None:
    buckets, now, admitted = Buckets(Rates(tokens=limit, burst_s=burst_s)), 0.0, list[tuple[float, int]]()
    for pause_s, input_tokens, output_tokens in asks:
        now += pause_s
        if buckets.admit(now, input_tokens, output_tokens) is None:
            admitted.append((now, input_tokens + output_tokens))
    for start, (first, _) in enumerate(admitted):
        taken = 0
        for at, tokens in admitted[start:]:
            taken += tokens
            assert taken <= limit / WINDOW_S * (burst_s + at - first) + 0.01


@settings(deadline=None)
@given(st.integers(1, 5_000), ASKS)
def test_who_waits_as_long_as_told_is_admitted_and_not_a_moment_before(
    limit: int, asks: list[tuple[float, int, int]]
) -> None:
    buckets, now = Buckets(Rates(tokens=limit)), 0.0
    for pause_s, input_tokens, output_tokens in asks:
        now += pause_s
        shortage = buckets.admit(now, input_tokens, output_tokens)
        if shortage is None or math.isinf(shortage.wait_s):
            continue
        assert buckets.admit(now + shortage.wait_s * 0.99 - 0.001, input_tokens, output_tokens) is not None
        now += shortage.wait_s
        assert buckets.admit(now, input_tokens, output_tokens) is None


def test_a_refused_request_takes_nothing_from_any_bucket() -> None:
    buckets = Buckets(Rates(requests=60, tokens=100))
    assert buckets.admit(0.0, 50, 0) is None
    assert all(buckets.admit(0.0, 51, 0) is not None for _ in range(100))
    assert buckets.by_name["requests"].missing(0.0) == 1
    assert buckets.admit(0.0, 50, 0) is None


def test_the_bucket_that_lacks_longest_is_named() -> None:
    buckets = Buckets(Rates(requests=1, tokens=600))
    assert buckets.admit(0.0, 600, 0) is None
    shortage = buckets.admit(0.0, 100, 0)
    assert shortage is not None
    assert (shortage.of, shortage.wait_s) == ("requests", 60)


def test_a_request_larger_than_the_bucket_never_fits() -> None:
    shortage = Buckets(Rates(tokens=6_000, burst_s=1.0)).admit(0.0, 60, 41)
    assert shortage is not None
    assert (shortage.of, shortage.requested, shortage.wait_s) == ("tokens", 101, math.inf)


def test_a_bucket_of_requests_holds_at_least_one() -> None:
    buckets = Buckets(Rates(requests=6, burst_s=1.0))
    assert buckets.admit(0.0, 0, 0) is None
    shortage = buckets.admit(0.0, 0, 0)
    assert shortage is not None
    assert shortage.wait_s == 10


def test_input_and_output_have_buckets_of_their_own() -> None:
    buckets = Buckets(Rates(input_tokens=100, output_tokens=10))
    assert buckets.admit(0.0, 90, 10) is None
    shortage = buckets.admit(0.0, 10, 1)
    assert shortage is not None
    assert shortage.of == "output-tokens"


@pytest.mark.parametrize(("accounting", "back"), [("reserved", 0), ("used", 40)])
def test_what_was_not_used_comes_back_only_where_usage_counts(accounting: str, back: int) -> None:
    buckets = Buckets(Rates(tokens=100, output_tokens=100, accounting="used" if accounting == "used" else "reserved"))
    assert buckets.admit(0.0, 50, 50) is None
    assert buckets.settle(0.0, reserved=50, used=10) == back
    assert buckets.by_name["tokens"].missing(0.0) == 100 - back
    assert buckets.by_name["output-tokens"].missing(0.0) == 50 - back


def test_what_comes_back_never_overfills() -> None:
    buckets = Buckets(Rates(tokens=100, accounting="used"))
    assert buckets.admit(0.0, 0, 100) is None
    buckets.settle(60.0, reserved=100, used=0)
    assert buckets.by_name["tokens"].missing(60.0) == 0
