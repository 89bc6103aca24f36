"""How a provider that pushes back is heeded by all its requests: fewer in flight, and pauses after 429s.

Pure in `now` (seconds of the loop's clock): it returns effects, which the scheduler applies.
"""

from __future__ import annotations

import math

from prefect_llm.engine.failures.breaker import Breaker, BreakerState
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.failures.throttling import Throttling
from prefect_llm.engine.failures.verdicts import NO_EFFECTS, Effects
from prefect_llm.engine.limits.concurrency import AdaptiveConcurrency
from prefect_llm.engine.submission import Job
from prefect_llm.values.errors import RequestError, Retryable, Throttled
from prefect_llm.values.outcome import ErrorKind
from prefect_llm.values.provider import Provider
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Headers


class Backpressure:
    """One provider's. Nothing leaves before `cool_until`."""

    def __init__(
        self,
        provider: Provider,
        retry_policy: RetryPolicy,
        breaker: Breaker,
        provider_faults: ProviderFaults,
        throttling: Throttling,
    ) -> None:
        limits, longest_s = provider.limits, provider.timeouts.longest_silence_s
        self._retry_policy = retry_policy
        self._breaker = breaker
        self._provider_faults = provider_faults
        self._throttling = throttling
        self._rate_headers = format_of(provider).rate_headers
        self._adaptive = AdaptiveConcurrency(limits.max_concurrency, longest_s) if limits.adaptive else None
        self.cool_until = 0.0

    def attempt_left(self, now: float, in_flight: int) -> None:
        """An attempt leaves, which `in_flight` counts."""
        if self._adaptive is not None:
            self._adaptive.left(now, in_flight)

    def succeeded(self, now: float, latency_s: float, *, stale: bool) -> Effects:
        """A good answer came; a `stale` one says nothing of what the provider takes now."""
        if self._adaptive is None or stale:
            return NO_EFFECTS
        self._adaptive.answered(now, latency_s)
        return Effects(self._adaptive.concurrency, self._adaptive.ramp)

    def heed_rate_headers(self, now: float, job: Job, headers: Headers, wall_s: float) -> Effects:
        """Pause where the endpoint says that its bucket is empty, before it has to refuse a request."""
        wait_s = self._rate_headers.wait_s(headers, job.tokens.input, job.tokens.output, wall_s)
        wait_s = min(wait_s, self._provider_faults.outage_limit_s)  # then a 429 says how long it really is
        return Effects(cool_down_until=self._cool_down(now + wait_s)) if wait_s > 0 else NO_EFFECTS

    def failed(self, now: float, job: Job, error: RequestError, *, stale: bool) -> Effects:
        """Less concurrency where the provider pushes back, and a cooldown where it throttles."""
        throttled = isinstance(error, Throttled)
        if throttled and self._throttling.waits_alone(job.retry_counts):
            return NO_EFFECTS
        cool_down_until = self._cooldown_after(error, now) if isinstance(error, Throttled) else None
        if self._adaptive is None or stale or not isinstance(error, Retryable):
            return Effects(cool_down_until=cool_down_until)

        self._push_back(self._adaptive, now, error)
        return Effects(self._adaptive.concurrency, self._adaptive.ramp, cool_down_until)

    def _push_back(self, adaptive: AdaptiveConcurrency, now: float, error: Retryable) -> None:
        """Faults tell the controller of a limit; those of an outage say nothing of how much the provider takes."""
        if self._breaker.state is not BreakerState.CLOSED:
            adaptive.outage()
        elif isinstance(error, Throttled):
            adaptive.throttled(now)
        else:
            adaptive.faulted(now, timed_out=error.kind is ErrorKind.TIMEOUT)

    def _cooldown_after(self, error: Throttled, now: float) -> float | None:
        """One pause for all: answers to requests in flight when it began do not lengthen it."""
        cooling = now < self.cool_until
        if error.retry_after_s is None and cooling:
            return None
        if not cooling:
            self._throttling.in_a_row += 1
        wait_s = self._retry_policy.cooldown_s(error, self._throttling.in_a_row)
        return self._cool_down(now + self._within_patience(wait_s, now))

    def _within_patience(self, wait_s: float, now: float) -> float:
        """No wait outlasts the patience: the attempt after it may end the run."""
        since = self._throttling.since
        left_s = math.inf if since is None else since + self._provider_faults.outage_limit_s - now
        return min(wait_s, left_s) if left_s > 0 else wait_s

    def _cool_down(self, until: float) -> float:
        self.cool_until = max(self.cool_until, until)
        return self.cool_until
