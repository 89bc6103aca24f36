"""The seam to a run's budget: what an attempt may cost is reserved before it leaves, and settled after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from prefect_llm.values.errors import BadResponse, Rejected, RequestError, Unavailable
from prefect_llm.values.outcome import Completion, ErrorKind
from prefect_llm.values.request import Request

AMBIGUOUS_STATUSES = frozenset({408, 424, 499, 502, 504, 520, 524})
"""The request took too long, what lies behind the endpoint failed (424), or a gateway lost its server or took us for
gone (499, nginx's): the model may have answered. The last two are Cloudflare's."""


class Reservation(Protocol):
    """What is reserved for one attempt. Exactly one of the three ends it."""

    def settle(self, completion: Completion, model: str, route: int) -> None:
        """The provider of that route answered, asked for `model`. Without readable usage the amount is forfeited."""

    def release(self) -> None:
        """The attempt is not billed."""

    def forfeit(self) -> None:
        """The attempt may have been billed: its whole amount counts as spent."""


class BudgetGate(Protocol):
    """Reserves what a request may cost before it leaves. Called on engines' threads: nothing here may block."""

    def reserve(self, request: Request, changed: Callable[[], None]) -> Reservation | None:
        """Reserve the most that the request may cost.

        `None` if that does not fit now. Then `changed` is called once it may fit, from any thread, or the run stops.
        """


def is_ambiguous(error: RequestError) -> bool:
    """Whether the endpoint may have billed an attempt that failed like this, without a readable answer.

    Azure bills what its content filter refuses: learn.microsoft.com/azure/ai-foundry/openai/how-to/manage-costs.
    """
    if isinstance(error, Unavailable):
        return not error.unreachable and (error.status is None or error.status in AMBIGUOUS_STATUSES)
    if isinstance(error, Rejected):
        return error.kind is ErrorKind.CONTENT_FILTERED
    return isinstance(error, BadResponse)
