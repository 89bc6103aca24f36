"""Which request leaves next, and when: concurrency, cooldown, quota and retries in one decision.

Pure in `now` and without a lock: it lives on the engine's loop thread. Requests are drawn from their
submissions only when they can leave, so that a million documents cost no more memory than those in flight.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

from prefect_llm.engine.controller import FIRST_CONCURRENCY
from prefect_llm.engine.quota import Quota, estimated_tokens
from prefect_llm.engine.retry import Tries
from prefect_llm.engine.stop import Stop
from prefect_llm.records import Limits, Outcome, Request, Usage

WAITING_ALWAYS_ALLOWED = 8
"""As many documents may wait for a retry as may be in flight, but so many in any case: one must not stall all."""


def unheard(attempt: int) -> None:
    """For callers that do not count attempts."""


@dataclass(eq=False, slots=True)
class Submission:
    """One chunk's requests and where their outcomes go.

    `done` resolves when no request is left to draw and none drawn is unfinished: with the fault that ended
    it (the caller's iterator or receiver raised), else with the error that stopped the run, else well.
    """

    requests: Iterator[Request]
    deliver: Callable[[Request, Outcome], None]
    stop: Stop
    keep_raw: bool = False
    sent: Callable[[int], None] = unheard
    done: Future[None] = field(default_factory=Future)
    unfinished: int = 0
    exhausted: bool = False
    fault: Exception | None = None

    def draw(self, encode: Callable[[Request], bytes]) -> tuple[Request, bytes] | None:
        """The next request and its body; `None` after the last, and after a fault of the iterator or of encoding."""
        try:
            request = next(self.requests, None)
            drawn = None if request is None else (request, encode(request))
        except Exception as fault:  # the caller's code, or what it gave: its error goes back to the caller
            self.fault, drawn = fault, None
        if drawn is None:
            self.exhausted = True
        else:
            self.unfinished += 1
        return drawn

    def ended(self, count: int = 1) -> None:
        """So many drawn requests have ended, delivered or given up."""
        self.unfinished -= count
        if self.unfinished or not self.exhausted or self.done.done():
            return
        if (error := self.fault or self.stop.error) is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


@dataclass(eq=False, slots=True)
class Job:
    """One request on its way: what was tried, how long it waited. Instants in seconds of the loop."""

    request: Request
    submission: Submission
    body: bytes
    tokens: int
    queued_since: float
    queued_s: float = 0.0
    attempts: int = 0
    throttled: int = 0
    started_at_us: int | None = None
    in_flight: bool = False
    tries: Tries = field(default_factory=Tries)
    discarded: list[Usage] = field(default_factory=list)


class Scheduler:
    """Decides; the engine carries out. `concurrency` may change at any time."""

    def __init__(self, limits: Limits, encode: Callable[[Request], bytes]) -> None:
        self.concurrency = min(limits.most_in_flight, FIRST_CONCURRENCY) if limits.adaptive else limits.most_in_flight
        self.in_flight = 0
        self._quota = Quota(limits)
        self._encode = encode
        self._submissions: deque[Submission] = deque()
        self._head: Job | None = None
        self._retries: list[tuple[float, int, Job]] = []
        self._order = itertools.count()
        self._cool_until = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight or waits."""
        return not (self.in_flight or self._submissions or self._retries or self._head)

    def add(self, submission: Submission) -> None:
        """Queue a chunk's requests behind those of the chunks before it."""
        self._submissions.append(submission)

    def next(self, now: float) -> Job | float | None:
        """The job that leaves now; or the instant to ask again; or nothing to do until something ends."""
        if self.in_flight >= self.concurrency:
            return None
        if now < self._cool_until:
            return self._cool_until
        if self._head is None:
            self._head = self._due(now) or self._drawn(now)
        if self._head is None:
            return self._retries[0][0] if self._retries else None
        if (wait_s := self._quota.wait_s(now, self._head.tokens)) > 0:
            return now + wait_s
        job, self._head = self._head, None
        self._quota.take(now, job.tokens)
        job.queued_s += now - job.queued_since
        job.in_flight = True
        self.in_flight += 1
        return job

    def land(self, job: Job) -> None:
        """Give back the place that `next` gave; a second time does nothing."""
        if job.in_flight:
            job.in_flight = False
            self.in_flight -= 1

    def again(self, job: Job, now: float, delay_s: float) -> None:
        """Ask once more after a pause; the document is queued from now on."""
        job.queued_since = now
        heapq.heappush(self._retries, (now + delay_s, next(self._order), job))

    def cool_down(self, until: float) -> None:
        """Let nothing leave before that instant."""
        self._cool_until = max(self._cool_until, until)

    def cooling(self, now: float) -> bool:
        """Whether the provider is in a cooldown."""
        return now < self._cool_until

    def settle(self, now: float, job: Job, used: int) -> None:
        """Charge the tokens an answer used beyond its estimate."""
        self._quota.settle(now, job.tokens, used)

    def drop(self, submission: Submission) -> None:
        """Forget what of a submission has not left."""
        if submission in self._submissions:
            self._submissions.remove(submission)
        kept = [entry for entry in self._retries if entry[2].submission is not submission]
        dropped = len(self._retries) - len(kept)
        self._retries = kept
        heapq.heapify(self._retries)
        if self._head is not None and self._head.submission is submission:
            self._head = None
            dropped += 1
        submission.exhausted = True
        submission.ended(dropped)

    def _due(self, now: float) -> Job | None:
        if self._retries and self._retries[0][0] <= now:
            return heapq.heappop(self._retries)[2]
        return None

    def _drawn(self, now: float) -> Job | None:
        """The next document's job; none while too many documents wait for a retry."""
        while self._submissions and len(self._retries) < max(self.concurrency, WAITING_ALWAYS_ALLOWED):
            submission = self._submissions[0]
            if (drawn := submission.draw(self._encode)) is not None:
                request, body = drawn
                tokens = estimated_tokens(body, request.parameters.max_output_tokens)
                return Job(request, submission, body, tokens, queued_since=now)
            self._submissions.popleft()
            submission.ended(0)
        return None
