"""What an answer means, by tables: for its document, for its deadline, and for what else may leave."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.submitting import requests

from prefect_llm.engine.attempts import Slot
from prefect_llm.engine.failures.breaker import Breaker, BreakerState
from prefect_llm.engine.failures.policy import ResponsePolicy
from prefect_llm.engine.failures.provider_faults import ProviderFaults
from prefect_llm.engine.failures.recent_failures import OUTAGE_DOCUMENTS
from prefect_llm.engine.failures.retry import RetryPolicy
from prefect_llm.engine.failures.verdicts import Decision, Effects, Fail, Retry, StopRun, Verdict
from prefect_llm.engine.limits.opening import FIRST_SLOTS
from prefect_llm.engine.limits.rate_limits import Tokens
from prefect_llm.engine.scheduler import Scheduler
from prefect_llm.engine.submission import Backlog, FallbackReason, Job, Receiver, Submission
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import (
    AccountExhausted,
    AuthenticationFailed,
    BadResponse,
    Cause,
    ModelNotFound,
    ProviderDown,
    Rejected,
    RequestError,
    RunError,
    Throttled,
    Unavailable,
)
from prefect_llm.values.outcome import Completion, ErrorKind, Failure, Usage
from prefect_llm.values.provider import Limits, Provider, RetryOptions, Timeouts

DOWN = Unavailable("HTTP 503", status=503)
SLOW = Unavailable("no answer", kind=ErrorKind.TIMEOUT)
REFUSED = Unavailable("no connection: refused", kind=ErrorKind.CONNECTION, unreachable=True)
THROTTLED = Throttled("HTTP 429", status=429)
BILLED = Completion("part", usage=Usage(10, 0, 5))
LONG = 1_000


class Provided:
    """One provider's policy, with a scheduler to draw jobs from and to apply its decisions to."""

    def __init__(
        self, limits: Limits | None = None, *, succeeded: bool = True, deadline_s: float | None = None, **retries: Any
    ) -> None:
        limits = limits or Limits(100)
        timeouts, options = Timeouts(deadline_s=deadline_s), RetryOptions(**retries)
        provider = Provider("https://llm.example/v1", limits=limits, timeouts=timeouts, retries=options)
        self.breaker = Breaker(lambda openings: 5.0)
        self.scheduler = Scheduler(limits, lambda request: b"x" * 40, self.breaker)
        provider_faults = ProviderFaults(provider, self.breaker)
        self.policy = ResponsePolicy(provider, RetryPolicy(provider.retries), self.breaker, provider_faults)
        self.cool_down_until = 0.0
        self.scheduler.add(Submission(Backlog(requests(10_000)), Receiver(lambda *_: None), StopFlag()))
        if succeeded:
            self.answer(0.0, self.leave(0.0))

    def leave(self, now: float) -> Job:
        """The next job, sent."""
        job = self.scheduler.next(now)
        assert isinstance(job, Job), f"nothing may leave at {now}: {job}"
        self.policy.attempt_left(now, job, self.scheduler.in_flight)
        job.attempts.sent += 1
        return job

    def answer(self, now: float, job: Job, completion: Completion | None = None) -> None:
        """A good answer to it."""
        completion = completion or Completion("yes")
        if completion.usage is not None:
            self.scheduler.record_usage(now, job, completion.usage)
        self.scheduler.apply(self.policy.succeeded(now, job, now - job.left_at, self.scheduler.in_flight))
        self.scheduler.release_slot(job)

    def fail(self, now: float, job: Job, error: RequestError) -> Verdict:
        """A failed attempt."""
        verdict = self.decide(now, job, error)
        self.scheduler.release_slot(job)
        if isinstance(verdict, Retry):
            self.scheduler.schedule_retry(job, now, verdict.delay_s)
        return verdict

    def decide(self, now: float, job: Job, error: RequestError) -> Verdict:
        """The verdict on a failed attempt whose job stays in flight; its effects are applied."""
        decision = self.policy.failed(now, job, error, self.scheduler.in_flight)
        self.cool_down_until = max(self.cool_down_until, decision.effects.cool_down_until or 0.0)
        self.scheduler.apply(decision.effects)
        return decision.verdict

    def cools_down(self, now: float) -> bool:
        """Whether a pause lasts."""
        return now < self.cool_down_until

    def break_down(self, now: float, error: Unavailable = DOWN) -> None:
        """Ten documents fail."""
        for job in [self.leave(now) for _ in range(OUTAGE_DOCUMENTS)]:
            self.fail(now, job, error)
        assert self.breaker.state is BreakerState.OPEN


