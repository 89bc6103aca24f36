"""Requests and tokens per minute on a clock that the tests turn, against providers that keep buckets of their own."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_llm.engine.limits.rate_limits import JITTER_S, WINDOW_S, RateLimits, Tokens
from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import Limits

NOTHING = Tokens(0, 0)
LATE_S = 0.001
"""A timer of the loop's rings up to so much late."""
ASKED_AT_MOST = 3_000
"""A wait of a minute and a bit, asked again at each of the log's slots, takes fewer."""


def wait_until_free(rate_limits: RateLimits, now: float, tokens: Tokens) -> float:
    """The instant at which the first in line may leave; nothing overtakes it."""
    for _ in range(ASKED_AT_MOST):
        if not (wait_s := rate_limits.wait_s(now, tokens)):
            return now
        assert now + wait_s > now
        now += wait_s
    pytest.fail(f"{tokens} still waits at {now}")


def departures(rate_limits: RateLimits, tokens: Tokens, until_s: float) -> Iterator[float]:
    """When requests of that size leave if one always waits for the next place."""
    now = 0.0
    while (now := wait_until_free(rate_limits, now, tokens)) < until_s:
        rate_limits.take(now, tokens)
        yield now


@dataclass(frozen=True, slots=True)
class Left:
    """One request that left, and the units of one limit that it took; `may_hold` is the limit at that instant."""

    at: float
    units: int
    may_hold: float = 0.0


def assert_within(left: Iterable[Left]) -> None:
    """No 60 seconds hold more than the limit at their end, but a request that is alone in them."""
    inside: list[Left] = []
    for each in left:
        inside = [earlier for earlier in inside if each.at - earlier.at <= WINDOW_S and earlier.units] + [each]
        assert sum(one.units for one in inside) <= each.may_hold + 1e-6 or len(inside) == 1, (each, inside)


# A provider's own bucket, beyond a network


@dataclass(frozen=True, slots=True)
class Sent:
    """A request on its way: what was expected of it and what it really takes."""

    at: float
    arrives_at: float
    taken: Tokens
    used: Tokens


Units = Callable[[Sent], int]


def one(sent: Sent) -> int:
    return 1


def estimated(sent: Sent) -> int:
    return sent.taken.input + sent.taken.output


def used(sent: Sent) -> int:
    return sent.used.input + sent.used.output


def sent_by(rate_limits: RateLimits, requests: Iterator[tuple[Tokens, Tokens]], latency_s: float = 2.0) -> list[Sent]:
    """Three minutes of plenty of demand, over a network with jitter, with answers settled as they come."""
    rng, order = random.Random(1), itertools.count()
    now, sent, answers = 0.0, list[Sent](), list[tuple[float, int, Sent]]()
    for taken, really in requests:
        while (wait_s := rate_limits.wait_s(now, taken)) > 0:
            woken_at = now + wait_s + rng.uniform(0, LATE_S)
            now = min(woken_at, answers[0][0]) if answers else woken_at
            while answers and answers[0][0] <= now:
                at, _, answered = heapq.heappop(answers)
                usage = Usage(input_tokens=answered.used.input, output_tokens=answered.used.output)
                rate_limits.settle(at, answered.taken, usage, answered.at)
        if now >= 180.0:
            break
        rate_limits.take(now, taken)
        sent.append(Sent(now, now + rng.uniform(0, JITTER_S), taken, really))
        heapq.heappush(answers, (now + latency_s * rng.uniform(0.5, 1.5), next(order), sent[-1]))
    return sent


def refused(sent: list[Sent], units: Units, limit: int, burst_s: float) -> int:
    """How many a provider refuses that keeps a bucket of so many seconds' worth; a full one serves any request."""
    per_second = limit / 60
    capacity = max(1.0, per_second * burst_s)
    level, as_of, refusals = capacity, 0.0, 0
    for each in sorted(sent, key=lambda one: one.arrives_at):
        level = min(capacity, level + (each.arrives_at - as_of) * per_second)
        as_of = each.arrives_at
        if level + 1e-6 < min(units(each), capacity):
            refusals += 1
        else:
            level -= units(each)
    return refusals


def share_used(sent: list[Sent], units: Units, limit: int) -> float:
    """Of the rate_limits of minutes 2 and 3."""
    return sum(units(each) for each in sent if each.at >= 60.0) / (2 * limit)


