"""Measures intervals and lets the controller decide: the state between `controller.decide` and the engine."""

from __future__ import annotations

from prefect_llm.engine.controller import ENOUGH_ANSWERS, Control, Observation, decide

SHORTEST_INTERVAL_S = 1.0


class AdaptiveConcurrency:
    """How many requests may be in flight, found while they are. Instants in seconds of any steady clock."""

    def __init__(self, ceiling: int) -> None:
        self._control = Control.start(ceiling)
        self._when_last_answered = self._control
        self._latencies_s: list[float] = []
        self._pushed_back = 0
        self._peak_in_flight = 0
        self._began: float | None = None

    @property
    def concurrency(self) -> int:
        """As decided last."""
        return self._control.concurrency

    def left(self, now: float, in_flight: int) -> None:
        """A request left; so many are under way with it."""
        self._began = now if self._began is None else self._began
        self._peak_in_flight = max(self._peak_in_flight, in_flight)

    def answered(self, now: float, latency_s: float) -> None:
        """A good answer came."""
        self._latencies_s.append(latency_s)
        self._end_interval(now)
        self._when_last_answered = self._control

    def pushed_back(self, now: float) -> None:
        """A 429, a timeout or a server's fault came instead of an answer."""
        self._pushed_back += 1
        self._end_interval(now)

    def outage(self) -> None:
        """What failed since the last good answer was an outage: take its decisions back, measure anew."""
        self._control = self._when_last_answered
        self._begin_interval(None)

    def _begin_interval(self, now: float | None) -> None:
        self._latencies_s, self._pushed_back, self._peak_in_flight, self._began = [], 0, 0, now

    def _end_interval(self, now: float) -> None:
        """An interval lasts as long as an answer does, and until it has seen enough of them."""
        at_least_s = max(SHORTEST_INTERVAL_S, self._control.at_rest_s or 0.0)
        if self._began is None or now - self._began < at_least_s:
            return
        if not self._pushed_back and len(self._latencies_s) < ENOUGH_ANSWERS:
            return
        observation = Observation.of(self._latencies_s, self._pushed_back, self._peak_in_flight)
        self._control = decide(self._control, observation)
        self._begin_interval(now)