def judged(error: RequestError, *, succeeded: bool = True, times: int = 1) -> Verdict:
    """The verdict on the last of so many attempts at one document, each of which failed like this."""
    provided = Provided(succeeded=succeeded)
    job = provided.leave(1.0)
    for _ in range(times - 1):
        assert isinstance(provided.decide(1.0, job, error), Retry)
    return provided.fail(1.0, job, error)


@pytest.mark.parametrize(
    ("error", "may_fail"),
    [
        (DOWN, 4),
        (SLOW, 4),
        (BadResponse("not JSON", status=200), 2),
        (BadResponse("no label", kind=ErrorKind.SCHEMA_MISMATCH, completion=BILLED), 1),
        (BadResponse("cut", kind=ErrorKind.TRUNCATED, completion=BILLED), 0),
        (Rejected("HTTP 400", status=400), 0),
        (Rejected("HTTP 404", status=404), 0),
        (Rejected("no", kind=ErrorKind.REFUSED, completion=BILLED), 0),
        (Rejected("filtered", kind=ErrorKind.CONTENT_FILTERED, status=400), 0),
    ],
    ids=lambda value: str(value.message) if isinstance(value, RequestError) else str(value),
)
def test_a_document_is_asked_again_as_often_as_its_failure_allows_and_then_ends(
    error: RequestError, may_fail: int
) -> None:
    verdict = judged(error, times=may_fail + 1)
    assert verdict == Fail(Failure(error.kind, error.message, error.status), error.completion)


@pytest.mark.parametrize(
    ("error", "stops", "why"),
    [
        (Rejected("HTTP 401", status=401), AuthenticationFailed, None),
        (Rejected("HTTP 402", status=402), AccountExhausted, None),
        (Throttled("quota", status=429, cause=Cause.ACCOUNT_EXHAUSTED), AccountExhausted, None),
        (Rejected("HTTP 404", status=404, cause=Cause.MODEL_NOT_FOUND), ModelNotFound, FallbackReason.MODEL_GONE),
    ],
    ids=["401", "402", "insufficient_quota", "unknown model"],
)
def test_what_no_document_can_pass_stops_the_run(
    error: RequestError, stops: type[RunError], why: FallbackReason
) -> None:
    verdict = judged(error, succeeded=False)
    assert isinstance(verdict, StopRun)
    assert isinstance(verdict.error, stops)
    assert verdict.why is why


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Rejected("too long", kind=ErrorKind.CONTEXT_TOO_LONG, status=400), FallbackReason.CONTEXT_TOO_LONG),
        (Rejected("HTTP 404", status=404, cause=Cause.MODEL_NOT_FOUND), FallbackReason.MODEL_GONE),
        (Rejected("HTTP 404", status=404), None),
        (Rejected("HTTP 400", status=400), None),
        (Rejected("no", kind=ErrorKind.REFUSED, completion=BILLED), None),
    ],
    ids=["context too long", "model gone", "path gone", "bad request", "refused"],
)
def test_a_fallback_is_named_only_where_it_may_do_better(error: Rejected, why: FallbackReason | None) -> None:
    verdict = judged(error)
    assert isinstance(verdict, Fail)
    assert verdict.why is why


def test_a_document_may_be_throttled_twenty_times_while_others_are_answered_that_were_throttled_too() -> None:
    provided = Provided(outage_s=LONG)
    job, other = provided.leave(1.0), provided.leave(1.0)
    for _ in range(19):
        assert isinstance(provided.decide(1.0, job, THROTTLED), Retry)
        provided.decide(1.0, other, THROTTLED)
        provided.policy.succeeded(1.0, other, 1.0, provided.scheduler.in_flight)
    assert provided.fail(1.0, job, THROTTLED) == Fail(Failure(ErrorKind.THROTTLED, "HTTP 429", 429))


