"""Whether requests may leave while a provider fails: the circuit breaker, pure in `now` (seconds).

Closed, requests leave. It opens when nothing succeeds any more, or hardly anything; open, nothing leaves.
After a pause it is half-open: one probe leaves, which closes it or opens it for longer. Once closed again,
each success lets one more request be in flight: what has just recovered is not stormed.
https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum

from prefect_llm.engine.failures.recent_failures import RecentFailures
from prefect_llm.values.errors import Unavailable

FIRST_SLOTS = 7
"""In flight beyond what already was, after the first success: eight with the probe, and 256 five rounds later."""


class BreakerState(StrEnum):
    """Closed is the good state."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Pauses:
    """How long the breaker stays open; longer each time that it opens again.

    `pause_s(n)` is for the n-th opening in a row, unless the endpoint asks for longer; no such wish outlasts
    `outage_limit_s` without a success, for the probe that leaves then may end the run.
    """

    def __init__(self, pause_s: Callable[[int], float], outage_limit_s: float) -> None:
        self._pause_s = pause_s
        self._outage_limit_s = outage_limit_s
        self._openings = 0

    def begin(self, now: float, failing_since: float, retry_after_s: float) -> float:
        """It opens, as the endpoint asks for `retry_after_s`; the instant at which the pause ends."""
        self._openings += 1
        asked_until = min(now + retry_after_s, failing_since + self._outage_limit_s)
        return max(now + self._pause_s(self._openings), asked_until)

    def end(self) -> None:
        """It closes: the next pause is short again."""
        self._openings = 0


class Breaker:
    """The circuit breaker of one provider, with the pauses that `Pauses` makes of `pause_s` and `outage_limit_s`.

    `outages` counts how often it opened from closed, so that a watcher between two looks misses none. Attempts that
    left before the state last changed say nothing of the new one, and change nothing.
    """

    def __init__(self, pause_s: Callable[[int], float], outage_limit_s: float = math.inf) -> None:
        self.state = BreakerState.CLOSED
        self.opened_at: float | None = None
        self.outages = 0

        self._failures = RecentFailures()
        self._pauses = Pauses(pause_s, outage_limit_s)
        self._probe_at = 0.0
        self._probing = False
        self._changed_at = -math.inf
        self._answered_at = -math.inf
        self._slots = math.inf

    @property
    def outage(self) -> bool:
        """Whether failures are the provider's and not the documents': nothing succeeds, or no connection comes."""
        return self._failures.outage

    @property
    def unreachable(self) -> bool:
        """Whether no connection comes."""
        return self._failures.unreachable

    @property
    def failing_since(self) -> float | None:
        """When the first failure came since the last success."""
        return self._failures.since

    @property
    def doubtful(self) -> bool:
        """Whether something failed and nothing has succeeded since: another document's attempt tells more."""
        return bool(self._failures)

    def admits(self, now: float, in_flight: int) -> bool:
        """Whether one more request may leave."""
        if self.state is BreakerState.CLOSED:
            return in_flight < self._slots
        if self.state is BreakerState.OPEN:
            if now < self._probe_at:
                return False
            self._change(BreakerState.HALF_OPEN, now)
        return not self._probing

    def holds_all(self, now: float) -> bool:
        """Whether nothing may leave for now: it is open, or its probe is in flight."""
        if self.state is BreakerState.OPEN:
            return now < self._probe_at
        return self.state is BreakerState.HALF_OPEN and self._probing

    @property
    def slots(self) -> float:
        """How many may be in flight once it is closed; grows from the first success after an outage."""
        return self._slots

    def wait_until(self) -> float | None:
        """The instant from which a probe may leave, while it is open."""
        return self._probe_at if self.state is BreakerState.OPEN else None

    def left(self) -> bool:
        """A request leaves; whether it is the probe."""
        self._probing = self.state is BreakerState.HALF_OPEN
        return self._probing

    def probe_ended(self) -> None:
        """The probe is back, or was given up: where nothing was learnt another may leave."""
        self._probing = False

    def is_stale(self, left_at: float) -> bool:
        """Whether an attempt left before the state last changed; while it is open, all did."""
        return self.state is BreakerState.OPEN or left_at < self._changed_at

    def succeeded(self, now: float, left_at: float, in_flight: int) -> None:
        """A good answer came to the attempt that left at `left_at`; it still counts in `in_flight`."""
        if self.is_stale(left_at):
            return
        self._failures.end()
        self._goes_on(now, in_flight)

    def answered(self, now: float, left_at: float, in_flight: int, *, throttled: bool) -> None:
        """An answer came, though not a good one: no success, but no outage for want of an endpoint either.

        A provider that throttles does not take more.
        """
        if self.is_stale(left_at):
            return
        self._failures.unreachable = False
        self._goes_on(now, in_flight, takes_more=not throttled)

    def failed(self, now: float, left_at: float, document_id: str, error: Unavailable) -> None:
        """A timeout, a lost connection or a server's fault came of the attempt that left at `left_at`."""
        if self.is_stale(left_at):
            self._slots = max(self._slots - 1, FIRST_SLOTS)  # it held a slot that no success has earned
            return
        # where another was answered meanwhile, one lost connection is this attempt's bad luck
        unreachable = error.unreachable and left_at >= self._answered_at
        self._failures.add(now, document_id, unreachable=unreachable)
        if self.state is BreakerState.HALF_OPEN or self._failures.too_many:
            self._open(now, error.retry_after_s or 0.0)

    def forget_failures(self) -> None:
        """Forget failures in a row: an answer came, or nothing was asked for a while."""
        self._failures.forget()

    def _goes_on(self, now: float, in_flight: int, *, takes_more: bool = True) -> None:
        self._answered_at = now
        if self.state is BreakerState.HALF_OPEN:
            self._pauses.end()
            self._failures.forget_attempts()
            self._slots = in_flight + FIRST_SLOTS
            self._change(BreakerState.CLOSED, now)
        elif takes_more:
            self._slots += 1

    def _open(self, now: float, retry_after_s: float) -> None:
        self.outages += self.state is BreakerState.CLOSED
        self.opened_at = now
        failing_since = now if self.failing_since is None else self.failing_since
        self._probe_at = self._pauses.begin(now, failing_since, retry_after_s)
        self._change(BreakerState.OPEN, now)

    def _change(self, state: BreakerState, now: float) -> None:
        self.state, self._changed_at, self._probing = state, now, False
