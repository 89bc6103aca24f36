"""Requests and tokens per minute on a clock that the tests turn."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_llm.engine.quota import WINDOW_S, Quota, estimated_tokens
from prefect_llm.records import Limits


def departures(quota: Quota, tokens: int, until_s: float) -> Iterator[float]:
    """When requests of that size leave if one always waits for the next place."""
    now = 0.0
    while (now := now + quota.wait_s(now, tokens)) < until_s:
        quota.take(now, tokens)
        yield now


@settings(deadline=None, max_examples=50)
@given(st.integers(min_value=1, max_value=3000))
def test_no_minute_holds_more_requests_than_the_limit(limit: int) -> None:
    left = list(departures(Quota(Limits(requests_per_minute=limit)), 0, 130.0))
    for start, instant in enumerate(left):
        assert bisect_left(left, instant + WINDOW_S - 1e-6) - start <= limit


@settings(deadline=None, max_examples=50)
@given(st.integers(min_value=1, max_value=600), st.lists(st.floats(0, 90), max_size=30))
def test_nor_does_any_minute_after_a_pause(limit: int, pauses_s: list[float]) -> None:
    quota, now, left = Quota(Limits(requests_per_minute=limit)), 0.0, []
    for pause_s in pauses_s:
        now += pause_s
        for _ in range(20):
            now += quota.wait_s(now, 0)
            quota.take(now, 0)
            left.append(now)
    for start, instant in enumerate(left):
        assert bisect_left(left, instant + WINDOW_S - 1e-6) - start <= limit


@pytest.mark.parametrize("limit", [1, 7, 60, 500, 6000])
def test_the_limit_is_used_in_minutes_two_and_three(limit: int) -> None:
    left = [at for at in departures(Quota(Limits(requests_per_minute=limit)), 0, 180.0) if at >= 60.0]
    assert len(left) / (2 * limit) >= 0.97


def test_tokens_leave_at_their_own_pace() -> None:
    left = list(departures(Quota(Limits(tokens_per_minute=6_000)), 100, 60.0))
    assert 55 <= len(left) <= 60


def test_the_tighter_of_two_limits_holds() -> None:
    both = Quota(Limits(requests_per_minute=6_000, tokens_per_minute=6_000))
    assert len(list(departures(both, 100, 60.0))) <= 60


def test_a_request_larger_than_the_bucket_leaves_and_is_paid_for_afterwards() -> None:
    quota = Quota(Limits(tokens_per_minute=6_000))
    assert quota.wait_s(0.0, 3_000) == 0.0
    quota.take(0.0, 3_000)
    assert quota.wait_s(0.0, 100) == pytest.approx(30.0, rel=0.05)


def test_what_an_answer_used_beyond_its_estimate_is_charged() -> None:
    quota = Quota(Limits(tokens_per_minute=6_000))
    quota.take(0.0, 100)
    quota.settle(0.0, estimated=100, used=700)
    assert quota.wait_s(0.0, 100) == pytest.approx(7.0, rel=0.05)


def test_what_an_answer_did_not_use_is_not_given_back() -> None:
    quota = Quota(Limits(tokens_per_minute=6_000))
    quota.take(0.0, 100)
    quota.settle(0.0, estimated=100, used=1)
    assert quota.wait_s(0.0, 100) > 0.9


def test_without_limits_nothing_waits() -> None:
    quota = Quota(Limits())
    for _ in range(1_000):
        assert quota.wait_s(0.0, 10**6) == 0.0
        quota.take(0.0, 10**6)


def test_an_estimate_counts_the_body_and_the_answer_at_its_longest() -> None:
    assert estimated_tokens(b"x" * 400, 50) == 150
    assert estimated_tokens(b"x" * 400, None) == 100 + 256