def test_being_throttled_costs_a_document_nothing_while_no_other_is_answered() -> None:
    provided = Provided(outage_s=LONG * LONG)
    job = provided.leave(1.0)
    for second in range(100):
        assert isinstance(provided.decide(float(second), job, THROTTLED), Retry)
    assert job.retry_counts.throttled == 1


def test_an_outage_that_outlasts_the_patience_stops_the_run_and_names_it_to_the_fallback() -> None:
    provided = Provided(outage_s=60)
    provided.break_down(1.0)
    provided.fail(31.0, provided.leave(31.0), DOWN)
    verdict = provided.fail(61.0, provided.leave(61.0), DOWN)
    assert isinstance(verdict, StopRun)
    assert isinstance(verdict.error, ProviderDown)
    assert verdict.why is FallbackReason.OUTAGE


def test_attempts_in_an_outage_cost_their_documents_nothing() -> None:
    provided = Provided(outage_s=LONG * 100)
    provided.break_down(1.0)
    job = provided.leave(10.0)
    before = job.retry_counts.faults
    for probe in range(100):
        now = 10.0 + probe * 10
        assert isinstance(provided.decide(now, job, DOWN), Retry)
        assert provided.breaker.admits(now + 5, in_flight=0)
        assert job.slot is not None
        job.slot = job.slot._replace(left_at=now + 5)
    assert job.retry_counts.faults == before


@pytest.mark.parametrize("closed_again", [False, True], ids=["open", "closed again"])
def test_what_was_under_way_when_the_outage_began_is_not_charged_for_it_either(closed_again: bool) -> None:
    provided = Provided()
    hanging = provided.leave(0.5)
    provided.break_down(1.0)
    if closed_again:
        provided.answer(6.5, provided.leave(6.0))
        assert provided.breaker.state is BreakerState.CLOSED
    for _ in range(20):
        assert isinstance(provided.decide(7.0, hanging, SLOW), Retry)
    assert hanging.retry_counts.faults == 0


def test_a_refused_connection_costs_its_document_nothing() -> None:
    provided = Provided()
    job = provided.leave(1.0)
    provided.fail(1.0, job, REFUSED)
    assert job.retry_counts.faults == 0


@pytest.mark.parametrize(("left_at", "now", "left_s"), [(0.0, 0.0, 60.0), (0.0, 20.0, 40.0), (10.0, 80.0, -10.0)])
def test_what_is_left_of_a_deadline_is_counted_from_the_first_attempt(
    left_at: float, now: float, left_s: float
) -> None:
    provided = Provided(succeeded=False, deadline_s=60)
    job = provided.leave(left_at)
    assert provided.policy.time_left_s(now, job) == left_s


def test_a_deadline_is_not_begun_anew_by_another_attempt() -> None:
    provided = Provided(deadline_s=60)
    job = provided.leave(10.0)
    provided.fail(15.0, job, DOWN)
    provided.policy.attempt_left(30.0, job, in_flight=1)
    assert provided.policy.time_left_s(30.0, job) == 40.0


def test_without_a_deadline_there_is_no_time_left_to_count() -> None:
    provided = Provided()
    assert provided.policy.time_left_s(LONG, provided.leave(1.0)) is None


@pytest.mark.parametrize(
    "error",
    [DOWN, THROTTLED, BadResponse("not JSON", status=200), BadResponse("no", kind=ErrorKind.SCHEMA_MISMATCH)],
    ids=["503", "429", "not JSON", "schema"],
)
def test_a_document_that_could_only_be_asked_again_after_its_deadline_ends_as_timeout(error: RequestError) -> None:
    provided = Provided(deadline_s=60)
    job = provided.leave(10.0)
    verdict = provided.fail(69.9, job, error)
    assert isinstance(verdict, Fail)
    assert verdict.failure.kind is ErrorKind.TIMEOUT
    assert verdict.failure.message == (f"no answer within the document's deadline of 60 s (last: {error.message})")


def test_an_endpoint_that_asks_for_more_patience_than_the_deadline_has_ends_the_document_at_once() -> None:
    provided = Provided(deadline_s=60)
    verdict = provided.fail(11.0, provided.leave(10.0), Unavailable("HTTP 503", status=503, retry_after_s=59.5))
    assert isinstance(verdict, Fail)
    assert verdict.failure.kind is ErrorKind.TIMEOUT


