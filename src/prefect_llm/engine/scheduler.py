"""Which request leaves next, and when: breaker, concurrency, cooldown, rate limits and retries in one decision.

Pure in `now` and without a lock: it lives on the engine's loop thread. Requests are drawn from their
submissions only when they can leave, so that a million documents cost no more memory than those in flight.
"""

from __future__ import annotations

from collections.abc import Callable

from prefect_llm.engine.attempts import Attempts, Slot
from prefect_llm.engine.failures.breaker import Breaker
from prefect_llm.engine.failures.recent_failures import OUTAGE_DOCUMENTS
from prefect_llm.engine.failures.verdicts import Effects
from prefect_llm.engine.job_maker import JobMaker
from prefect_llm.engine.limits.concurrency import Ramp
from prefect_llm.engine.limits.in_flight import InFlight
from prefect_llm.engine.limits.pace import Pace
from prefect_llm.engine.queues import Queues
from prefect_llm.engine.submission import FallbackReason, Job, Submission
from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import Limits
from prefect_llm.values.request import Request

WAITING_ALWAYS_ALLOWED = OUTAGE_DOCUMENTS
"""As many documents may wait for a retry as may be in flight, but at least this many: a few must not stall all, and
an outage must be told from their own faults."""
RETRY_SHARE = 0.5
"""Share of the slots that retries may take while new documents can leave."""


