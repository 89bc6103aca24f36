"""What a caller hands to an engine: a chunk's requests, where their outcomes go, and each request as a job."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from prefect_llm.engine.attempts import Attempts, Slot
from prefect_llm.engine.budget import BudgetGate, Reservation, is_ambiguous
from prefect_llm.engine.failures.retry import RetryCounts
from prefect_llm.engine.limits.rate_limits import Tokens
from prefect_llm.system import telemetry
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.errors import RequestError, Throttled
from prefect_llm.values.outcome import Completion, DiscardedAnswer, Outcome
from prefect_llm.values.request import Request

if TYPE_CHECKING:
    from opentelemetry.context import Context


class FallbackReason(StrEnum):
    """Why a request goes to a fallback."""

    OUTAGE = "outage"
    MODEL_GONE = "model_gone"
    CONTEXT_TOO_LONG = "context_too_long"


class Fallback(Protocol):
    """Answers the requests that a provider cannot answer."""

    def accepts(self, why: FallbackReason) -> bool:
        """Whether another provider can be asked."""

    def accept(self, job: Job, why: FallbackReason) -> None:
        """Ask it there. The job is then no longer the giver's. Only if `accepts` is true."""


def unheard(attempt: int) -> None:
    """For callers that do not count attempts."""


def unnoticed(request: Request) -> None:
    """For callers that do not count what is lost or throttled."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """What the caller is told, on engines' threads: none of it may block.

    Each outcome; the number of every attempt as it leaves, from 1; each request that is answered 429, and each that
    ends without an answer and may have been billed.
    """

    deliver: Callable[[Request, Outcome], None]
    sent: Callable[[int], None] = unheard
    throttled: Callable[[Request], None] = unnoticed
    lost: Callable[[Request], None] = unnoticed


@dataclass(frozen=True, slots=True)
class Route:
    """Which of its run's providers a submission asks, from 0, and who answers what that one cannot."""

    number: int = 0
    fallback: Fallback | None = None


FIRST_ROUTE = Route()


@dataclass(eq=False, slots=True)
class Backlog:
    """A chunk's requests: those to draw, jobs to send before them (`queued`), and how many drawn are unfinished.

    While `open`, other engines may hand jobs over. Once `exhausted`, none is left to draw and none will come.
    """

    requests: Iterator[Request]
    open: bool = False
    queued: deque[Job] = field(default_factory=deque)
    unfinished: int = 0
    exhausted: bool = False


@dataclass(eq=False, slots=True)
class Submission:
    """One chunk's requests and where their outcomes go. Its engine's thread alone changes it.

    `done` resolves when no request is left to draw and none drawn is unfinished: with the `fault` that ended
    it (the caller's iterator or receiver raised), else with the error that stopped the run, else well. `answered`
    says that requests of the same run were answered before: what they all carry is then not at fault.
    """

    backlog: Backlog
    receiver: Receiver
    stop: StopFlag
    keep_raw: bool = False
    budget: BudgetGate | None = None
    route: Route = FIRST_ROUTE
    answered: bool = False
    trace: Context | None = field(default_factory=telemetry.here)
    done: Future[None] = field(default_factory=Future)
    fault: Exception | None = None

    def draw(self, make_job: Callable[[Request, Submission, float], Job], now: float) -> Job | None:
        """The next job; `None` after the last, and after a fault of the iterator or of encoding."""
        backlog = self.backlog
        if backlog.queued:
            return backlog.queued.popleft()

        job = None
        try:
            if (request := next(backlog.requests, None)) is not None:
                job = make_job(request, self, now)
        except Exception as fault:  # the caller's code, or what it gave: its error goes back to the caller
            self.fault = fault

        if job is not None:
            backlog.unfinished += 1
        else:
            backlog.exhausted = not backlog.open
        return job

    def enqueue(self, job: Job) -> None:
        """Queue a job that another engine handed over."""
        self.backlog.queued.append(job)
        self.backlog.unfinished += 1

    def put_back(self, job: Job) -> None:
        """Queue a job that was drawn, before all others."""
        self.backlog.queued.appendleft(job)

    def finish(self) -> None:
        """No more jobs will be handed over."""
        self.backlog.open = False
        self.backlog.exhausted = True
        self.jobs_done(0)

    def give_up(self) -> int:
        """Draw no more: drop what is queued, and return how much that was."""
        dropped = len(self.backlog.queued)
        self.backlog.queued.clear()
        self.backlog.exhausted = True
        return dropped

    def has_fallback(self, why: FallbackReason) -> bool:
        """Whether a fallback accepts its requests."""
        fallback = self.route.fallback
        return fallback is not None and fallback.accepts(why) and self.stop.error is None

    def jobs_done(self, count: int = 1) -> None:
        """Count drawn requests that are delivered, handed over or given up; the last one resolves `done`."""
        backlog = self.backlog
        backlog.unfinished -= count
        if backlog.unfinished or not backlog.exhausted or self.done.done():
            return

        if (error := self.fault or self.stop.error) is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


@dataclass(eq=False, slots=True)
class Job:
    """One request of a submission. Instants in seconds of the loop.

    The scheduler writes `queued_since`, `slot` (`None` while not in flight) and `reservation`; the retry policy
    `retry_counts`, the response policy `deadline_from`, when the document's deadline began.
    """

    request: Request
    submission: Submission
    body: bytes
    tokens: Tokens
    queued_since: float
    attempts: Attempts = field(default_factory=Attempts)
    retry_counts: RetryCounts = field(default_factory=RetryCounts)
    deadline_from: float | None = None
    slot: Slot | None = None
    reservation: Reservation | None = None

    @property
    def left_at(self) -> float:
        """When its attempt left. Only while it is in flight."""
        assert self.slot is not None, "only a job in flight has left"
        return self.slot.left_at

    def settle(self, completion: Completion) -> None:
        """The attempt is answered: charge what it cost."""
        reservation, self.reservation = self.reservation, None
        if reservation is not None:
            reservation.settle(completion, self.request.parameters.model, self.submission.route.number)

    def release(self) -> None:
        """The attempt is not billed."""
        reservation, self.reservation = self.reservation, None
        if reservation is not None:
            reservation.release()

    def forfeit(self) -> None:
        """The attempt may have been billed: charge all that was reserved. Nothing reserved, nothing done."""
        reservation, self.reservation = self.reservation, None
        if reservation is not None:
            reservation.forfeit()

    def lose(self) -> None:
        """The attempt ended without an answer and may have been billed."""
        self.attempts.lost += 1
        self.submission.receiver.lost(self.request)
        self.forfeit()

    def fail(self, error: RequestError) -> None:
        """Count a failed attempt, and charge what it cost or may have cost."""
        if isinstance(error, Throttled):
            self.attempts.throttled += 1
            self.submission.receiver.throttled(self.request)

        if error.completion is not None:
            self.settle(error.completion)
        elif is_ambiguous(error):
            self.lose()
        else:
            self.release()

    def discard(self, completion: Completion | None) -> None:
        """Keep the usage of an answer that was billed and is asked again; without usage it is lost."""
        if completion is None:
            return
        if completion.usage is None:
            self.attempts.lost += 1
        else:
            model, route = self.request.parameters.model, self.submission.route.number
            self.attempts.discarded.append(
                DiscardedAnswer(completion.usage, model, route, completion.model, completion.service)
            )