def test_an_outage_starts_the_clock_of_those_it_caught_again() -> None:
    provided = Provided(deadline_s=60)
    caught = provided.leave(0.5)
    provided.break_down(50.0)
    assert isinstance(provided.fail(120.5, caught, SLOW), Retry)
    provided.policy.attempt_left(200.0, caught, in_flight=1)
    assert provided.policy.time_left_s(200.0, caught) == 60.0
    provided.policy.attempt_left(205.0, caught, in_flight=1)
    assert provided.policy.time_left_s(205.0, caught) == 55.0


def test_an_outage_gives_no_time_to_those_that_leave_after_it() -> None:
    provided = Provided(deadline_s=60)
    provided.break_down(1.0)
    provided.answer(6.0, provided.leave(6.0))
    job = provided.leave(7.0)
    verdict = provided.fail(67.0, job, DOWN)
    assert isinstance(verdict, Fail)
    assert verdict.failure.kind is ErrorKind.TIMEOUT


def adaptive(now: float = 10.0) -> Provided:
    """A provider whose concurrency is found while running, and that has grown beyond the first 16."""
    provided = Provided(Limits())
    for second in range(int(now)):
        jobs = [provided.leave(float(second)) for _ in range(min(16, provided.scheduler.slots))]
        for job in jobs:
            provided.answer(second + 0.9, job)
    assert provided.scheduler.concurrency > 16
    return provided


def test_faults_push_the_adaptive_concurrency_back() -> None:
    provided = adaptive()
    before = provided.scheduler.concurrency
    for second in (20.0, 22.0):
        for job in [provided.leave(second) for _ in range(10)]:
            provided.fail(second + 0.9, job, DOWN)
            provided.answer(second + 0.9, provided.leave(second))
    assert provided.scheduler.concurrency == int(before * 0.7)


def test_an_outage_does_not_lower_the_concurrency() -> None:
    provided = adaptive()
    before = provided.scheduler.concurrency
    hanging = [provided.leave(19.0) for _ in range(3)]
    provided.break_down(22.0)
    assert provided.scheduler.concurrency == before
    for probe in range(3):
        provided.fail(30.0 + probe * 10, provided.leave(30.0 + probe * 10), DOWN)
    provided.answer(62.0, provided.leave(61.0))
    for job in hanging:
        provided.fail(64.0, job, SLOW)
    assert provided.breaker.state is BreakerState.CLOSED
    assert provided.scheduler.concurrency == before


def test_answers_to_what_hung_through_an_outage_are_no_measure_of_latency() -> None:
    provided = adaptive()
    hanging = [provided.leave(19.0) for _ in range(16)]
    for job in [provided.leave(20.0) for _ in range(3)]:
        provided.fail(20.0, job, REFUSED)
    before = provided.scheduler.concurrency
    provided.answer(26.0, provided.leave(25.5))
    for job in hanging:
        provided.answer(79.0, job)
    for _ in range(3):
        jobs = [provided.leave(80.0) for _ in range(7)]
        for job in jobs:
            provided.answer(80.9, job)
    assert provided.scheduler.concurrency >= before


def test_one_429_pauses_everyone() -> None:
    provided = Provided(backoff_s=2.0)
    provided.fail(1.0, provided.leave(1.0), THROTTLED)
    assert provided.cools_down(2.9)
    assert not provided.cools_down(5.1)  # 2 s and up to as much of jitter


@pytest.mark.parametrize("retry_after_s", [7.0, 300.0])
def test_the_pause_is_what_the_endpoint_asked_for(retry_after_s: float) -> None:
    provided = Provided()
    provided.fail(1.0, provided.leave(1.0), Throttled("429", status=429, retry_after_s=retry_after_s))
    assert provided.scheduler.next(1.0) == 1.0 + retry_after_s


def test_429s_to_what_was_under_way_do_not_make_the_pause_longer() -> None:
    provided = Provided(backoff_s=1.0)
    jobs = [provided.leave(1.0) for _ in range(50)]
    for number, job in enumerate(jobs):
        provided.fail(1.0 + number * 0.018, job, THROTTLED)
    assert not provided.cools_down(3.0)


