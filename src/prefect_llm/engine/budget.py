"""The seam to a run's budget: what a request may cost is set aside before it leaves, and settled after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from prefect_llm.values.errors import BadResponse, RequestError, Unavailable
from prefect_llm.values.outcome import Completion
from prefect_llm.values.request import Request

AMBIGUOUS_STATUSES = frozenset({502, 504, 520, 524})
"""A gateway lost touch with a server that may have answered; the last two are Cloudflare's."""


class Hold(Protocol):
    """What was set aside for one attempt. Exactly one of the three follows."""

    def bill(self, completion: Completion, model: str, route: int) -> None:
        """An answer came, by whoever is that route; without usage that can be read it stays set aside."""

    def release(self) -> None:
        """The endpoint bills nothing."""

    def lose(self) -> None:
        """Whether it was billed is not known: it stays set aside for good."""


class BudgetGate(Protocol):
    """A run's money. Called on engines' threads; nothing here may block."""

    def hold(self, request: Request, changed: Callable[[], None]) -> Hold | None:
        """Set aside what the request may cost at most.

        `None` where that does not fit now: `changed` is called once it may, from any thread, or the run is stopped.
        """


def is_ambiguous(error: RequestError) -> bool:
    """Whether the endpoint may have billed an attempt that failed so without an answer that can be read."""
    if isinstance(error, Unavailable):
        return not error.unreachable and (error.status is None or error.status in AMBIGUOUS_STATUSES)
    return isinstance(error, BadResponse)
