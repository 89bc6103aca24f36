"""Asks the fallbacks of a provider, in their order, where it cannot answer; each by an engine of its own.

A request moves on when the provider's breaker is open, its model is gone, or the context is too long for it.
New documents go to the first provider again as soon as it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prefect_llm.engine.budget import BudgetGate
from prefect_llm.engine.engine import Engine
from prefect_llm.engine.registry import engine_for
from prefect_llm.engine.submission import (
    Backlog,
    FallbackReason,
    Job,
    Receiver,
    Route,
    Submission,
    unheard,
    unnoticed,
)
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request

Rewritten = Callable[[Request, int], Request]
"""The request as the provider of a route is asked: for its model."""


def ask(
    provider: Provider,
    requests: Iterator[Request],
    deliver: Callable[[Request, Outcome], None],
    stop: StopFlag,
    *,
    rewritten: Rewritten,
    keep_raw: bool = False,
    sent: Callable[[int], None] = unheard,
    budget: BudgetGate | None = None,
    answered: bool = False,
    throttled: Callable[[Request], None] = unnoticed,
    lost: Callable[[Request], None] = unnoticed,
) -> None:
    """Ask every request of the provider or one of its fallbacks; each outcome's `route` says of whom.

    Blocks until each is delivered; calls back as `Engine.start` says and raises as `Engine.finish` does.
    `deliver` may be called on several engines' threads.
    """
    routes = provider.routes
    links: list[_Link] = []
    receiver = Receiver(deliver, sent, throttled, lost)
    for number, each in enumerate(routes):
        backlog = Backlog(requests) if number == 0 else Backlog(iter(()), open=True)
        route = Route(number, FallbackChain(links, number, rewritten) if number + 1 < len(routes) else None)
        submission = Submission(backlog, receiver, stop, keep_raw, budget, route, answered=answered and number == 0)
        links.append(_Link(engine_for(each), submission))

    for link in reversed(links):  # a fallback is there before anything is handed over to it
        link.engine.start(link.submission)

    try:
        for link in links:
            link.engine.finish(link.submission)
    except BaseException:
        for link in links:
            link.engine.cancel(link.submission)
        raise


@dataclass(frozen=True, slots=True)
class _Link:
    engine: Engine
    submission: Submission


class FallbackChain:
    """The fallbacks behind one link of the chain."""

    def __init__(self, links: Sequence[_Link], route: int, rewritten: Rewritten) -> None:
        self._links = links
        self._route = route
        self._rewritten = rewritten

    def accepts(self, why: FallbackReason) -> bool:
        """Whether a provider behind this one can be asked."""
        return self._next(why) is not None

    def accept(self, job: Job, why: FallbackReason) -> None:
        """Ask the next one, which goes on counting the job's attempts."""
        link = self._next(why)
        assert link is not None, "only if accepts()"
        request = self._rewritten(job.request, link.submission.route.number)
        link.engine.accept_handover(link.submission, request, job.attempts)

    def _next(self, why: FallbackReason) -> _Link | None:
        """Another model of the same provider helps in anything but an outage."""
        own = self._links[self._route].engine
        later = self._links[self._route + 1 :]
        return next((link for link in later if why is not FallbackReason.OUTAGE or link.engine is not own), None)
