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
"""Share of answers that were 429s, timeouts or faults, above those at rest, with which the endpoint pushes back."""
SHRUNK_IN_VAIN = 3
"""So many times in a row without effect: the endpoint itself became slower, or fails so often at any concurrency."""
REST_FALLS_BY = 0.5
"""Share of the way to a lower median: one lucky interval is not the latency at rest."""
NOISE_ALLOWED = 2.0
"""Standard errors of the median by which the two ratios above are widened."""
CHANCE_ALLOWED = 3.0
"""Standard errors of a share of faults that are no sign of more."""
REMEMBERED_ANSWERS = 1000
"""The share of faults at rest is that of about this many answers."""
ENOUGH_ANSWERS, MOST_ANSWERS = 20, 200
"""With fewer than the first an interval decides nothing about latency; none waits for more than the second."""
PRECISE = 0.08
"""The standard error that an interval waits for, as a share of its median."""
REST_REMEMBERED = 300
"""The latency at rest is learnt from this many answers; then it only falls, or is learnt again."""
LEAST_USE = 0.8
"""Concurrency that was not used says nothing about more of it."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One interval of `lasted_s` seconds: good answers, 429s, and timeouts or server's faults.

    `median_latency_s` is of good answers, `None` without any, and `noise` the standard error of that median as
    a share of it; `peak_in_flight` is the most that were in flight.
    """

    good: int
    throttled: int
    faults: int
    median_latency_s: float | None
    noise: float
    peak_in_flight: int
    lasted_s: float

    @classmethod
    def of(
        cls, latencies_s: Sequence[float], throttled: int, faults: int, peak_in_flight: int, lasted_s: float
    ) -> Observation:
        """From the latencies of an interval's good answers; noise by their interquartile range."""
        good = len(latencies_s)
        if good < 2:
            median_s = latencies_s[0] if good else None
            return cls(good, throttled, faults, median_s, math.inf, peak_in_flight, lasted_s)
        low, median, high = statistics.quantiles(latencies_s, n=4, method="inclusive")
        # the standard error of a median is 1.25 deviations / sqrt(n); the quartiles lie 1.35 deviations apart
        noise = 1.25 * (high - low) / 1.35 / math.sqrt(good) / median if median else 0.0
        return cls(good, throttled, faults, median, noise, peak_in_flight, lasted_s)

    @property
    def enough(self) -> int:
        """So many good answers would have been precise."""
        wanted = self.good * (self.noise / PRECISE) ** 2 if math.isfinite(self.noise) else 0.0
        return min(max(math.ceil(wanted), ENOUGH_ANSWERS), MOST_ANSWERS)

    @property
    def answers(self) -> int:
        """Of whatever kind."""
        return self.good + self.throttled + self.faults

    @property
    def served(self) -> int:
        """Answers that were no 429."""
        return self.good + self.faults

    @property
    def fault_share(self) -> float:
        """Timeouts and server's faults among those served."""
        return self.faults / max(self.served, 1)

    @property
    def throughput(self) -> float:
        """Good answers per second."""
        return self.good / self.lasted_s


@dataclass(frozen=True, slots=True)
class Shrinks:
    """Shrinks in a row: how many, and what was seen before the first."""

    count: int
    concurrency: int
    latency_s: float | None
    throughput: float


@dataclass(frozen=True, slots=True)
class FaultsAtRest:
    """The share of answers that fail at any concurrency, and from how many answers that is known."""

    share: float
    answers: float

    def exceeded(self, seen: Observation) -> bool:
        """Whether more fails than at rest, and more than chance: by the errors of both shares."""
        return seen.fault_share > self.share + PUSHED_BACK_SHARE + self._chance(seen)

    def with_seen(self, seen: Observation) -> FaultsAtRest:
        """The mean with what was seen; much less than the share itself is the new rest."""
        if seen.fault_share < self.share - self._chance(seen):
            return FaultsAtRest(seen.fault_share, seen.served)
        known = self.answers + seen.served
        share = self.share + (seen.fault_share - self.share) * seen.served / known
        return FaultsAtRest(share, min(known, REMEMBERED_ANSWERS))

    def _chance(self, seen: Observation) -> float:
        share = max(self.share, PUSHED_BACK_SHARE)
        return CHANCE_ALLOWED * math.sqrt(share * (1 - share) * (1 / max(seen.served, 1) + 1 / self.answers))


NO_FAULTS = FaultsAtRest(0.0, 100)
"""Before the first answer: an endpoint is taken for a good one."""