class Scheduler:
    """Decides; the dispatcher carries out.

    `encode` makes a request's body. Budgets call `budget_changed`, from any thread, when a submission that waits for
    money may go on; its answer is a call of `unpark`.
    """

    def __init__(
        self,
        limits: Limits,
        encode: Callable[[Request], bytes],
        breaker: Breaker,
        budget_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._breaker = breaker
        self._in_flight = InFlight(limits)
        self._pace = Pace(limits)
        self._jobs = JobMaker(limits, encode)
        self._queues = Queues(self._jobs.make)
        self._head: Job | None = None
        self._budget_changed = budget_changed

    @property
    def in_flight(self) -> int:
        """How many requests are in flight."""
        return self._in_flight.count

    @property
    def concurrency(self) -> int:
        """The concurrency that was set last, whatever this process's share."""
        return self._in_flight.concurrency

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight or waits."""
        return not self._in_flight.count and self._head is None and self._queues.empty

    @property
    def waiting(self) -> int:
        """Requests that were drawn and wait: for a retry, a rate limit or another to leave."""
        return len(self._queues.retries) + (self._head is not None)

    @property
    def share(self) -> float:
        """The process's share of the provider's limits, from 0 to 1; at 0 nothing leaves."""
        return self._in_flight.share

    @share.setter
    def share(self, share: float) -> None:
        self._in_flight.share = share
        if share:
            self._pace.set_share(share)

    @property
    def slots(self) -> int:
        """The most requests in flight: the concurrency, within the share of what the provider allows."""
        return self._in_flight.slots

    @property
    def in_flight_limit(self) -> float:
        """The slots, or fewer while a provider recovers from an outage."""
        return min(self._in_flight.slots, self._breaker.slots)

    def set_concurrency(self, concurrency: int, ramp: Ramp | None = None) -> None:
        """Allow this many in flight, reached by the ramp if there is one."""
        self._in_flight.set_concurrency(concurrency, ramp)

    def apply(self, effects: Effects) -> None:
        """Change what the response policy decided for all requests of the provider."""
        if effects.concurrency is not None:
            self.set_concurrency(effects.concurrency, effects.ramp)
        if effects.cool_down_until is not None:
            self.cool_down(effects.cool_down_until)

    def add(self, submission: Submission) -> None:
        """Queue a chunk's requests behind those of the chunks before it."""
        self._queues.add(submission)

    def accept_handover(self, submission: Submission, request: Request, attempts: Attempts, now: float) -> None:
        """Queue a request that another provider's engine handed over, with its attempts there."""
        job = self._jobs.make(request, submission, now)
        job.attempts = attempts
        submission.enqueue(job)
        self._queues.add(submission)

    def next(self, now: float) -> Job | float | None:
        """The job that leaves now, the instant to ask again, or `None`: ask again when a job ends."""
        in_flight = self._in_flight
        if in_flight.count >= in_flight.slots:
            return None
        if (opens_at := in_flight.opens_at(now)) > now:
            return opens_at

        if now < self._pace.cool_until:
            return self._pace.cool_until
        if not self._breaker.admits(now, in_flight.count):
            return self._breaker.wait_until()

        if self._head is None:
            self._head = self._reserve_next(now)
        if self._head is None:
            return self._queues.retries.next_due
        if (wait_s := self._pace.take(now, self._head.tokens)) > 0:
            return now + wait_s

        job, self._head = self._head, None
        self._occupy_slot(job, now)
        return job

    def release_slot(self, job: Job) -> None:
        """Free the slot that `next` gave; a second time does nothing."""
        slot, job.slot = job.slot, None
        if slot is None:
            return

        self._in_flight.leave(is_retry=slot.is_retry)
        if slot.is_probe:
            self._breaker.probe_ended()

    def schedule_retry(self, job: Job, now: float, delay_s: float) -> None:
        """Send it again after a pause; it is queued from now on."""
        job.queued_since = now
        self._queues.retries.push(job, now + delay_s)

    def is_held_back(self, now: float) -> bool:
        """Whether something waits for a slot or a rate limit, so that a larger share would be used."""
        waits = self._head is not None or self._queues.can_leave
        return waits and (self.in_flight >= self.slots or self._pace.was_limited(now))

    def cool_down(self, until: float) -> None:
        """Let nothing leave before that instant."""
        self._pace.cool_down(until)

    def record_usage(self, now: float, job: Job, used: Usage) -> None:
        """Correct the rate limits, and the model's token sizes, by what an answer really used."""
        if self._pace.counts_tokens:
            self._pace.settle(now, job.tokens, used, job.left_at)
            self._jobs.learn(job, used)

    def unpark(self) -> None:
        """Let submissions that wait for money go on, before all others."""
        self._queues.unpark()

    def remove(self, submission: Submission) -> None:
        """Give up all of a submission that is not in flight."""
        submission.jobs_done(len(self._take_out(submission)) + submission.give_up())

    def take_for_fallback(self, now: float) -> list[Job]:
        """While the breaker holds everything back: take out all jobs that have a fallback, to the last document."""
        if not self._breaker.holds_all(now):
            return []

        leaving = [each for each in self._queues.submissions() if each.has_fallback(FallbackReason.OUTAGE)]
        return [job for submission in leaving for job in self._drain(submission, now)]

    def _drain(self, submission: Submission, now: float) -> list[Job]:
        jobs = self._take_out(submission)
        while (job := submission.draw(self._jobs.make, now)) is not None:
            jobs.append(job)
        if not jobs:
            submission.jobs_done(0)
        return jobs

    def _take_out(self, submission: Submission) -> list[Job]:
        """Its jobs that were drawn and wait here. It is no longer drawn from."""
        jobs = self._queues.take_out(submission)
        if self._head is not None and self._head.submission is submission:
            self._head.release()
            jobs.append(self._head)
            self._head = None
        return jobs

    def _occupy_slot(self, job: Job, now: float) -> None:
        job.attempts.queued_s += now - job.queued_since
        job.slot = Slot(now, is_retry=job.attempts.sent > 0, is_probe=self._breaker.left())
        self._in_flight.enter(is_retry=job.slot.is_retry)

    def _choose(self, now: float) -> Job | None:
        """Due retries before new documents, up to their share of the slots.

        Fresh documents go first while the provider is in doubt: an outage must not use up one document's retries.
        """
        retries = self._queues.retries
        due = retries.next_due
        if due is None or due > now:
            return self._draw(now)
        if self._breaker.doubtful or self._in_flight.retries >= max(1, int(RETRY_SHARE * self.in_flight_limit)):
            return self._draw(now) or retries.pop()
        return retries.pop()

    def _reserve_next(self, now: float) -> Job | None:
        """The next job, with its money reserved. A submission that cannot pay for its next job is parked."""
        while (job := self._choose(now)) is not None:
            if (budget := job.submission.budget) is None:
                return job
            if (reservation := budget.reserve(job.request, self._budget_changed)) is not None:
                job.reservation = reservation
                return job
            self._queues.park(job)
        return None

    def _draw(self, now: float) -> Job | None:
        """The next document's job; `None` while too many documents wait for a retry."""
        return self._queues.draw(now, max(self.concurrency, WAITING_ALWAYS_ALLOWED))
