"""How many requests are in flight, and how many may be: the concurrency, its ramp and the share of this process."""

from __future__ import annotations

from prefect_llm.engine.limits.concurrency import Ramp
from prefect_llm.engine.limits.opening import FIRST_SLOTS
from prefect_llm.values.provider import Limits


class InFlight:
    """Counts a provider's requests in flight against its slots. `retries` of the `count` were sent before.

    `share` is this process's part of the provider's limits, from 0 to 1; at 0 it has no slots.
    """

    def __init__(self, limits: Limits) -> None:
        self.count = 0
        self.retries = 0
        self.share = 1.0
        self.concurrency = min(limits.most_in_flight, FIRST_SLOTS) if limits.adaptive else limits.most_in_flight
        self._most = limits.most_in_flight
        self._ramp: Ramp | None = None

    @property
    def slots(self) -> int:
        """The most requests in flight: the concurrency, within the share of what the provider allows."""
        if self.share == 1.0:
            return self.concurrency
        if not self.share:
            return 0
        return min(self.concurrency, max(1, int(self._most * self.share + 1e-9)))

    def set_concurrency(self, concurrency: int, ramp: Ramp | None = None) -> None:
        """Allow this many in flight, reached by the ramp if there is one."""
        self.concurrency, self._ramp = concurrency, ramp

    def opens_at(self, now: float) -> float:
        """The instant from which the ramp allows one more, `now` without one. There must be a free slot."""
        return now if self._ramp is None else self._ramp.opens_at(self.count + 1)

    def enter(self, *, is_retry: bool) -> None:
        """One more request is in flight."""
        self.count += 1
        self.retries += is_retry

    def leave(self, *, is_retry: bool) -> None:
        """One request fewer is in flight."""
        self.count -= 1
        self.retries -= is_retry