def test_pauses_double_while_each_ends_in_another_429_and_are_short_again_after_a_success() -> None:
    provided, now, pauses = Provided(backoff_s=1.0), 1.0, []
    for _ in range(4):
        provided.fail(now, provided.leave(now), THROTTLED)
        until = provided.scheduler.next(now)
        assert isinstance(until, float)
        pauses.append(until - now)
        now = until
    for pause_s, least_s in zip(pauses, [1, 2, 4, 8], strict=True):
        assert least_s <= pause_s <= least_s + 1
    provided.answer(now, provided.leave(now))
    provided.fail(now, provided.leave(now), THROTTLED)
    assert not provided.cools_down(now + 2.0)


def test_a_429_opens_no_breaker_and_closes_a_half_open_one() -> None:
    provided = Provided()
    for job in [provided.leave(1.0) for _ in range(60)]:
        provided.fail(1.0, job, THROTTLED)
    assert provided.breaker.state is BreakerState.CLOSED
    provided.break_down(100.0)
    provided.fail(106.0, provided.leave(106.0), THROTTLED)
    assert provided.breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(
    ("error", "more"),
    [(THROTTLED, 0), (Rejected("HTTP 400", status=400), 1), (BadResponse("not JSON", status=200), 1), (DOWN, 0)],
    ids=["429", "400", "not JSON", "503"],
)
def test_what_lets_a_recovering_provider_have_more_in_flight(error: RequestError, more: int) -> None:
    provided = Provided()
    provided.break_down(1.0)
    provided.answer(6.0, provided.leave(6.0))
    before = provided.breaker.slots
    provided.fail(8.0, provided.leave(7.0), error)
    assert provided.breaker.slots == before + more


def test_rest_forgets_what_failed_in_a_row() -> None:
    provided = Provided(outage_s=60)
    provided.break_down(1.0)
    provided.policy.forget_failures()
    assert isinstance(provided.fail(LONG, provided.leave(LONG), DOWN), Retry)


def alone(limits: Limits) -> tuple[ResponsePolicy, Job]:
    """A policy without a scheduler, and a job in flight since 1 s."""
    provider = Provider("https://llm.example/v1", limits=limits, retries=RetryOptions(backoff_s=1.0))
    breaker = Breaker(lambda openings: 5.0)
    policy = ResponsePolicy(provider, RetryPolicy(provider.retries), breaker, ProviderFaults(provider, breaker))
    (request,) = requests(1)
    job = Job(
        request,
        Submission(Backlog(iter(())), Receiver(lambda *_: None), StopFlag()),
        b"{}",
        Tokens(1, 1),
        queued_since=0.0,
    )
    job.slot = Slot(left_at=1.0, is_retry=False, is_probe=False)
    return policy, job


def test_a_decision_says_what_becomes_of_the_document_and_of_the_provider() -> None:
    policy, job = alone(Limits(100))
    decision = policy.failed(2.0, job, Throttled("429", status=429, retry_after_s=7.0), in_flight=1)
    assert decision == Decision(Retry(7.0), Effects(cool_down_until=9.0))


def test_a_decision_on_a_stop_changes_nothing_else() -> None:
    policy, job = alone(Limits(100))
    decision = policy.failed(2.0, job, Rejected("HTTP 401", status=401), in_flight=1)
    assert isinstance(decision.verdict, StopRun)
    assert decision.effects == Effects()


def test_a_good_answer_changes_nothing_under_a_fixed_concurrency() -> None:
    policy, job = alone(Limits(100))
    assert policy.succeeded(2.0, job, 1.0, in_flight=1) == Effects()


def test_a_good_answer_carries_the_concurrency_where_it_is_found() -> None:
    policy, job = alone(Limits())
    assert policy.succeeded(2.0, job, 1.0, in_flight=1) == Effects(concurrency=FIRST_SLOTS + 1)


def test_rate_headers_that_say_empty_pause_the_provider() -> None:
    policy, job = alone(Limits(100))
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "3s"}
    assert policy.heed_rate_headers(2.0, job, headers, wall_s=0.0) == Effects(cool_down_until=5.0)
    assert policy.heed_rate_headers(2.0, job, {}, wall_s=0.0) == Effects()
