"""What a lane is: requests go out against tickets, and tickets come back as outcomes.

The two steps may be hours apart and in two processes. A lane that answers at once returns no tickets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from prefect_llm.engine.budget import BudgetGate
from prefect_llm.engine.submission import unnoticed
from prefect_llm.store.tickets import Ticket
from prefect_llm.system.stop_flag import StopFlag
from prefect_llm.values.outcome import Outcome
from prefect_llm.values.provider import Provider
from prefect_llm.values.request import Request


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a chunk's outcomes go, and the conditions of its requests. The callables may be called on any thread.

    `deliver` takes a request and its outcome, `sent` the number of each attempt (from 1), `keep` a ticket, which is
    durable on return. `rewrite` adapts a request to the provider of a route. With `keep_raw` a completion keeps the
    answer's bytes. `budget` reserves what a request may cost before it is sent. `answered` says that requests of the
    run were answered before: what they share is not at fault. `throttled` takes a request at each 429, before it
    ends; `lost` takes a request once for each attempt that brought no answer and may have been billed.
    """

    deliver: Callable[[Request, Outcome], None]
    sent: Callable[[int], None]
    keep: Callable[[Ticket], None]
    rewrite: Callable[[Request, int], Request]
    stop: StopFlag
    keep_raw: bool = False
    budget: BudgetGate | None = None
    answered: bool = False
    throttled: Callable[[Request], None] = unnoticed
    lost: Callable[[Request], None] = unnoticed


class Lane(Protocol):
    """Both steps raise the `RunError` that stopped the run; what was delivered before stays valid."""

    def submit(self, provider: Provider, requests: Iterator[Request], delivery: Delivery) -> Sequence[Ticket]:
        """Send the requests. Returns a ticket for each group whose outcomes are not delivered yet.

        A ticket is kept before its requests can be billed, so that a killed process loses none.
        """

    def collect(
        self, provider: Provider, tickets: Sequence[Ticket], requests: Mapping[int, Request], delivery: Delivery
    ) -> None:
        """Deliver the outcome of each of the `requests`, by row index, that a ticket holds. Blocks until all are."""
