"""The adaptive concurrency, by tables and by simulation on a clock of its own: no server, no sleep."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_llm.engine.limits.concurrency import AdaptiveConcurrency
from prefect_llm.engine.limits.concurrency_controller import Control, FaultsAtRest, Observation, decide

GROWING = Control(100, 1024, at_rest_s=1.0)
STEADY = replace(GROWING, slow_start=False)
REFUSED_AFTER_S = 0.05


def seen(
    latency_s: float | None = 1.0, *, good: int = 100, throttled: int = 0, faults: int = 0, peak: int = 100
) -> Observation:
    """An interval of one second without noise."""
    return Observation(good, throttled, faults, latency_s, 0.0, peak, 1.0)


@pytest.mark.parametrize(
    ("control", "observation", "concurrency"),
    [
        (GROWING, seen(), 160),
        (STEADY, seen(), 108),
        (STEADY, seen(1.2), 100),
        (STEADY, seen(2.0), 56),
        (STEADY, seen(5.0), 50),
        (STEADY, seen(throttled=3), 70),
        (STEADY, seen(throttled=1), 108),
        (STEADY, seen(good=30, throttled=1), 108),
        (STEADY, seen(good=30, throttled=2), 70),
        (STEADY, seen(None, good=0, throttled=1), 70),
        (STEADY, seen(faults=10), 70),
        (STEADY, seen(faults=1), 108),
        (replace(STEADY, faults_at_rest=FaultsAtRest(0.3, 1000)), seen(good=70, faults=30), 108),
        (replace(STEADY, faults_at_rest=FaultsAtRest(0.3, 1000)), seen(good=50, faults=50), 70),
        (STEADY, seen(peak=50), 100),
        (STEADY, seen(good=10), 100),
        (replace(STEADY, ceiling=104), seen(), 104),
        (replace(STEADY, settling=True), seen(9.0), 100),
        (replace(STEADY, settling=True), seen(throttled=50), 100),
        (Control(1, 1024, slow_start=False), seen(throttled=50), 1),
    ],
    ids=[
        "slow start",
        "growth",
        "between the two ratios",
        "queueing",
        "at most half at once",
        "throttled",
        "one 429 in a hundred",
        "a single 429",
        "two in thirty",
        "nothing but a 429",
        "faults",
        "one fault in a hundred",
        "as many faults as at rest",
        "more faults than at rest",
        "not used",
        "too few answers",
        "the ceiling",
        "settling",
        "settling after a 429",
        "never below one",
    ],
)
def test_the_concurrency_follows_what_was_observed(
    control: Control, observation: Observation, concurrency: int
) -> None:
    assert decide(control, observation).concurrency == concurrency


def test_noise_widens_what_counts_as_queueing() -> None:
    noisy = replace(seen(1.4), noise=0.2)
    assert decide(STEADY, seen(1.4)).concurrency < 100
    assert decide(STEADY, noisy).concurrency >= 100


def test_noise_is_the_standard_error_of_the_median() -> None:
    assert Observation.of([1.0] * 50, 0, 0, 50, 1.0).noise == 0
    spread = Observation.of([0.5, 1.0, 1.5] * 12, 0, 0, 50, 1.0)
    assert spread.noise == pytest.approx(1.25 * 1.0 / 1.35 / 6, rel=0.05)


COUNTS = st.integers(0, 200)
OBSERVATIONS = st.builds(
    Observation, COUNTS, COUNTS, COUNTS, st.floats(0.01, 100), st.just(0.1), st.integers(0, 2000), st.floats(1, 60)
)


@given(st.lists(OBSERVATIONS, max_size=60), st.integers(1, 2000))
def test_the_concurrency_stays_between_one_and_the_ceiling(intervals: list[Observation], ceiling: int) -> None:
    control = Control.start(ceiling)
    for observation in intervals:
        control = decide(control, observation)
        assert 1 <= control.concurrency <= ceiling
        assert 0 <= control.faults_at_rest.share <= 1


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
    failing: float = 0.0,
    refuses: bool = False,
    seed: int = 1,
) -> list[Second]:
    """An opaque endpoint that serves `knee` requests at once, asked without end.

    The rest queue, or where it `refuses` they fail at once; of those served, a share is `failing`.
    """
    chance, adaptive = random.Random(seed), AdaptiveConcurrency(1024, timeout_s=120.0)
    serving: list[tuple[float, float]] = []
    queue: deque[float] = deque()
    history: list[Second] = []
    latencies: list[float] = []
    now = 0.0
    while len(history) < seconds:
        opens_at = math.inf
        while (place := len(serving) + len(queue) + 1) <= adaptive.concurrency:
            opens_at = adaptive.ramp.opens_at(place) if adaptive.ramp is not None else now
            if opens_at > now:
                break
            queue.append(now)
            adaptive.left(now, place)
            if refuses and len(queue) + len(serving) > knee(now):
                heapq.heappush(serving, (now + REFUSED_AFTER_S, -queue.pop()))
        while queue and len(serving) < knee(now):
            took_s = latency_s(now) * chance.lognormvariate(0, spread)
            heapq.heappush(serving, (now + took_s, queue.popleft()))
        if opens_at < serving[0][0]:
            now = opens_at
            continue
        now, sent = heapq.heappop(serving)
        if now >= len(history) + 1:
            p95_s = quantiles(latencies, n=20)[-1] if len(latencies) > 1 else 0.0
            history.append(Second(len(history), len(latencies), p95_s, adaptive.concurrency))
            latencies = []
        if sent < 0 or chance.random() < failing:
            adaptive.faulted(now)
        else:
            latencies.append(now - sent)
            adaptive.answered(now, now - sent)
    return history


@pytest.mark.parametrize(("spread", "p95_at_the_knee"), [(0.0, 1.0), (0.1, 1.18), (0.4, 1.93)])
def test_an_opaque_knee_is_found_within_15_seconds_and_not_overrun(spread: float, p95_at_the_knee: float) -> None:
    history = simulated(lambda _: 200, 60, spread=spread)
    best = max(second.throughput for second in history)
    assert next(second.at_s for second in history if second.throughput >= 0.9 * best) < 15
    assert max(second.p95_s for second in history[15:]) < 1.5 * 0.3 * p95_at_the_knee


@pytest.mark.parametrize("failing", [0.05, 0.1, 0.3])
def test_faults_that_come_at_any_concurrency_do_not_hold_it_down(failing: float) -> None:
    history = simulated(lambda _: 200, 60, failing=failing)
    assert min(second.throughput for second in history[30:]) > 0.85 * (1 - failing) * 200 / 0.3


@pytest.mark.parametrize("failing", [0.0, 0.1])
def test_an_endpoint_that_refuses_what_is_too_much_is_not_pushed_on(failing: float) -> None:
    history = simulated(lambda _: 200, 120, refuses=True, failing=failing)
    settled = history[60:]
    assert max(second.concurrency for second in settled) < 1.2 * 200
    assert sum(second.throughput for second in settled) / len(settled) > 0.65 * (1 - failing) * 200 / 0.3


def test_faults_at_rest_that_end_are_forgotten() -> None:
    control = replace(STEADY, faults_at_rest=FaultsAtRest(0.3, 1000))
    for _ in range(3):
        control = decide(control, seen(faults=0))
    assert control.faults_at_rest.share < 0.01
    assert decide(control, seen(good=70, faults=30)).concurrency < control.concurrency


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


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("failing", [0.0, 0.01])
def test_answers_of_very_different_length_never_talk_it_down(seed: int, failing: float) -> None:
    """Its first answers are the fast ones: taken for the latency at rest, they made all others look queued."""
    history = simulated(lambda _: 10_000, 150, latency_s=lambda _: 3.0, spread=0.5, failing=failing, seed=seed)
    assert min(second.concurrency for second in history[60:]) > 100
    assert history[-1].concurrency > 900