def sizes(least: int, most: int, overestimated: float = 1.0) -> Iterator[tuple[Tokens, Tokens]]:
    """Requests of random sizes, half input and half output."""
    rng = random.Random(2)
    while True:
        really = Tokens(rng.randint(least, most) // 2, rng.randint(least, most) // 2)
        yield Tokens(int(really.input * overestimated), int(really.output * overestimated)), really


@pytest.mark.parametrize("limit", [1, 7, 20, 30, 90, 240, 500, 6_000, 30_000])
def test_requests_use_the_limit_and_no_bucket_refuses_them(limit: int) -> None:
    sent = sent_by(RateLimits(Limits(requests_per_minute=limit)), itertools.repeat((NOTHING, NOTHING)))
    assert share_used(sent, one, limit) >= 0.99
    assert refused(sent, one, limit, burst_s=60.0) == 0
    assert refused(sent, one, limit, burst_s=1.0) == 0


@pytest.mark.parametrize(
    ("limit", "least", "most"), [(600_000, 100, 3_000), (2_000_000, 100, 8_000), (60_000, 500, 501)]
)
def test_reserved_tokens_use_the_limit_and_no_bucket_refuses_them(limit: int, least: int, most: int) -> None:
    sent = sent_by(RateLimits(Limits(tokens_per_minute=limit)), sizes(least, most, overestimated=1.5))
    assert share_used(sent, estimated, limit) >= 0.99
    assert refused(sent, estimated, limit, burst_s=60.0) == 0
    assert refused(sent, estimated, limit, burst_s=1.0) == 0


@pytest.mark.parametrize(("limit", "least", "most"), [(600_000, 100, 3_000), (2_000_000, 100, 8_000)])
def test_used_tokens_use_the_limit_although_a_little_too_much_was_reserved(limit: int, least: int, most: int) -> None:
    sent = sent_by(RateLimits(Limits(tokens_per_minute=limit, token_accounting="used")), sizes(least, most, 1.05))
    assert share_used(sent, used, limit) >= 0.99
    assert refused(sent, used, limit, burst_s=60.0) == 0
    assert refused(sent, used, limit, burst_s=1.0) == 0


@pytest.mark.parametrize(("requests", "tokens"), [(60, None), (None, (500, 500)), (None, (1_500, 1_500))])
def test_where_a_request_empties_a_providers_bucket_the_jitter_is_waited_out(
    requests: int | None, tokens: tuple[int, int] | None
) -> None:
    # A second's worth, or three: the next may only arrive at a full bucket, so the pause is longer by the jitter.
    rate_limits = RateLimits(Limits(requests_per_minute=requests, tokens_per_minute=60_000 if tokens else None))
    size = Tokens(*tokens) if tokens else NOTHING
    sent = sent_by(rate_limits, itertools.repeat((size, size)))
    units, limit = (estimated, 60_000) if tokens else (one, 60)
    assert refused(sent, units, limit, burst_s=1.0) == 0
    assert share_used(sent, units, limit) >= 0.98


# Never over a limit


rates = st.none() | st.integers(min_value=1, max_value=2_000)
amounts = st.integers(min_value=0, max_value=30) | st.integers(min_value=0, max_value=3_000)
shares = st.sampled_from([0.125, 0.25, 0.5, 1.0])
requests_at = st.lists(
    st.tuples(st.floats(0, 70) | st.floats(0, 0.3), amounts, amounts, st.none() | shares), min_size=1, max_size=40
)


@settings(deadline=None, max_examples=200)
@given(rates, rates, rates, rates, requests_at)
def test_no_minute_goes_over_any_limit_and_each_request_leaves_in_its_turn(
    requests: int | None,
    tokens: int | None,
    inputs: int | None,
    outputs: int | None,
    asked: list[tuple[float, int, int, float | None]],
) -> None:
    rate_limits, now = RateLimits(Limits(1, requests, tokens, 1024, inputs, outputs)), 0.0
    limits = [(requests, one), (tokens, estimated), (inputs, _input), (outputs, _output)]
    left: list[list[Left]] = [[] for _ in limits]
    debt_s = 0.0
    for pause_s, input_tokens, output_tokens, share in asked:
        now += pause_s
        rate_limits.share = share or rate_limits.share
        size = Tokens(input_tokens, output_tokens)
        free_at = wait_until_free(rate_limits, now, size)
        assert free_at - now <= max(debt_s, 61.0)
        now = free_at
        rate_limits.take(now, size)
        for (limit, units), log in zip(limits, left, strict=True):
            if limit is not None:
                taken = units(Sent(now, now, size, size))
                log.append(Left(now, taken, limit * rate_limits.share))
                debt_s = max(debt_s, (taken + 1) / (limit * 0.125 / 60) + 2.0)
    for log in left:
        assert_within(log)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(min_value=10, max_value=2_000),
    st.lists(st.tuples(amounts, st.floats(0, 1), st.floats(0, 70)), min_size=2, max_size=60),
)
def test_no_minute_goes_over_by_what_was_really_used_though_the_rest_was_given_back(
    limit: int, asked: list[tuple[int, float, float]]
) -> None:
    rate_limits, now = RateLimits(Limits(tokens_per_minute=limit, token_accounting="used")), 0.0
    left: list[Left] = []
    answers: list[tuple[float, int, Left, Tokens]] = []
    for taken, part_used, latency_s in asked:
        size = Tokens(taken, 0)
        while wait_s := rate_limits.wait_s(now, size):
            now = min([now + wait_s, *(at for at, *_ in answers[:1])])
            while answers and answers[0][0] <= now:
                _, _, answered, reserved = heapq.heappop(answers)
                rate_limits.settle(now, reserved, Usage(input_tokens=answered.units, output_tokens=0), answered.at)
        rate_limits.take(now, size)
        left.append(Left(now, int(taken * part_used), limit))
        heapq.heappush(answers, (now + latency_s, len(left), left[-1], size))
    assert_within(left)


