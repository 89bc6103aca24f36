"""One request on its way through an engine, and what it has been through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from prefect_llm.engine.budget import Reservation, is_ambiguous
from prefect_llm.engine.failures.retry import RetryCounts
from prefect_llm.engine.limits.rate_limits import Tokens
from prefect_llm.values.errors import RequestError, Throttled
from prefect_llm.values.outcome import Completion, DiscardedAnswer
from prefect_llm.values.request import Request

if TYPE_CHECKING:
    from prefect_llm.engine.submission import Submission


@dataclass(slots=True)
class Attempts:
    """What all providers together have done with one document, as its outcome reports it.

    The scheduler writes `queued_s`, the dispatcher `sent`, `started_at_us` and `endpoint_s`, the job the rest.
    `lost` attempts may have been billed; `discarded` holds the billed answers that were asked again.
    """

    queued_s: float = 0.0
    sent: int = 0
    started_at_us: int | None = None
    endpoint_s: float = 0.0
    throttled: int = 0
    lost: int = 0
    discarded: list[DiscardedAnswer] = field(default_factory=list)


class Slot(NamedTuple):
    """The scheduler's permission to be in flight: since when, whether for a retry, whether as the breaker's probe."""

    left_at: float
    is_retry: bool
    is_probe: bool


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
            reservation.settle(completion, self.request.parameters.model, self.submission.route)

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

    def fail(self, error: RequestError) -> None:
        """Count a failed attempt, and charge what it cost or may have cost."""
        if isinstance(error, Throttled):
            self.attempts.throttled += 1

        if error.completion is not None:
            self.settle(error.completion)
        elif is_ambiguous(error):
            self.attempts.lost += 1
            self.forfeit()
        else:
            self.release()

    def discard(self, completion: Completion | None) -> None:
        """Keep the usage of an answer that was billed and is asked again."""
        if completion is not None and completion.usage is not None:
            model, route = self.request.parameters.model, self.submission.route
            self.attempts.discarded.append(DiscardedAnswer(completion.usage, model, route))
