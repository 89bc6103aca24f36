"""Which request leaves next, and when: breaker, concurrency, cooldown, quota and retries in one decision.

Pure in `now` and without a lock: it lives on the engine's loop thread. Requests are drawn from their
submissions only when they can leave, so that a million documents cost no more memory than those in flight.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable

from prefect_llm.engine.failures.breaker import OUTAGE_DOCUMENTS, Breaker
from prefect_llm.engine.limits.concurrency import Ramp
from prefect_llm.engine.limits.concurrency_controller import FIRST_CONCURRENCY
from prefect_llm.engine.limits.rate_limits import RateLimits
from prefect_llm.engine.limits.token_sizes import TokenSizes
from prefect_llm.engine.submission import FallbackReason, Job, Submission
from prefect_llm.values.outcome import Usage
from prefect_llm.values.provider import Limits
from prefect_llm.values.request import Request

WAITING_ALWAYS_ALLOWED = OUTAGE_DOCUMENTS
"""As many documents may wait for a retry as may be in flight, but so many in any case: a few must not stall all,
and an outage must be told from their own faults."""
HELD_BACK_S = 2.0
"""So long after it had to wait for quota, more of it would still be used."""
RETRY_SHARE = 0.5
"""Share of the places that retries may take while new documents can leave."""


class Scheduler:
    """Decides; the engine carries out.

    `encode` makes a request's body; `money_changed` is what budgets call, from any thread, when a submission that was
    parked for want of money may go on: `unpark` follows then.
    """

    def __init__(
        self,
        limits: Limits,
        encode: Callable[[Request], bytes],
        breaker: Breaker,
        money_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.concurrency = min(limits.most_in_flight, FIRST_CONCURRENCY) if limits.adaptive else limits.most_in_flight
        self.in_flight = 0
        self._ramp: Ramp | None = None
        self._waited_for_quota_at = -math.inf
        self._limits = limits
        self._share = 1.0
        self._quota = RateLimits(limits)
        self._estimates = TokenSizes(limits.token_accounting)
        self._encode = encode
        self._breaker = breaker
        self._submissions: deque[Submission] = deque()
        self._parked: list[Submission] = []
        self._money_changed = money_changed
        self._head: Job | None = None
        self._retries: list[tuple[float, int, Job]] = []
        self._retries_in_flight = 0
        self._order = itertools.count()
        self._cool_until = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight or waits."""
        return not (self.in_flight or self._submissions or self._retries or self._head or self._parked)

    @property
    def waiting(self) -> int:
        """Requests that were drawn and wait: for a retry, for quota or for another to leave."""
        return len(self._retries) + (self._head is not None)

    @property
    def share(self) -> float:
        """The part that this process has of the provider's limits, from 0 to 1; at 0 nothing leaves."""
        return self._share

    @share.setter
    def share(self, share: float) -> None:
        self._share = share
        if share:
            self._quota.share = share

    @property
    def places(self) -> int:
        """How many may be in flight: the concurrency, within the share of what the provider allows."""
        if self._share == 1.0:
            return self.concurrency
        if not self._share:
            return 0
        return min(self.concurrency, max(1, int(self._limits.most_in_flight * self._share + 1e-9)))

    @property
    def limit(self) -> float:
        """The places, while a provider that was down is let recover."""
        return min(self.places, self._breaker.places)

    def hold(self, concurrency: int, ramp: Ramp | None = None) -> None:
        """So many may be in flight; by the ramp, if one is given."""
        self.concurrency, self._ramp = concurrency, ramp

    def add(self, submission: Submission) -> None:
        """Queue a chunk's requests behind those of the chunks before it."""
        self._submissions.append(submission)

    def hand(self, submission: Submission, request: Request, given: Job, now: float) -> None:
        """Queue a request that another provider's engine gave up, with what it has been through."""
        submission.hand(self._made(request, submission, now).carry(given))
        if submission not in self._submissions:
            self._submissions.append(submission)

    def next(self, now: float) -> Job | float | None:
        """The job that leaves now; or the instant to ask again; or nothing to do until something ends."""
        if self.in_flight >= self.places:
            return None
        if self._ramp is not None and (opens_at := self._ramp.opens_at(self.in_flight + 1)) > now:
            return opens_at
        if now < self._cool_until:
            return self._cool_until
        if not self._breaker.admits(now, self.in_flight):
            return self._breaker.wait_until()
        if self._head is None:
            self._head = self._affordable(now)
        if self._head is None:
            return self._retries[0][0] if self._retries else None
        if (wait_s := self._quota.take(now, self._head.tokens)) > 0:
            self._waited_for_quota_at = now
            return now + wait_s
        job, self._head = self._head, None
        return self._leaving(job, now)

    def land(self, job: Job) -> None:
        """Give back the place that `next` gave; a second time does nothing."""
        if not job.in_flight:
            return
        job.in_flight = False
        self.in_flight -= 1
        self._retries_in_flight -= job.retries
        if job.is_probe:
            self._breaker.probe_ended()

    def again(self, job: Job, now: float, delay_s: float) -> None:
        """Ask once more after a pause; the document is queued from now on."""
        job.queued_since = now
        heapq.heappush(self._retries, (now + delay_s, next(self._order), job))

    def is_held_back(self, now: float) -> bool:
        """Whether something waits, and for a place or for quota: more of either would be used."""
        waits = self._head is not None or bool(self._submissions) or bool(self._retries)
        return waits and (self.in_flight >= self.places or now - self._waited_for_quota_at < HELD_BACK_S)

    def cool_down(self, until: float) -> None:
        """Let nothing leave before that instant."""
        self._cool_until = max(self._cool_until, until)

    def cooling(self, now: float) -> bool:
        """Whether the provider is in a cooldown."""
        return now < self._cool_until

    def settle(self, now: float, job: Job, used: Usage) -> None:
        """Correct the quota, and the estimates for the model, by what an answer really took."""
        if self._limits.counts_tokens:
            self._quota.settle(now, job.tokens, used, job.left_at)
            self._estimates.learn(job.request.parameters.model, len(job.body), used)

    def unpark(self) -> None:
        """Let the submissions that wait for money try again, before all others."""
        self._submissions.extendleft(reversed([each for each in self._parked if each not in self._submissions]))
        self._parked.clear()

    def drop(self, submission: Submission) -> None:
        """Forget what of a submission has not left."""
        dropped = len(self._taken_out(submission)) + len(submission.handed)
        submission.handed.clear()
        submission.exhausted = True
        submission.ended(dropped)

    def divertible(self, now: float) -> list[Job]:
        """While the breaker holds all: take out what waits and has a fallback, drawn to the last document."""
        if not self._breaker.holds_all(now):
            return []
        diverting = [each for each in self._submissions if each.diverts(FallbackReason.OUTAGE)]
        waiting = [job.submission for _, _, job in self._retries if job.submission.diverts(FallbackReason.OUTAGE)]
        return [job for submission in dict.fromkeys(diverting + waiting) for job in self._drained(submission, now)]

    def _drained(self, submission: Submission, now: float) -> list[Job]:
        jobs = self._taken_out(submission)
        while (job := submission.draw(self._made, now)) is not None:
            jobs.append(job)
        if not jobs:
            submission.ended(0)
        return jobs

    def _taken_out(self, submission: Submission) -> list[Job]:
        """Its jobs that were drawn and wait here; the submission is no longer drawn from."""
        if submission in self._submissions:
            self._submissions.remove(submission)
        if submission in self._parked:
            self._parked.remove(submission)
        jobs = [job for _, _, job in self._retries if job.submission is submission]
        self._retries = [entry for entry in self._retries if entry[2].submission is not submission]
        heapq.heapify(self._retries)
        if self._head is not None and self._head.submission is submission:
            self._head.release()
            jobs.append(self._head)
            self._head = None
        return jobs

    def _leaving(self, job: Job, now: float) -> Job:
        job.queued_s += now - job.queued_since
        job.left_at = now
        job.in_flight = True
        job.retries = job.attempts > 0
        job.is_probe = self._breaker.left()
        self.in_flight += 1
        self._retries_in_flight += job.retries
        return job

    def _chosen(self, now: float) -> Job | None:
        """Retries that are due before new documents, up to their share; new ones first while in doubt.

        So an outage is told from documents that fail by themselves, and probed, at no document's expense.
        """
        if not (self._retries and self._retries[0][0] <= now):
            return self._first(now)
        if self._breaker.doubtful or self._retries_in_flight >= max(1, int(RETRY_SHARE * self.limit)):
            return self._first(now) or self._due()
        return self._due()

    def _affordable(self, now: float) -> Job | None:
        """The job that was chosen, with its money set aside; a submission without enough of it is parked."""
        while (job := self._chosen(now)) is not None:
            if (budget := job.submission.budget) is None:
                return job
            if (hold := budget.reserve(job.request, self._money_changed)) is not None:
                job.hold = hold
                return job
            self._park(job)
        return None

    def _park(self, job: Job) -> None:
        submission = job.submission
        submission.put_back(job)
        if submission in self._submissions:
            self._submissions.remove(submission)
        if submission not in self._parked:
            self._parked.append(submission)

    def _due(self) -> Job:
        return heapq.heappop(self._retries)[2]

    def _first(self, now: float) -> Job | None:
        """The next document's job; none while too many documents wait for a retry."""
        while self._submissions and len(self._retries) < max(self.concurrency, WAITING_ALWAYS_ALLOWED):
            submission = self._submissions[0]
            if (job := submission.draw(self._made, now)) is not None:
                return job
            self._submissions.popleft()
            submission.ended(0)
        return None

    def _made(self, request: Request, submission: Submission, now: float) -> Job:
        body, parameters = self._encode(request), request.parameters
        tokens = self._estimates.tokens(parameters.model, len(body), parameters.max_output_tokens)
        return Job(request, submission, body, tokens, queued_since=now)