@settings(deadline=None, max_examples=100)
@given(st.integers(min_value=1, max_value=30_000))
def test_at_no_instant_leaves_more_than_half_a_second_s_worth(limit: int) -> None:
    together = itertools.groupby(departures(RateLimits(Limits(requests_per_minute=limit)), NOTHING, 2.0))
    assert max(len(list(group)) for _, group in together) <= max(1.0, limit / 60 / 2)


def _input(sent: Sent) -> int:
    return sent.taken.input


def _output(sent: Sent) -> int:
    return sent.taken.output


# One rule each


def test_the_tighter_of_two_limits_holds() -> None:
    both = RateLimits(Limits(requests_per_minute=6_000, tokens_per_minute=6_000))
    assert len(list(departures(both, Tokens(50, 50), 60.0))) <= 60


@pytest.mark.parametrize(
    ("limits", "light", "heavy"),
    [
        (Limits(input_tokens_per_minute=6_000), Tokens(10, 9_000), Tokens(3_000, 10)),
        (Limits(output_tokens_per_minute=6_000), Tokens(9_000, 10), Tokens(10, 3_000)),
    ],
    ids=["input", "output"],
)
def test_input_and_output_have_limits_apart(limits: Limits, light: Tokens, heavy: Tokens) -> None:
    rate_limits = RateLimits(limits)
    assert rate_limits.take(0.0, light) == 0.0
    assert rate_limits.wait_s(0.0, light) == 0.0
    rate_limits = RateLimits(limits)
    assert rate_limits.take(0.0, heavy) == 0.0
    assert rate_limits.take(0.0, light) == pytest.approx(30.0, rel=0.05)


def test_a_request_larger_than_the_bucket_leaves_and_is_paid_for_afterwards() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000))
    assert rate_limits.wait_s(0.0, Tokens(3_000, 0)) == 0.0
    rate_limits.take(0.0, Tokens(3_000, 0))
    assert rate_limits.wait_s(0.0, Tokens(100, 0)) == pytest.approx(30.0, rel=0.05)


def test_a_request_larger_than_the_whole_limit_leaves_alone() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000))
    rate_limits.take(0.0, Tokens(10, 0))
    alone_at = wait_until_free(rate_limits, 0.0, Tokens(12_000, 0))
    assert 60.0 < alone_at < 60.2
    rate_limits.take(alone_at, Tokens(12_000, 0))
    assert wait_until_free(rate_limits, alone_at, Tokens(10, 0)) - alone_at == pytest.approx(120.0, rel=0.02)


