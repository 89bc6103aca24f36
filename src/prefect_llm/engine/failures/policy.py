"""What an answer means: for its document, and for all requests of its provider. Decides only; no IO, no scheduler."""

from __future__ import annotations

from prefect_llm.engine.failures.backpressure import Backpressure
from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.first_answers import ALIKE, FirstAnswers, is_refusal
from prefect_llm.engine.failures.probe import KnownRequests
from prefect_llm.engine.failures.provider_faults import ProviderFaults, is_answer
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.failures.throttling import Throttling
from prefect_llm.engine.failures.verdicts import (
    Decision,
    Effects,
    Fail,
    Hold,
    Retry,
    StopRun,
    Verdict,
    fallback_reason,
)
from prefect_llm.engine.submission import Job, Submission
from prefect_llm.values.errors import (
    RequestError,
    Retryable,
    RunError,
    Throttled,
    Unavailable,
)
from prefect_llm.values.formatting import one_line
from prefect_llm.values.outcome import ErrorKind, Failure
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request
from prefect_llm.wire.formats import format_of
from prefect_llm.wire.http import Headers


class ResponsePolicy:
    """Learns from every answer of one provider. Instants in seconds of the loop's clock.

    `in_flight` counts the answered request, too.
    """

    def __init__(
        self, provider: Provider, retry_policy: RetryPolicy, breaker: Breaker, provider_faults: ProviderFaults
    ) -> None:
        self._retry_policy = retry_policy
        self._breaker = breaker
        self._provider_faults = provider_faults
        self._deadline_s = provider.timeouts.deadline_s

        self.throttling = Throttling()
        self.backpressure = Backpressure(provider, retry_policy, breaker, provider_faults, self.throttling)
        self._first_answers = FirstAnswers()
        self._known = KnownRequests(format_of(provider).probe("").messages)

    def forget_failures(self) -> None:
        """Forget failures in a row: nothing has been asked for a while."""
        self._provider_faults.forget_failures()
        self._first_answers.forget_refusals()
        self.throttling.forget()

    def has_answer(self, submission: Submission) -> bool:
        """Whether a request of its run was answered: by this provider, or in an earlier attempt at the run."""
        return submission.answered or self._first_answers.has(submission.stop)

    def attempt_left(self, now: float, job: Job, in_flight: int) -> None:
        """An attempt leaves. The deadline's clock starts with the first one, and again after an outage."""
        if job.deadline_from is None or self._clock_restarts(job.deadline_from):
            job.deadline_from = now
        self.backpressure.attempt_left(now, in_flight)

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
        return self.backpressure.succeeded(now, latency_s, stale=stale)

    def heed_rate_headers(self, now: float, job: Job, headers: Headers, wall_s: float) -> Effects:
        """Pause where the endpoint says that its bucket is empty, before it has to refuse a request."""
        return self.backpressure.heed_rate_headers(now, job, headers, wall_s)

    def failed(
        self, now: float, job: Job, error: RequestError, in_flight: int, *, others_under_way: bool = False
    ) -> Decision:
        """An attempt failed. One that left before an outage or its end costs its document nothing.

        `others_under_way` says that more requests of its run are in flight.
        """
        stale = self._breaker.is_stale(job.left_at)
        if is_answer(error):
            self._record_success(now, job, in_flight)
        else:
            self._record_failure(now, job, error, in_flight)

        verdict = self._verdict_on_run(now, job, error, alone=in_flight == 1, others_under_way=others_under_way)
        if isinstance(verdict, StopRun):
            return Decision(verdict)
        effects = self.backpressure.failed(now, job, error, stale=stale)
        return Decision(verdict or self._verdict_on(now, job, error, stale=stale), effects)

    def probe_for(self, job: Job) -> Request | None:
        """What to ask in place of a job that leaves: it has failed before, and so has all else since.

        `None` where the job itself is asked: a fresh document tells as much.
        """
        assert job.slot is not None, "only a job in flight is asked"
        if job.attempts.sent and (job.slot.is_probe and not self._breaker.unreachable):
            return self._known.probe_for(job.request)
        return self._known.probe_for(job.request) if self.throttling.wants_probe(job.retry_counts) else None

    def probe_succeeded(self, now: float, job: Job, in_flight: int) -> Decision:
        """What was asked in the job's place is answered: the documents that failed are at fault themselves."""
        self._breaker.succeeded(now, job.left_at, in_flight)
        self.throttling.probe_succeeded()
        self._first_answers.greet(job.submission.stop)
        return Decision(Retry(0.0))

    def probe_failed(self, now: float, job: Job, error: RequestError, in_flight: int) -> Decision:
        """What was asked in the job's place failed, too: the document is not charged for it."""
        if is_answer(error):
            return self.probe_succeeded(now, job, in_flight)
        self._record_failure(now, job, error, in_flight)
        if not isinstance(error, Throttled):
            self.throttling.probe_told_nothing(job.retry_counts)
        verdict: StopRun | Hold | None = None
        if isinstance(error, Retryable) or self._provider_faults.is_certain(error):
            verdict = self._verdict_on_run(now, job, error, alone=in_flight == 1, others_under_way=False)
        else:
            self._known.refused(job.request.parameters.model)  # it tells nothing of the provider
        if isinstance(verdict, StopRun):
            return Decision(verdict)
        effects = self.backpressure.failed(now, job, error, stale=False)
        return Decision(Retry(self._retry_policy.first_pause_s), effects)

    def _verdict_on_run(
        self, now: float, job: Job, error: RequestError, *, alone: bool, others_under_way: bool
    ) -> StopRun | Hold | None:
        """Whether the run stops, or its document waits to see if it does."""
        answered = self.has_answer(job.submission)
        stop = self._provider_faults.classify_failure(now, job.request, error, answered=answered)
        if stop is None and isinstance(error, Throttled):
            stop = self._throttled_out(now, error, alone=alone)
        if stop is not None:
            if others_under_way and self._provider_faults.is_suspicion(error):
                return Hold(Fail(_failure_of(error)), suspect=True)
            return StopRun(stop, fallback_reason(stop))

        run = job.submission.stop
        if answered or not self._first_answers.may_be_shared(run, error):
            return None
        if self._first_answers.are_alike(run, job.request.document_id, error):
            return StopRun(self._provider_faults.refused_alike(job.request, error, ALIKE))
        return Hold(Fail(_failure_of(error))) if is_refusal(error) else None

    def _throttled_out(self, now: float, error: Throttled, *, alone: bool) -> RunError | None:
        """Only the last in flight tells that nothing succeeds: the others may yet."""
        since = self.throttling.since
        throttled_s = now - since if since is not None and alone else 0.0
        return self._provider_faults.throttled_out(throttled_s, error)

    def _verdict_on(self, now: float, job: Job, error: RequestError, *, stale: bool) -> Verdict:
        outage = stale or self._breaker.outage
        if isinstance(error, Throttled):
            outage = not job.retry_counts.waited
            if self.throttling.fits_never(now, job.retry_counts):
                return Fail(_never_fits(error, job), error.completion, fallback_reason(error))
        elif outage:
            job.retry_counts.failed_in(self._breaker.outages)

        delay_s = self._retry_policy.delay_s(error, job.retry_counts, outage=outage)
        if delay_s is None:
            return Fail(_failure_of(error), error.completion, fallback_reason(error))
        if isinstance(error, Throttled):
            delay_s = max(delay_s, self.throttling.last_try_at(job.retry_counts) - now)
        if self._is_too_late(now + delay_s, job):
            return self.overdue(error.message)
        return Retry(delay_s)

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
        self._first_answers.record(job.submission.stop)
        self._known.answered(job.request)
        self.throttling.succeeded(job.retry_counts)

    def _record_failure(self, now: float, job: Job, error: RequestError, in_flight: int) -> None:
        if isinstance(error, Unavailable):
            self._breaker.failed(now, job.left_at, job.request.document_id, error)
            return
        self._breaker.answered(now, job.left_at, in_flight, throttled=isinstance(error, Throttled))
        if isinstance(error, Throttled):
            counts = job.retry_counts
            counts.waited = self.throttling.throttled(now, job.request.document_id, counts)


def _failure_of(error: RequestError) -> Failure:
    return Failure(error.kind, error.message, error.status)


def _never_fits(error: Throttled, job: Job) -> Failure:
    message = one_line(
        f"throttled {job.attempts.throttled} times while others were answered: larger than the account takes in a "
        f"minute? (last: {error.message})"
    )
    return Failure(error.kind, message, error.status)
