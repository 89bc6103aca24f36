"""What an answer means: for its document, and for all requests of its provider. Decides only; no IO, no scheduler."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.engine.failures.breaker import Breaker, BreakerState
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.limits.concurrency import AdaptiveConcurrency, Ramp
from prefect_llm.engine.submission import FallbackReason, Job
from prefect_llm.values.errors import (
    Cause,
    ModelNotFound,
    ProviderDown,
    Rejected,
    RequestError,
    Retryable,
    RunError,
    Throttled,
    Unavailable,
)
from prefect_llm.values.outcome import Completion, ErrorKind, Failure
from prefect_llm.values.provider import Provider
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Headers


@dataclass(frozen=True, slots=True)
class Fail:
    """The document fails for good. With `why`, a fallback may still answer it."""

    failure: Failure
    completion: Completion | None = None
    why: FallbackReason | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The document is sent again after a pause."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class StopRun:
    """The provider answers no document. With `why`, a fallback may still."""

    error: RunError
    why: FallbackReason | None = None


Verdict = Fail | Retry | StopRun


@dataclass(frozen=True, slots=True)
class Effects:
    """What an answer changes for all requests of its provider; `None` changes nothing.

    `concurrency` is reached by the `ramp`, if there is one. Nothing leaves before `cool_down_until`.
    """

    concurrency: int | None = None
    ramp: Ramp | None = None
    cool_down_until: float | None = None


NO_EFFECTS = Effects()


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a failed attempt's document, and what else changes."""

    verdict: Verdict
    effects: Effects = NO_EFFECTS


