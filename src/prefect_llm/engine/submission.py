"""What a caller hands to an engine, and what becomes of each request on its way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from prefect_llm.engine.budget import BudgetGate, Reservation, is_ambiguous
from prefect_llm.engine.failures.retry import RetryCounts
from prefect_llm.engine.limits.rate_limits import Tokens
from prefect_llm.system import telemetry
from prefect_llm.system.stop_signal import StopSignal
from prefect_llm.values.errors import RequestError
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
    """Who takes the requests that a provider cannot answer."""

    def takes(self, why: FallbackReason) -> bool:
        """Whether there is someone to ask instead."""

    def take(self, job: Job, why: FallbackReason) -> None:
        """Ask there; the job is no longer the giver's. Only where `takes` said so."""


def unheard(attempt: int) -> None:
    """For callers that do not count attempts."""


@dataclass(eq=False, slots=True)
class Submission:
    """One chunk's requests and where their outcomes go.

    `done` resolves when no request is left to draw and none drawn is unfinished: with the fault that ended
    it (the caller's iterator or receiver raised), else with the error that stopped the run, else well. While
    `open`, jobs may still be handed over by other providers' engines, to whom it is the fallback of that `route`.
    """

    requests: Iterator[Request]
    deliver: Callable[[Request, Outcome], None]
    stop: StopSignal
    keep_raw: bool = False
    sent: Callable[[int], None] = unheard
    budget: BudgetGate | None = None
    fallback: Fallback | None = None
    route: int = 0
    open: bool = False
    trace: Context | None = field(default_factory=telemetry.here)
    done: Future[None] = field(default_factory=Future)
    handed: deque[Job] = field(default_factory=deque)
    unfinished: int = 0
    exhausted: bool = False
    fault: Exception | None = None

    def draw(self, made: Callable[[Request, Submission, float], Job], now: float) -> Job | None:
        """The next job; `None` after the last, and after a fault of the iterator or of encoding."""
        if self.handed:
            return self.handed.popleft()
        job = None
        try:
            if (request := next(self.requests, None)) is not None:
                job = made(request, self, now)
        except Exception as fault:  # the caller's code, or what it gave: its error goes back to the caller
            self.fault = fault
        if job is not None:
            self.unfinished += 1
        else:
            self.exhausted = not self.open
        return job

    def hand(self, job: Job) -> None:
        """Queue a job that another engine gave up, or that has to wait its turn again."""
        self.handed.append(job)
        self.unfinished += 1

    def put_back(self, job: Job) -> None:
        """Queue a job that was drawn before all others."""
        self.handed.appendleft(job)

    def close(self) -> None:
        """Nothing more will be handed over."""
        self.open = False
        self.exhausted = True
        self.ended(0)

    def diverts(self, why: FallbackReason) -> bool:
        """Whether a fallback would take its requests."""
        return self.fallback is not None and self.fallback.takes(why) and self.stop.error is None

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
    """One request on its way: what was tried, how long it waited. Instants in seconds of the loop.

    `clock_began` is when its deadline's clock started; `retries` says that it has left before, `is_probe` that
    an open breaker let it leave alone. `hold` is what was set aside for the attempt under way.
    """

    request: Request
    submission: Submission
    body: bytes
    tokens: Tokens
    queued_since: float
    queued_s: float = 0.0
    attempts: int = 0
    throttled: int = 0
    lost: int = 0
    endpoint_s: float = 0.0
    started_at_us: int | None = None
    left_at: float = 0.0
    clock_began: float | None = None
    in_flight: bool = False
    retries: bool = False
    is_probe: bool = False
    hold: Reservation | None = None
    tries: RetryCounts = field(default_factory=RetryCounts)
    discarded: list[DiscardedAnswer] = field(default_factory=list)

    def bill(self, completion: Completion) -> None:
        """An answer came: its attempt costs what it costs."""
        hold, self.hold = self.hold, None
        if hold is not None:
            hold.settle(completion, self.request.parameters.model, self.submission.route)

    def release(self) -> None:
        """The attempt costs nothing."""
        hold, self.hold = self.hold, None
        if hold is not None:
            hold.release()

    def lose(self) -> None:
        """Whether the attempt costs anything is not known."""
        hold, self.hold = self.hold, None
        if hold is not None:
            hold.forfeit()

    def settle(self, error: RequestError) -> None:
        """The attempt failed: billed with what was answered all the same, or not, or not known."""
        if error.completion is not None:
            self.bill(error.completion)
        elif is_ambiguous(error):
            self.lost += 1
            self.lose()
        else:
            self.release()

    def carry(self, other: Job) -> Job:
        """Take over what the same document has been through elsewhere."""
        self.queued_s = other.queued_s
        self.attempts = other.attempts
        self.throttled = other.throttled
        self.lost = other.lost
        self.endpoint_s = other.endpoint_s
        self.started_at_us = other.started_at_us
        self.discarded = other.discarded
        return self
