"""What an answer means: for its document, and for what else may leave. No IO: the engine carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_llm.engine.failures.breaker import Breaker, BreakerState
from prefect_llm.engine.failures.classifier import FailureClassifier
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.limits.concurrency import AdaptiveConcurrency
from prefect_llm.engine.scheduler import Scheduler
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
from prefect_llm.values.outcome import Completion, DiscardedAnswer, ErrorKind, Failure
from prefect_llm.values.provider import Provider
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Headers


@dataclass(frozen=True, slots=True)
class Fail:
    """The document fails for good; where `why` is given, a fallback may still answer it."""

    failure: Failure
    completion: Completion | None = None
    why: FallbackReason | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """After a pause."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class StopRun:
    """The provider will answer no document; where `why` is given, a fallback may still."""

    error: RunError
    why: FallbackReason | None = None


Verdict = Fail | Retry | StopRun


class ResponsePolicy:
    """Takes in every answer of one provider. Instants in seconds of the loop's clock."""

    def __init__(
        self,
        provider: Provider,
        policy: RetryPolicy,
        breaker: Breaker,
        health: FailureClassifier,
        scheduler: Scheduler,
    ) -> None:
        self._policy = policy
        self._breaker = breaker
        self._scheduler = scheduler
        self._deadline_s = provider.timeouts.deadline_s
        self._rate_headers = format_of(provider).rate_headers
        self._health = health
        limits = provider.limits
        self._adaptive = AdaptiveConcurrency(limits.max_concurrency) if limits.adaptive else None
        self._throttled_in_a_row = 0

    def rest(self) -> None:
        """Nothing has been asked for a while: failures in a row are forgotten."""
        self._health.rest()

    def left(self, now: float, job: Job) -> None:
        """An attempt leaves. The deadline's clock starts with the first one, and again after an outage."""
        if job.clock_began is None or self._clock_restarts(job.clock_began):
            job.clock_began = now
        if self._adaptive is not None:
            self._adaptive.left(now, self._scheduler.in_flight)

    def time_left_s(self, now: float, job: Job) -> float | None:
        """Seconds of the document's deadline that are left; `None` without a deadline."""
        if self._deadline_s is None:
            return None
        return self._deadline_s - (0.0 if job.clock_began is None else now - job.clock_began)

    def overdue(self, last: str = "nothing was sent again in time") -> Fail:
        """The verdict on a document whose deadline has passed."""
        message = f"no answer within the document's deadline of {self._deadline_s:g} s (last: {last})"
        return Fail(Failure(ErrorKind.TIMEOUT, message))

    def answered(self, now: float, job: Job, completion: Completion, latency_s: float) -> None:
        """A good answer came."""
        stale = self._breaker.is_stale(job.left_at)
        self._succeeded(now, job, completion)
        if self._adaptive is not None and not stale:
            self._adaptive.answered(now, latency_s)
            self._scheduler.hold(self._adaptive.concurrency, self._adaptive.ramp)

    def heed(self, now: float, job: Job, headers: Headers, wall_s: float) -> None:
        """Pause where the endpoint says that its bucket is empty, before it has to refuse anyone."""
        wait_s = self._rate_headers.wait_s(headers, job.tokens.input, job.tokens.output, wall_s)
        if wait_s > 0:
            self._scheduler.cool_down(now + wait_s)

    def failed(self, now: float, job: Job, error: RequestError) -> Verdict:
        """An attempt failed. One that was under way before an outage or its end costs its document nothing."""
        stale = self._breaker.is_stale(job.left_at)
        if error.completion is not None:
            self._succeeded(now, job, error.completion)
        else:
            self._tell_breaker(now, job, error)
        if (stopping := self._health.failed(now, job.request, error)) is not None:
            return StopRun(stopping, _diversion_of(stopping))
        if isinstance(error, Retryable) and not stale:
            self._push_back(now, throttled=isinstance(error, Throttled))
        if isinstance(error, Throttled):
            self._cool_down(job, error, now)
        delay_s = self._policy.delay_s(error, job.tries, outage=stale or self._breaker.outage)
        if delay_s is None:
            return Fail(Failure(error.kind, error.message, error.status), error.completion, _diversion_of(error))
        if self._is_too_late(now + delay_s, job):
            return self.overdue(error.message)
        if error.completion is not None and error.completion.usage is not None:
            job.discarded.append(
                DiscardedAnswer(error.completion.usage, job.request.parameters.model, job.submission.route)
            )
        return Retry(delay_s)

    def _is_too_late(self, at: float, job: Job) -> bool:
        left_s = self.time_left_s(at, job)
        restarts = job.clock_began is not None and self._clock_restarts(job.clock_began)
        return left_s is not None and left_s <= 0 and not restarts

    def _clock_restarts(self, began: float) -> bool:
        """Time in an outage counts for no deadline: a clock that ran when it began starts again."""
        return self._breaker.opened_at is not None and self._breaker.opened_at >= began

    def _succeeded(self, now: float, job: Job, completion: Completion) -> None:
        self._breaker.succeeded(now, job.left_at, self._scheduler.in_flight)
        self._health.succeeded()
        self._throttled_in_a_row = 0
        if completion.usage is not None:
            self._scheduler.settle(now, job, completion.usage)

    def _tell_breaker(self, now: float, job: Job, error: RequestError) -> None:
        if isinstance(error, Unavailable):
            self._breaker.failed(now, job.left_at, job.request.document_id, error)
        else:
            throttled = isinstance(error, Throttled)
            self._breaker.answered(now, job.left_at, self._scheduler.in_flight, throttled=throttled)

    def _push_back(self, now: float, *, throttled: bool) -> None:
        """Faults tell the controller of a limit; those of an outage say nothing of how much the provider takes."""
        if self._adaptive is None:
            return
        if self._breaker.state is not BreakerState.CLOSED:
            self._adaptive.outage()
        elif throttled:
            self._adaptive.throttled(now)
        else:
            self._adaptive.faulted(now)
        self._scheduler.hold(self._adaptive.concurrency, self._adaptive.ramp)

    def _cool_down(self, job: Job, error: Throttled, now: float) -> None:
        """One pause for all: answers to requests that were under way when it began do not lengthen it."""
        job.throttled += 1
        if error.retry_after_s is None and self._scheduler.cooling(now):
            return
        if not self._scheduler.cooling(now):
            self._throttled_in_a_row += 1
        self._scheduler.cool_down(now + self._policy.cooldown_s(error, self._throttled_in_a_row))


def _diversion_of(error: RequestError | RunError) -> FallbackReason | None:
    """Why a fallback may answer what this provider did not; `None`: another would not either."""
    if isinstance(error, ProviderDown):
        return FallbackReason.OUTAGE
    if isinstance(error, ModelNotFound) or (isinstance(error, Rejected) and error.cause is Cause.MODEL_NOT_FOUND):
        return FallbackReason.MODEL_GONE
    if isinstance(error, RequestError) and error.kind is ErrorKind.CONTEXT_TOO_LONG:
        return FallbackReason.CONTEXT_TOO_LONG
    return None