def test_what_an_answer_used_beyond_its_estimate_is_charged() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000))
    rate_limits.take(0.0, Tokens(50, 50))
    rate_limits.settle(0.0, Tokens(50, 50), Usage(input_tokens=50, output_tokens=650), 0.0)
    assert rate_limits.wait_s(0.0, Tokens(50, 50)) == pytest.approx(7.0, rel=0.05)


def test_what_was_charged_late_counts_in_the_minute() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000))
    rate_limits.take(0.0, Tokens(50, 50))
    rate_limits.settle(10.0, Tokens(50, 50), Usage(input_tokens=50, output_tokens=5_950), 0.0)
    assert 70.0 < wait_until_free(rate_limits, 10.0, Tokens(100, 100)) < 70.2


def test_reserved_tokens_are_not_given_back() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000))
    rate_limits.take(0.0, Tokens(500, 500))
    rate_limits.settle(0.0, Tokens(500, 500), Usage(input_tokens=1, output_tokens=1), 0.0)
    assert rate_limits.wait_s(0.0, Tokens(50, 50)) == pytest.approx(10.0, rel=0.05)


def test_under_used_what_an_answer_did_not_use_is_given_back() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000, token_accounting="used"))
    rate_limits.take(0.0, Tokens(3_000, 3_000))
    rate_limits.settle(1.0, Tokens(3_000, 3_000), Usage(input_tokens=10, output_tokens=10), 0.0)
    assert rate_limits.wait_s(1.0, Tokens(10, 10)) == 0.0


def test_what_is_given_back_fills_the_bucket_and_no_more() -> None:
    rate_limits, second_s_worth = (
        RateLimits(Limits(tokens_per_minute=60_000, token_accounting="used")),
        Tokens(500, 500),
    )
    rate_limits.take(0.0, second_s_worth)
    rate_limits.settle(0.9, second_s_worth, Usage(input_tokens=1, output_tokens=0), 0.0)
    assert rate_limits.wait_s(0.9, second_s_worth) == pytest.approx(JITTER_S)


def test_an_answer_that_comes_after_its_minute_gives_nothing_back() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000, token_accounting="used"))
    rate_limits.take(0.0, Tokens(100, 0))
    now = wait_until_free(rate_limits, 100.0, Tokens(5_000, 0))
    rate_limits.take(now, Tokens(5_000, 0))
    rate_limits.settle(now, Tokens(100, 0), Usage(input_tokens=0), 0.0)
    assert 160.0 < wait_until_free(rate_limits, now, Tokens(1_001, 0)) < 160.2


def test_what_the_endpoint_did_not_count_is_as_estimated() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000, token_accounting="used"))
    rate_limits.take(0.0, Tokens(500, 500))
    rate_limits.settle(0.0, Tokens(500, 500), Usage(), 0.0)
    assert rate_limits.wait_s(0.0, Tokens(50, 50)) == pytest.approx(10.0, rel=0.05)


def test_a_smaller_share_slows_at_once_and_forgets_nothing() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000))
    rate_limits.take(0.0, Tokens(2_000, 0))
    rate_limits.share = 0.25
    assert rate_limits.wait_s(0.0, Tokens(100, 0)) == pytest.approx(80.0, rel=0.05)


def test_a_larger_share_quickens_at_once() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000))
    rate_limits.share = 0.25
    rate_limits.take(0.0, Tokens(1_000, 0))
    rate_limits.share = 1.0
    assert rate_limits.wait_s(0.0, Tokens(100, 0)) == pytest.approx(10.0, rel=0.1)


def test_a_larger_share_does_not_fill_the_time_before_it() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=60_000))
    rate_limits.share = 0.1
    rate_limits.take(0.0, Tokens(2_000, 0))
    rate_limits.share = 1.0
    assert rate_limits.wait_s(10.0, Tokens(2_000, 0)) > 1.0


def test_after_a_long_pause_the_log_is_empty() -> None:
    rate_limits = RateLimits(Limits(tokens_per_minute=6_000))
    rate_limits.take(0.0, Tokens(6_000, 0))
    assert rate_limits.wait_s(1e6, Tokens(6_000, 0)) == 0.0


def test_without_limits_nothing_waits() -> None:
    rate_limits, size = RateLimits(Limits()), Tokens(10**6, 10**6)
    for _ in range(1_000):
        assert rate_limits.wait_s(0.0, size) == 0.0
        rate_limits.take(0.0, size)
    rate_limits.settle(0.0, size, Usage(), 0.0)
