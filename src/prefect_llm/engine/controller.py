"""How many requests to hold in flight at an endpoint that says nothing of its capacity.

A decision is a pure function of what was observed over one interval: grow while answers come as fast as at
rest, shrink when they queue or when the endpoint pushes back. The aim is the knee, where throughput stops
growing and only latency does.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

FIRST_CONCURRENCY = 16
SLOW_START_GROWTH = 1.6
"""Per interval, until the first sign of a limit."""
GROWTH = 1.08
"""Per interval afterwards: a capacity that returns fourfold is found again in about 20 intervals."""
QUEUEING = 1.25
"""Median latency over that at rest above which requests are queueing somewhere: the knee is behind."""
GENTLY = 1.12
"""Below that ratio there is room to grow; between the two the concurrency stays."""
PUSHED_BACK = 0.7
"""What is left after an interval with 429s, timeouts or faults."""
PUSHED_BACK_SHARE = 0.02
"""Share of answers that were 429s, timeouts or faults, above which the endpoint pushes back."""
SHRUNK_IN_VAIN = 3
"""So many times in a row, latency as high as before: the endpoint itself became slower, nothing queues."""
REST_FALLS_BY = 0.5
"""Share of the way to a lower median: one lucky interval is not the latency at rest."""
NOISE_ALLOWED = 2.0
"""Standard errors of the median by which the two ratios above are widened."""
ENOUGH_ANSWERS = 20
"""An interval with fewer answers decides nothing about latency."""
LEAST_USE = 0.8
"""Concurrency that was not used says nothing about more of it."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One interval: answers that came, how many were refusals to serve, and the use that was made.

    `median_latency_s` is of good answers, `None` without any, and `noise` the standard error of that median as
    a share of it; `peak_in_flight` is the most that were under way.
    """

    answers: int
    pushed_back: int
    median_latency_s: float | None
    noise: float
    peak_in_flight: int

    @classmethod
    def of(cls, latencies_s: Sequence[float], pushed_back: int, peak_in_flight: int) -> Observation:
        """From the latencies of an interval's good answers; noise by their interquartile range."""
        count = len(latencies_s)
        answers = count + pushed_back
        if count < 2:
            return cls(answers, pushed_back, latencies_s[0] if count else None, math.inf, peak_in_flight)
        low, median, high = statistics.quantiles(latencies_s, n=4, method="inclusive")
        # the standard error of a median is 1.25 deviations / sqrt(n); the quartiles lie 1.35 deviations apart
        noise = 1.25 * (high - low) / 1.35 / math.sqrt(count) / median if median else 0.0
        return cls(answers, pushed_back, median, noise, peak_in_flight)


@dataclass(frozen=True, slots=True)
class Control:
    """What the controller carries from one interval to the next.

    `at_rest_s` is the median latency without queueing; `shrunk_at_s` the one at the first of `shrunk` shrinks
    in a row; `settling` says that the last interval's answers were still sent under another concurrency.
    """

    concurrency: int
    ceiling: int
    at_rest_s: float | None = None
    slow_start: bool = True
    shrunk: int = 0
    shrunk_at_s: float = 0.0
    settling: bool = False

    @classmethod
    def start(cls, ceiling: int) -> Control:
        """Before the first answer."""
        return cls(min(FIRST_CONCURRENCY, ceiling), ceiling)


def decide(control: Control, seen: Observation) -> Control:
    """The control for the next interval."""
    if seen.answers and seen.pushed_back / seen.answers > PUSHED_BACK_SHARE:
        return replace(_fewer(control, PUSHED_BACK), shrunk=0)
    if seen.median_latency_s is None or seen.answers - seen.pushed_back < ENOUGH_ANSWERS:
        return control
    if control.settling:
        return replace(control, settling=False)
    control = _rested(control, seen.median_latency_s)
    ratio = seen.median_latency_s / (control.at_rest_s or seen.median_latency_s)
    tolerance = NOISE_ALLOWED * seen.noise
    if ratio > QUEUEING + tolerance:
        return _shrunk(control, ratio, seen.median_latency_s)
    if ratio > GENTLY + tolerance:
        return replace(control, slow_start=False, shrunk=0)
    grows = seen.peak_in_flight >= LEAST_USE * control.concurrency
    return replace(_more(control) if grows else control, shrunk=0)


def _rested(control: Control, latency_s: float) -> Control:
    """Learn the latency at rest; a greater one is believed where shrinking did not better it, and growth restarts."""
    if control.at_rest_s is None:
        return replace(control, at_rest_s=latency_s)
    if control.shrunk >= SHRUNK_IN_VAIN and latency_s > control.shrunk_at_s / GENTLY:
        return replace(control, at_rest_s=latency_s, slow_start=True)
    if latency_s < control.at_rest_s:
        return replace(control, at_rest_s=control.at_rest_s + REST_FALLS_BY * (latency_s - control.at_rest_s))
    return control


def _more(control: Control) -> Control:
    factor = SLOW_START_GROWTH if control.slow_start else GROWTH
    wanted = max(math.ceil(control.concurrency * factor), control.concurrency + 1)
    return replace(control, concurrency=min(wanted, control.ceiling))


def _fewer(control: Control, factor: float) -> Control:
    fewer = max(int(control.concurrency * factor), 1)
    return replace(control, concurrency=fewer, slow_start=False, settling=True)


def _shrunk(control: Control, ratio: float, latency_s: float) -> Control:
    first_s = control.shrunk_at_s if control.shrunk else latency_s
    return replace(_fewer(control, max(GENTLY / ratio, 0.5)), shrunk=control.shrunk + 1, shrunk_at_s=first_s)
