"""The adaptive concurrency, by tables and by simulation on a clock of its own: no server, no sleep."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.engine.adaptive import AdaptiveConcurrency
from prefect_llm.engine.controller import Control, Observation, decide

GROWING = Control(100, 1024, at_rest_s=1.0)
STEADY = replace(GROWING, slow_start=False)


def seen(latency_s: float | None = 1.0, *, answers: int = 100, pushed_back: int = 0, peak: int = 100) -> Observation:
    """An interval without noise."""
    return Observation(answers, pushed_back, latency_s, 0.0, peak)


@pytest.mark.parametrize(
    ("control", "observation", "concurrency"),
    [
        (GROWING, seen(), 160),
        (STEADY, seen(), 108),
        (STEADY, seen(1.2), 100),
        (STEADY, seen(2.0), 56),
        (STEADY, seen(5.0), 50),
        (STEADY, seen(pushed_back=3), 70),
        (STEADY, seen(pushed_back=1), 108),
        (STEADY, seen(peak=50), 100),
        (STEADY, seen(answers=10), 100),
        (STEADY, seen(None, answers=0), 100),
        (replace(STEADY, ceiling=104), seen(), 104),
        (replace(STEADY, settling=True), seen(9.0), 100),
        (Control(1, 1024, slow_start=False), seen(pushed_back=50), 1),
    ],
    ids=[
        "slow start",
        "growth",
        "between the two ratios",
        "queueing",
        "at most half at once",
        "pushed back",
        "one fault in a hundred",
        "not used",
        "too few answers",
        "no answers",
        "the ceiling",
        "settling",
        "never below one",
    ],
)
def test_the_decision(control: Control, observation: Observation, concurrency: int) -> None:
    assert decide(control, observation).concurrency == concurrency


def test_noise_widens_what_counts_as_queueing() -> None:
    noisy = replace(seen(1.4), noise=0.2)
    assert decide(STEADY, seen(1.4)).concurrency < 100
    assert decide(STEADY, noisy).concurrency >= 100


def test_noise_is_the_standard_error_of_the_median() -> None:
    assert Observation.of([1.0] * 50, 0, 50).noise == 0
    spread = Observation.of([0.5, 1.0, 1.5] * 12, 0, 50)
    assert spread.noise == pytest.approx(1.25 * 1.0 / 1.35 / 6, rel=0.05)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 100), st.integers(0, 200), st.integers(0, 50), st.integers(0, 2000)), max_size=60
    ),
    st.integers(1, 2000),
)
def test_the_concurrency_stays_between_one_and_the_ceiling(
    intervals: list[tuple[float, int, int, int]], ceiling: int
) -> None:
    control = Control.start(ceiling)
    for latency_s, answers, pushed_back, peak in intervals:
        control = decide(control, Observation(answers + pushed_back, pushed_back, latency_s, 0.1, peak))
        assert 1 <= control.concurrency <= ceiling


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a simulation."""

    at_s: int
    throughput: int
    p95_s: float
    concurrency: int


def simulated(
    knee: Callable[[float], int],
    seconds: int,
    *,
    latency_s: Callable[[float], float] = lambda _: 0.3,
    spread: float = 0.1,
) -> list[Second]:
    """An opaque endpoint that serves `knee` requests at once and queues the rest, asked without end."""
    chance, adaptive = random.Random(1), AdaptiveConcurrency(1024)
    serving: list[tuple[float, float]] = []
    queue: deque[float] = deque()
    history: list[Second] = []
    latencies: list[float] = []
    now = 0.0
    while len(history) < seconds:
        while len(serving) + len(queue) < adaptive.concurrency:
            queue.append(now)
            adaptive.left(now, len(serving) + len(queue))
        while queue and len(serving) < knee(now):
            took_s = latency_s(now) * chance.lognormvariate(0, spread)
            heapq.heappush(serving, (now + took_s, queue.popleft()))
        now, sent = heapq.heappop(serving)
        if now >= len(history) + 1:
            p95_s = quantiles(latencies, n=20)[-1] if len(latencies) > 1 else 0.0
            history.append(Second(len(history), len(latencies), p95_s, adaptive.concurrency))
            latencies = []
        latencies.append(now - sent)
        adaptive.answered(now, now - sent)
    return history


def test_an_opaque_knee_is_found_within_15_seconds_and_not_overrun() -> None:
    history = simulated(lambda _: 200, 60)
    best = max(second.throughput for second in history)
    assert next(second.at_s for second in history if second.throughput >= 0.9 * best) < 15
    at_the_knee_s = 0.3 * 1.18  # p95 of the latency alone
    assert max(second.p95_s for second in history[15:]) < 1.5 * at_the_knee_s


def test_a_knee_that_falls_and_returns_is_followed_both_ways() -> None:
    history = simulated(lambda now: 50 if 30 <= now < 70 else 200, 110)
    low = history[45:70]
    assert min(second.throughput for second in low) > 0.85 * 50 / 0.3
    assert max(second.p95_s for second in low) < 0.6
    assert min(second.throughput for second in history[95:]) > 0.9 * 200 / 0.3


def test_an_endpoint_that_became_slower_for_good_is_believed() -> None:
    history = simulated(lambda _: 200, 100, latency_s=lambda now: 0.3 if now < 30 else 0.6)
    assert min(second.throughput for second in history[70:]) > 0.85 * 200 / 0.6


def test_slow_answers_of_very_different_length_still_let_it_grow() -> None:
    history = simulated(lambda _: 200, 240, latency_s=lambda _: 3.0, spread=0.6)
    mean = sum(second.throughput for second in history[60:]) / len(history[60:])
    assert mean > 0.6 * 200 / 3.6