class ResponsePolicy:
    """Learns from every answer of one provider. Instants in seconds of the loop's clock.

    `in_flight` counts the answered request, too.
    """

    def __init__(
        self, provider: Provider, retry_policy: RetryPolicy, breaker: Breaker, provider_faults: ProviderFaults
    ) -> None:
        limits = provider.limits
        self._retry_policy = retry_policy
        self._breaker = breaker
        self._provider_faults = provider_faults
        self._deadline_s = provider.timeouts.deadline_s
        self._rate_headers = format_of(provider).rate_headers
        self._adaptive = AdaptiveConcurrency(limits.max_concurrency) if limits.adaptive else None
        self._throttled_in_a_row = 0
        self._cool_until = 0.0

    def forget_failures(self) -> None:
        """Forget failures in a row: nothing has been asked for a while."""
        self._provider_faults.forget_failures()

    def attempt_left(self, now: float, job: Job, in_flight: int) -> None:
        """An attempt leaves. The deadline's clock starts with the first one, and again after an outage."""
        if job.deadline_from is None or self._clock_restarts(job.deadline_from):
            job.deadline_from = now
        if self._adaptive is not None:
            self._adaptive.left(now, in_flight)

    def time_left_s(self, now: float, job: Job) -> float | None:
        """Seconds until the document's deadline; `None` without one."""
        if self._deadline_s is None:
            return None
        return self._deadline_s - (0.0 if job.deadline_from is None else now - job.deadline_from)

    def overdue(self, last: str = "nothing was sent again in time") -> Fail:
        """The verdict on a document whose deadline has passed."""
        message = f"no answer within the document's deadline of {self._deadline_s:g} s (last: {last})"
        return Fail(Failure(ErrorKind.TIMEOUT, message))

    def succeeded(self, now: float, job: Job, latency_s: float, in_flight: int) -> Effects:
        """A good answer came."""
        stale = self._breaker.is_stale(job.left_at)
        self._record_success(now, job, in_flight)

        if self._adaptive is None or stale:
            return NO_EFFECTS
        self._adaptive.answered(now, latency_s)
        return Effects(self._adaptive.concurrency, self._adaptive.ramp)

    def heed_rate_headers(self, now: float, job: Job, headers: Headers, wall_s: float) -> Effects:
        """Pause where the endpoint says that its bucket is empty, before it has to refuse a request."""
        wait_s = self._rate_headers.wait_s(headers, job.tokens.input, job.tokens.output, wall_s)
        return Effects(cool_down_until=self._cool_down(now + wait_s)) if wait_s > 0 else NO_EFFECTS

    def failed(self, now: float, job: Job, error: RequestError, in_flight: int) -> Decision:
        """An attempt failed. One that left before an outage or its end costs its document nothing."""
        stale = self._breaker.is_stale(job.left_at)
        if error.completion is not None and not isinstance(error, Retryable):
            self._record_success(now, job, in_flight)
        else:
            self._record_failure(now, job, error, in_flight)

        if (run_error := self._provider_faults.classify_failure(now, job.request, error)) is not None:
            return Decision(StopRun(run_error, fallback_reason(run_error)))

        effects = self._effects_of(now, error, stale=stale)
        return Decision(self._verdict_on(now, job, error, stale=stale), effects)

    def _verdict_on(self, now: float, job: Job, error: RequestError, *, stale: bool) -> Verdict:
        outage = stale or self._breaker.outage
        delay_s = self._retry_policy.delay_s(error, job.retry_counts, outage=outage)
        if delay_s is None:
            failure = Failure(error.kind, error.message, error.status)
            return Fail(failure, error.completion, fallback_reason(error))
        if self._is_too_late(now + delay_s, job):
            return self.overdue(error.message)
        return Retry(delay_s)

    def _effects_of(self, now: float, error: RequestError, *, stale: bool) -> Effects:
        """Less concurrency where the provider pushes back, and a cooldown where it throttles."""
        throttled = isinstance(error, Throttled)
        cool_down_until = self._cooldown_after(error, now) if isinstance(error, Throttled) else None
        if self._adaptive is None or stale or not isinstance(error, Retryable):
            return Effects(cool_down_until=cool_down_until)

        self._push_back(self._adaptive, now, throttled=throttled)
        return Effects(self._adaptive.concurrency, self._adaptive.ramp, cool_down_until)

    def _push_back(self, adaptive: AdaptiveConcurrency, now: float, *, throttled: bool) -> None:
        """Faults tell the controller of a limit; those of an outage say nothing of how much the provider takes."""
        if self._breaker.state is not BreakerState.CLOSED:
            adaptive.outage()
        elif throttled:
            adaptive.throttled(now)
        else:
            adaptive.faulted(now)

    def _cooldown_after(self, error: Throttled, now: float) -> float | None:
        """One pause for all: answers to requests in flight when it began do not lengthen it."""
        cooling = now < self._cool_until
        if error.retry_after_s is None and cooling:
            return None
        if not cooling:
            self._throttled_in_a_row += 1
        return self._cool_down(now + self._retry_policy.cooldown_s(error, self._throttled_in_a_row))

    def _cool_down(self, until: float) -> float:
        self._cool_until = max(self._cool_until, until)
        return self._cool_until

    def _is_too_late(self, at: float, job: Job) -> bool:
        left_s = self.time_left_s(at, job)
        restarts = job.deadline_from is not None and self._clock_restarts(job.deadline_from)
        return left_s is not None and left_s <= 0 and not restarts

    def _clock_restarts(self, began: float) -> bool:
        """Time in an outage counts for no deadline: a clock that ran when it began starts again."""
        return self._breaker.opened_at is not None and self._breaker.opened_at >= began

    def _record_success(self, now: float, job: Job, in_flight: int) -> None:
        self._breaker.succeeded(now, job.left_at, in_flight)
        self._provider_faults.record_success()
        self._throttled_in_a_row = 0

    def _record_failure(self, now: float, job: Job, error: RequestError, in_flight: int) -> None:
        if isinstance(error, Unavailable):
            self._breaker.failed(now, job.left_at, job.request.document_id, error)
        else:
            self._breaker.answered(now, job.left_at, in_flight, throttled=isinstance(error, Throttled))


def fallback_reason(error: RequestError | RunError) -> FallbackReason | None:
    """Why a fallback may answer what this provider did not; `None`: another would not either."""
    if isinstance(error, ProviderDown):
        return FallbackReason.OUTAGE
    if isinstance(error, ModelNotFound) or (isinstance(error, Rejected) and error.cause is Cause.MODEL_NOT_FOUND):
        return FallbackReason.MODEL_GONE
    if isinstance(error, RequestError) and error.kind is ErrorKind.CONTEXT_TOO_LONG:
        return FallbackReason.CONTEXT_TOO_LONG
    return None