@dataclass(frozen=True, slots=True)
class Control:
    """What the controller carries from one interval to the next.

    `at_rest_s` is the median latency without queueing, learnt from `at_rest_of` answers. `settling` says that the
    last interval's answers say nothing of latency: they were sent under another concurrency, or are the first, of
    which the fast ones come before the slow. So they do after growth (`grew`), which therefore never lowers the rest.
    """

    concurrency: int
    ceiling: int
    at_rest_s: float | None = None
    at_rest_of: int = 0
    faults_at_rest: FaultsAtRest = NO_FAULTS
    slow_start: bool = True
    shrinks: Shrinks | None = None
    settling: bool = False
    grew: bool = False

    @classmethod
    def start(cls, ceiling: int) -> Control:
        """Before the first answer."""
        return cls(min(FIRST_CONCURRENCY, ceiling), ceiling, settling=True)


def decide(control: Control, seen: Observation) -> Control:
    """The control for the next interval."""
    if control.settling:
        control = replace(control, settling=False)
        return _faults_learnt(control, seen) if control.at_rest_s is None else control

    if seen.throttled > max(PUSHED_BACK_SHARE * seen.answers, 1 if seen.served else 0):
        return replace(_fewer(control, PUSHED_BACK), shrinks=None)
    control = _faults_learnt(control, seen)
    if control.faults_at_rest.exceeded(seen):
        return _shrunk(control, PUSHED_BACK, seen)
    if seen.median_latency_s is None or seen.good < ENOUGH_ANSWERS:
        return control

    control = replace(_rested(control, seen, seen.median_latency_s), grew=False)
    ratio = seen.median_latency_s / (control.at_rest_s or seen.median_latency_s)
    tolerance = NOISE_ALLOWED * seen.noise
    if ratio > QUEUEING + tolerance:
        return _shrunk(control, max(GENTLY / ratio, 0.5), seen)
    if ratio > GENTLY + tolerance:
        return replace(control, slow_start=False, shrinks=None)
    grows = seen.peak_in_flight >= LEAST_USE * control.concurrency
    return replace(_more(control) if grows else control, shrinks=None)


def _faults_learnt(control: Control, seen: Observation) -> Control:
    """Learn how many fail at rest; more are believed where shrinking only cost throughput, and all is as before it.

    Past its capacity an endpoint answers as many with fewer in flight; where faults come by chance it answers
    fewer in proportion. What is nearer to that is taken for it.
    """
    if not control.faults_at_rest.exceeded(seen):
        return replace(control, faults_at_rest=control.faults_at_rest.with_seen(seen))
    first, at_rest = control.shrinks, FaultsAtRest(seen.fault_share, seen.served)
    if first is None or first.count < SHRUNK_IN_VAIN:
        return control
    if seen.throughput >= first.throughput * math.sqrt(control.concurrency / first.concurrency):
        return control
    return replace(control, concurrency=first.concurrency, faults_at_rest=at_rest, slow_start=True, shrinks=None)


def _rested(control: Control, seen: Observation, latency_s: float) -> Control:
    """Learn the latency at rest; a greater one is believed where shrinking did not better it, and growth restarts."""
    at_rest_s, first = control.at_rest_s, control.shrinks
    if at_rest_s is None:
        return replace(control, at_rest_s=latency_s, at_rest_of=seen.good)

    shrunk_from_s = first.latency_s if first is not None and first.count >= SHRUNK_IN_VAIN else None
    if shrunk_from_s is not None and latency_s > shrunk_from_s / GENTLY:
        return replace(control, at_rest_s=latency_s, at_rest_of=seen.good, slow_start=True)
    if control.grew:
        return control
    if control.at_rest_of < REST_REMEMBERED and abs(latency_s / at_rest_s - 1) <= NOISE_ALLOWED * seen.noise:
        known = control.at_rest_of + seen.good
        mean_s = at_rest_s + (latency_s - at_rest_s) * seen.good / known
        return replace(control, at_rest_s=mean_s, at_rest_of=known)
    if latency_s < at_rest_s:
        return replace(control, at_rest_s=at_rest_s + REST_FALLS_BY * (latency_s - at_rest_s))
    return control


def _more(control: Control) -> Control:
    factor = SLOW_START_GROWTH if control.slow_start else GROWTH
    wanted = max(math.ceil(control.concurrency * factor), control.concurrency + 1)
    return replace(control, concurrency=min(wanted, control.ceiling), grew=True)


def _fewer(control: Control, factor: float) -> Control:
    fewer = max(int(control.concurrency * factor), 1)
    return replace(control, concurrency=fewer, slow_start=False, settling=True)


def _shrunk(control: Control, factor: float, seen: Observation) -> Control:
    first = control.shrinks or Shrinks(0, control.concurrency, seen.median_latency_s, seen.throughput)
    return replace(_fewer(control, factor), shrinks=replace(first, count=first.count + 1))
