"""Measures intervals and lets the controller decide: the state between `controller.decide` and the engine."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.engine.limits.concurrency_controller import ENOUGH_ANSWERS, Control, Observation, decide
from prefect_llm.engine.limits.opening import Opening

SHORTEST_INTERVAL_S = 1.0
LONGEST_RAMP_S = 1.0
"""Growth is spread over an answer's time, but answers that take long differ enough to spread by themselves."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """Growth spread evenly over time: what leaves as a burst comes back as one, and queues as one."""

    start: int
    end: int
    began: float
    lasts_s: float

    def opens_at(self, slot: int) -> float:
        """The instant from which `slot` requests may be in flight."""
        if slot <= self.start:
            return self.began
        return self.began + self.lasts_s * (slot - self.start) / (self.end - self.start)


class AdaptiveConcurrency:
    """How many requests may be in flight, found while they are. Instants in seconds of any steady clock.

    `concurrency` is as decided last; `ramp` how it is reached, if it was raised. An attempt lasts at most
    `timeout_s`.
    """

    def __init__(self, ceiling: int, timeout_s: float) -> None:
        self.ramp: Ramp | None = None
        self._control = Control.start(ceiling)
        self._opening = Opening(self._control.concurrency, timeout_s)
        self._when_last_answered = self._control
        self._latencies_s: list[float] = []
        self._throttled = 0
        self._faults = 0
        self._peak_in_flight = 0
        self._began: float | None = None
        self._enough = ENOUGH_ANSWERS

    @property
    def concurrency(self) -> int:
        """As decided last."""
        decided = self._control.concurrency
        return decided if self._opening.over else min(decided, self._opening.slots)

    def left(self, now: float, in_flight: int) -> None:
        """A request left; `in_flight` counts it, too."""
        self._began = now if self._began is None else self._began
        self._peak_in_flight = max(self._peak_in_flight, in_flight)

    def answered(self, now: float, latency_s: float) -> None:
        """A good answer came."""
        self._latencies_s.append(latency_s)
        if not self._opening.over:
            self._open_further(now, latency_s)
        self._end_interval(now)
        self._when_last_answered = self._control

    def throttled(self, now: float) -> None:
        """A 429 came."""
        self._throttled += 1
        self._opening.throttled()
        self._end_interval(now)

    def faulted(self, now: float, *, timed_out: bool = False) -> None:
        """A timeout or a server's fault came instead of an answer."""
        self._faults += 1
        if timed_out and not self._opening.over:
            self._opening.timed_out()
        self._end_interval(now)

    def outage(self) -> None:
        """What failed since the last good answer was an outage: take its decisions back, and measure again."""
        self._control = self._when_last_answered
        self._begin_interval(None)

    def _open_further(self, now: float, latency_s: float) -> None:
        self._opening.answered(now, latency_s)
        if self._opening.over:
            self._begin_interval(now)  # what came before was asked with fewer in flight

    def _begin_interval(self, now: float | None) -> None:
        self._latencies_s, self._throttled, self._faults = [], 0, 0
        self._peak_in_flight, self._began = 0, now

    def _end_interval(self, now: float) -> None:
        """An interval lasts as long as an answer does, and until it has seen enough."""
        at_least_s = max(SHORTEST_INTERVAL_S, self._control.at_rest_s or 0.0)
        if self._began is None or now - self._began < at_least_s:
            return
        if self._throttled < 2 and max(len(self._latencies_s) - self._enough, self._faults - ENOUGH_ANSWERS) < 0:
            return
        lasted_s = now - self._began
        seen = Observation.of(self._latencies_s, self._throttled, self._faults, self._peak_in_flight, lasted_s)
        self._enough = seen.enough
        before, self._control = self._control, decide(self._control, seen)
        self.ramp = self._ramp_from(before.concurrency, now)
        self._begin_interval(now)

    def _ramp_from(self, concurrency: int, now: float) -> Ramp | None:
        if self.concurrency <= concurrency or self._control.at_rest_s is None:
            return None
        return Ramp(concurrency, self.concurrency, now, min(self._control.at_rest_s, LONGEST_RAMP_S))
